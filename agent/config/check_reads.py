"""Whether every quantity fits into one read of its device: what is read in halves is never one value."""

from __future__ import annotations

from agent.config.catalogue import Catalogue, Findings
from drivers.modbus.plan import MAX_REGISTERS
from drivers.modbus.registers import BIT_AREAS, width


def check_reads(catalogue: Catalogue, findings: Findings) -> None:
    """Note every quantity that is wider than the reads of its device may be."""
    for index, device in enumerate(catalogue.site.devices):
        profile = catalogue.profiles.get(device.id)
        most = device.max_registers or (profile.max_registers if profile else MAX_REGISTERS)
        for item in catalogue.by_device[device.id]:
            size = width(item.quantity)
            if item.quantity.area in BIT_AREAS or size <= most:
                continue
            path = (
                (*item.path, "type")
                if device.max_registers is None
                else ("devices", index, "max_registers")
            )
            findings.fault(
                path,
                f"'{item.point}' takes {size} registers, one read of '{device.id}' gives {most}",
            )
