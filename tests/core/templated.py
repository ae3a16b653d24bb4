"""Ready-made rules in a timeline: expanded as the agent expands those of a site file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agent.config.catalogue import Findings, build_catalogue
from agent.config.positions import parse
from agent.config.specs import site_spec
from agent.config.templates.expand import expand
from agent.config.validate import validate
from agent.core.spec import RuleSpec


def ready_rules(entry: dict[str, Any], points: dict[str, str]) -> tuple[RuleSpec, ...]:
    """The rules of one entry; points as `smoke contact` or `pressure kPa`, numbers named `device.name`."""
    contacts = {name: what for name, what in points.items() if what.endswith(" contact")}
    numbers = {name: what for name, what in points.items() if name not in contacts}
    devices: dict[str, list[dict[str, Any]]] = {}
    for number, (name, what) in enumerate(numbers.items()):
        device, _, quantity = name.partition(".")
        kind, _, unit = what.partition(" ")
        place = {"area": "input", "address": number * 2, "type": "f32"}
        devices.setdefault(device, []).append(
            {"name": quantity, **place, "kind": kind, "unit": unit}
        )
    site = {
        "version": 1,
        "site": "hall-a",
        "box": "box-1",
        "buses": [
            {"id": "pins", "type": "gpio"},
            {"id": "line", "type": "modbus-tcp", "host": "127.0.0.1"},
        ],
        "inputs": [
            {"id": name, "bus": "pins", "pin": pin, "kind": what.split()[0], "contact": "normally-closed"}
            for pin, (name, what) in enumerate(contacts.items(), start=2)
        ],
        "devices": [
            {"id": device, "bus": "line", "unit": unit, "quantities": quantities}
            for unit, (device, quantities) in enumerate(devices.items(), start=1)
        ],
        "rules": [entry],
    }  # fmt: skip
    document = parse(json.dumps(site).encode(), "timeline")
    checked = validate(document)
    assert checked.model is not None
    assert checked.faults == []
    findings = Findings(document, checked.origin)
    catalogue = build_catalogue(checked.model, findings, Path(), set(), {})
    expand(catalogue, findings)
    assert findings.faults == []
    return tuple(
        rule for rule in site_spec(catalogue).rules if not rule.id.startswith("fault.")
    )  # fmt: skip
