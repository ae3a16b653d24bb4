"""One site with a point of every sort, for ready-made rules to watch."""

from __future__ import annotations

from pathlib import Path

from agent.config.load import LoadedSite, load_site

CONTACTS = {
    "smoke-1": "smoke",
    "smoke-2": "smoke",
    "smoke-3": "smoke",
    "button": "call-point",
    "heat": "heat",
    "flow": "flow",
    "rope": "leak",
    "valve": "valve",
    "pump": "pump",
    "called": "pump",
    "charging": "feedback",
    "lift-out": "lift",
    "trapped": "lift",
    "mains": "mains",
    "battery": "feedback",
}

NUMBERS = {
    "air": ("temperature", "°C"),
    "cable": ("temperature", "°C"),
    "kpa": ("pressure", "kPa"),
    "mpa": ("pressure", "MPa"),
    "psi": ("pressure", "psi"),
    "bare": ("pressure", ""),
    "level": ("level", "mm"),
    "metres": ("level", "m"),
    "amps": ("current", "A"),
    "residual": ("residual-current", "mA"),
    "gas": ("gas", "%LEL"),
    "co": ("gas", "ppm"),
    "humidity": ("humidity", "%RH"),
    "volts": ("voltage", "V"),
    "loose": ("generic", "kPa"),
}

HEAD = """\
version: 1
site: riverside
box: plantroom-1
zones: [{id: cellar, label: {en: Cellar, zh: 地下室}}]
buses: [{id: pins, type: gpio}, {id: line, type: modbus-tcp, host: 127.0.0.1}]
"""


def _points() -> str:
    lines = ["inputs:"]
    for number, (name, kind) in enumerate(CONTACTS.items()):
        lines.append(
            f"  - {{id: {name}, bus: pins, pin: {number + 2}, kind: {kind}, zone: cellar, "
            "contact: normally-closed}"
        )
    lines += ["devices:", "  - id: x", "    bus: line", "    unit: 1", "    zone: cellar"]
    lines.append("    quantities:")
    for number, (name, (kind, unit)) in enumerate(NUMBERS.items()):
        label = f"{{en: The {name}, zh: 测点{number}}}"
        lines.append(
            f"      - {{name: {name}, area: input, address: {number * 2}, type: f32, kind: {kind}, "
            f'unit: "{unit}", label: {label}}}'
        )
    return "\n".join(lines) + "\n"


BEFORE = HEAD + _points()


def load(folder: Path, *entries: str, more: str = "") -> LoadedSite:
    """Return the site with these entries under `rules`."""
    path = folder / "site.yaml"
    rules = "rules:\n" + "".join(f"  - {each}\n" for each in entries)
    path.write_text(BEFORE + rules + more, "utf-8")
    return load_site(path, env={})


def line_of(number: int = 0) -> int:
    """Return the line an entry stands on."""
    return BEFORE.count("\n") + 2 + number
