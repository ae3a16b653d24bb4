"""Outputs, linkages and keys in a timeline: read as the agent reads those of a site file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from agent.config.outputs import key_specs, linkage_specs, output_rules, output_specs
from agent.config.positions import parse
from agent.config.validate import validate
from agent.core.spec import KeySpec, Linkage, OutputSpec, RuleSpec

FIRST_PIN, PINS = 2, 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """What a timeline says of outputs, and the rules that come with them."""

    outputs: tuple[OutputSpec, ...]
    linkages: tuple[Linkage, ...]
    keys: tuple[KeySpec, ...]
    rules: tuple[RuleSpec, ...]
    """Interlocks, and faults of feedback points."""


def switched(written: dict[str, Any]) -> Switched:
    """Return the outputs (a kind, or the keys of a site file), linkages and keys of a timeline."""
    site = {
        "version": 1,
        "site": "hall-a",
        "box": "box-1",
        "buses": [{"id": "pins", "type": "gpio"}],
        "outputs": [
            {"id": name, "bus": "pins", "pin": FIRST_PIN + number % PINS}
            | ({"kind": what} if isinstance(what, str) else what)
            for number, (name, what) in enumerate(written.get("outputs", {}).items())
        ],
        "linkage": [
            {"id": f"linkage-{number}"} | each
            for number, each in enumerate(written.get("linkages", ()))
        ],
        "keys": written.get("keys", []),
    }
    checked = validate(parse(json.dumps(site).encode(), "timeline"))
    assert checked.faults == [], checked.faults
    assert checked.model is not None
    return Switched(
        outputs=output_specs(checked.model),
        linkages=linkage_specs(checked.model),
        keys=key_specs(checked.model),
        rules=tuple(output_rules(checked.model)),
    )
