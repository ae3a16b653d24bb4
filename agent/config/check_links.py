"""What of a site no broker would take: told before the cloud misses it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agent.config.catalogue import Findings
from agent.core.spec import SiteSpec
from agent.uplink.sinks.choosing import make_sink
from agent.uplink.spec import UplinkSpec
from agent.uplink.topics import TopicFault
from drivers.clock import ClockState, Stamp

_AT = Stamp(123456.789, 1_750_000_000_000, ClockState.SYNCED)
_BOOT = "01234567-89ab-cdef-0123-456789abcdef"


def check_links(site: SiteSpec, uplinks: Sequence[UplinkSpec], findings: Findings) -> None:
    """Note topics too deep, and warn of a description larger than an uplink's largest message."""
    for index, spec in enumerate(uplinks):
        try:
            sink = make_sink(spec, site=site, boot=_BOOT, config_hash="0" * 64)
        except TopicFault as fault:
            findings.fault(("uplinks", index, "root"), str(fault))
            continue
        largest = max((len(each.payload) for each in sink.meta(_AT)), default=0)
        if largest > spec.max_payload_bytes:
            findings.warn(
                ("uplinks", index, "max_payload_kib"),
                f"the description of this site needs {math.ceil(largest / 1024)} KiB and would not be "
                "sent; say so much here if the broker takes it",
            )
