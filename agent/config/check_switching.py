"""What can be wrong with how outputs, linkages and keys behave."""

from __future__ import annotations

from agent.config.catalogue import Catalogue, Findings
from agent.config.check_conditions import check_condition, leaves
from agent.config.faults import KeyPath, did_you_mean
from agent.config.model_outputs import KeyModel, OutputModel
from agent.config.model_rules import RuleModel
from agent.core.spec import AlarmClass, OutputKind, Pattern

TEST_MAX_S = 30.0
"""Longest test of what sounds or shows, unless the site says otherwise."""

START_PULSE_S = 2.0
"""How long the main fire pump's start relay is held: contactors pull in within a tenth of that, and a
self-holding starter keeps the pump running (it must not stop by itself, GB 50974)."""

_SHOWING = frozenset({OutputKind.SIREN, OutputKind.BUZZER, OutputKind.STROBE, OutputKind.LAMP})
"""What sounds or shows: may be tested by anybody, and may have a pattern."""

_PROTECTS = _SHOWING | {OutputKind.CUT_OFF}
"""What must act on an alarm whatever else is known."""

_BEHAVIOUR = (
    "max_on_s", "min_off_s", "stagger_s", "interlock", "restore", "feedback", "test_max_s",
    "self_test", "patterns", "shows", "role", "reset_line",
)  # fmt: skip
"""Keys that a health output has no use for: it follows the agent."""

_STOPS = (
    "max_on_s", "min_off_s", "interlock", "restore", "at_stop", "test_max_s", "self_test", "patterns",
    "shows", "stagger_s", "reset_line",
)  # fmt: skip
"""Keys that could stop, hold back or restart a main fire pump."""


def check_switching(catalogue: Catalogue, findings: Findings) -> None:
    """Note every fault of what outputs, linkages and keys do."""
    for index, output in enumerate(catalogue.site.outputs):
        path: KeyPath = ("outputs", index)
        given = output.model_fields_set
        if output.kind is OutputKind.HEALTH:
            for key in _BEHAVIOUR:
                if key in given:
                    findings.fault((*path, key), "a health output follows the agent", at_key=True)
            continue
        if output.role is not None:
            _check_pump(output, path, findings)
        _check_times(output, path, findings)
        _check_ways(output, path, findings)
        _check_points(output, path, catalogue, findings)
    for index, switch in enumerate(catalogue.site.keys):
        _check_key(switch, ("keys", index), catalogue, findings)


def _check_pump(output: OutputModel, path: KeyPath, findings: Findings) -> None:
    """The main fire pump must not stop by itself (GB 50974): it is only ever started."""
    if output.kind is not OutputKind.RELAY:
        findings.fault((*path, "kind"), "the start of a main fire pump is a relay")
    if output.active == "de-energised":
        findings.fault((*path, "active"), "a main fire pump is started by energising, by a pulse")
    for key in _STOPS:
        if key in output.model_fields_set:
            findings.fault(
                (*path, key),
                "could hold back or stop the main fire pump, which is only ever started; take it out",
                at_key=True,
            )
    if output.feedback is not None and output.feedback.within_s >= START_PULSE_S:
        findings.fault(
            (*path, "feedback"),
            f"the start pulse lasts {START_PULSE_S:g} s: name what follows it sooner, such as the "
            "contactor, and say `within_s: 1.5`",
        )


def _check_times(output: OutputModel, path: KeyPath, findings: Findings) -> None:
    kind = output.kind
    if kind is OutputKind.CUT_OFF and output.max_on_s:
        findings.fault(
            (*path, "max_on_s"), "power would return by itself; a cut-off has no such limit"
        )
    if kind is OutputKind.CUT_OFF and output.min_off_s:
        findings.fault((*path, "min_off_s"), "would hold back a cut; it is for what is switched in")
    if output.restore == "manual" and output.max_on_s:
        findings.fault(
            (*path, "max_on_s"),
            "would end what stays until a person restores it, and nothing would start it before that",
        )
    if output.interlock is not None and kind in _PROTECTS:
        findings.fault(
            (*path, "interlock"),
            "while it holds or is unknown it would keep a warning silent, or a cut from being made; "
            "it is for equipment that must not start",
            at_key=True,
        )
    if kind in _SHOWING:
        for key in ("min_off_s", "stagger_s"):
            if getattr(output, key):
                findings.fault((*path, key), "would hold back a warning; it is for equipment")


def _check_ways(output: OutputModel, path: KeyPath, findings: Findings) -> None:
    kind = output.kind
    if output.restore is not None and kind in _SHOWING:
        findings.fault((*path, "restore"), "is for what switches equipment: cut-off, valve, relay")
    if output.patterns is not None:
        if kind not in _SHOWING:
            findings.fault((*path, "patterns"), "is for sirens, buzzers, strobes and lamps")
        elif output.pin is None and any(
            getattr(output.patterns, each.value) is not Pattern.STEADY for each in AlarmClass
        ):
            findings.fault(
                (*path, "patterns"), "needs a pin: a bus is too slow and too busy for a rhythm"
            )
    if output.shows is not None and kind is not OutputKind.LAMP:
        findings.fault((*path, "shows"), "is for lamps; give it `kind: lamp`")
    if output.self_test is not None:
        longest = longest_test_s(output)
        if output.self_test.for_s > longest:
            findings.fault(
                (*path, "self_test", "for_s"), f"is longer than its longest test, {longest:g} s"
            )


def _check_points(
    output: OutputModel, path: KeyPath, catalogue: Catalogue, findings: Findings
) -> None:
    if output.interlock is not None:
        rule = RuleModel.model_construct(
            id=f"interlock.{output.id}", alarm_class=AlarmClass.TECHNICAL, when=output.interlock
        )
        check_condition(rule, (*path, "interlock"), catalogue, findings)
        own = {f"{output.id}.health", f"{output.id}.active"}
        for leaf, below in leaves(output.interlock, (*path, "interlock")):
            if leaf.point in own:
                findings.fault((*below, "point"), "an output cannot be interlocked by itself")
    if output.reset_line is not None:
        if output.kind is not OutputKind.RELAY:
            findings.fault((*path, "kind"), "a reset line is a relay")
        _check_supply(output, path, catalogue, findings)
        for index, point in enumerate(output.reset_line.points):
            below = (*path, "reset_line", "points", index)
            _check_contact(point, below, catalogue, findings)
    if output.feedback is not None:
        _check_contact(output.feedback.point, (*path, "feedback", "point"), catalogue, findings)


def _check_supply(
    output: OutputModel, path: KeyPath, catalogue: Catalogue, findings: Findings
) -> None:
    """Only a reset may take the supply of detectors away: then what is read of them counts for nothing."""
    blind = "would take the supply of its detectors away, and they would look quiet; take it out"
    for key in ("test_max_s", "self_test"):
        if getattr(output, key):
            findings.fault((*path, key), blind, at_key=True)
    if output.at_stop == "active":
        findings.fault((*path, "at_stop"), blind)
    for index, link in enumerate(catalogue.site.linkage):
        if output.id in link.outputs:
            at = ("linkage", index, "outputs", link.outputs.index(output.id))
            findings.fault(at, f"'{output.id}' is a reset line: an alarm {blind}")


def _check_key(key: KeyModel, path: KeyPath, catalogue: Catalogue, findings: Findings) -> None:
    _check_contact(key.point, (*path, "point"), catalogue, findings)
    outputs = {output.id: output for output in catalogue.site.outputs}
    if key.command != "restore":
        if key.output is not None:
            findings.fault((*path, "output"), "goes with `command: restore` only", at_key=True)
    elif key.output is None:
        findings.fault((*path, "command"), "needs `output`: what gets power back")
    elif key.output not in outputs:
        if key.output not in catalogue.opaque:
            hint = did_you_mean(key.output, outputs)
            findings.fault((*path, "output"), f"no output '{key.output}'{hint}")
    elif not is_restored_by_hand(outputs[key.output]):
        findings.fault((*path, "output"), f"'{key.output}' comes back with the reset of its alarm")


def is_restored_by_hand(output: OutputModel) -> bool:
    """Return whether an output stays active until a person restores it; a cut-off unless told otherwise."""
    if output.restore is None:
        return output.kind is OutputKind.CUT_OFF
    return output.restore == "manual"


def longest_test_s(output: OutputModel) -> float:
    """Return the longest test of an output, 0 for none: what switches equipment is not tested unasked."""
    if output.test_max_s is not None:
        return output.test_max_s
    return TEST_MAX_S if output.kind in _SHOWING else 0.0


def _check_contact(point: str, path: KeyPath, catalogue: Catalogue, findings: Findings) -> None:
    if point not in catalogue.points:
        if not catalogue.is_opaque(point):
            findings.fault(path, f"no point '{point}'{did_you_mean(point, catalogue.points)}")
    elif not catalogue.is_contact(point):
        findings.fault(path, f"'{point}' is not a contact")
