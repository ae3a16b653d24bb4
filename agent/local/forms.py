"""What a button of the page's form asks for, as the fields of a command."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import CommandName

DURATIONS_MIN = (5, 15, 30, 60, 120, 240, 480, 1440, 10_080)
"""Minutes offered for an inhibit or a drill (a drill: 240 at most)."""

TEST_S = 3.0
"""How long the page tests an output: long enough to hear it, short enough for the neighbours."""

DRILL_START, DRILL_STOP = "drill-start", "drill-stop"
MODE_AUTO, MODE_MANUAL = "mode-auto", "mode-manual"
TEST = "output-test"
INHIBIT_RULE = "inhibit-rule"


def command_fields(do: str, fields: Mapping[str, str]) -> dict[str, object]:
    """Return the fields of the command of a button `<what>:<target>`, from what the form holds."""
    what, _, target = do.partition(":")
    kept = {key: fields[key] for key in ("id", "actor", "code", "reason") if key in fields}
    minutes = fields.get("minutes", "")
    seconds = float(minutes) * 60 if minutes.isascii() and minutes.isdigit() else None
    plain: dict[str, object] = {**kept, "target": target}
    match what:
        case CommandName.INHIBIT:
            return {**plain, "name": what, "duration_s": seconds}
        case "inhibit-rule":
            chosen = {"name": CommandName.INHIBIT.value, "target": fields.get("rule", "")}
            return {**plain, **chosen, "duration_s": seconds}
        case "drill-start":
            place = fields.get("place", "")
            scope = [place] if place else []
            start = {"name": CommandName.DRILL.value, "is_on": True, "duration_s": seconds}
            return {**plain, **start, "scope": scope}
        case "drill-stop":
            return {**plain, "name": CommandName.DRILL.value, "is_on": False}
        case "mode-auto" | "mode-manual":
            return {**plain, "name": CommandName.MODE.value, "mode": what.removeprefix("mode-")}
        case "output-test":
            return {**plain, "name": CommandName.OUTPUT.value, "is_on": True, "duration_s": TEST_S}
    return {**plain, "name": what}
