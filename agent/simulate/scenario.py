"""What happens in the demo, when, and what a watcher must then see. Data only; play.py plays it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import StrEnum

from agent.core.effects import AlarmState, CommandName
from agent.core.spec import Label
from agent.simulate import demo
from agent.simulate.proxy import LinkState
from agent.simulate.room import NORMAL, Quantity
from drivers.clock import Stamp

NOMINAL_S = 75.0
"""Length of a round as the steps below are written."""
LEAST_S = 25.0
"""A round is never squeezed into less: a dead device takes the agent some 10 s to declare. Shorter
demos leave out the last steps instead."""
LEAST_ALARM_S = 5.0
"""Two poll periods, on-delay and debounce of config/demo.yaml, with room for a busy machine."""
OUTPUT_S = 1.0
"""An output on the box itself follows a contact within 20 ms (design section 10); a busy machine gets more."""
DEAD_S = 20.0
"""Until a silent device must be a fault: three failures, 3 s and the 10 s of `fault_after_s` (design section 5)."""


class StepName(StrEnum):
    """The steps of a round."""

    NORMAL = "normal"
    LEAK = "leak"
    LEAK_OVER = "leak-over"
    SMOKE = "smoke"
    DEVICE_DEAD = "device-dead"
    PRESSURE_SLOW = "pressure-slow"
    PRESSURE_FAST = "pressure-fast"
    SHED_HOT = "shed-hot"
    LINK_LOST = "link-lost"
    LINK_BACK = "link-back"
    RECOVERED = "recovered"
    ACK = "ack"
    RESET = "reset"


LABELS: dict[StepName, Label] = {
    StepName.NORMAL: Label(en="Normal room", zh="一切正常"),
    StepName.LEAK: Label(en="Water leak in the pump room", zh="泵房漏水"),
    StepName.LEAK_OVER: Label(en="The floor is dry again", zh="地面已干"),
    StepName.SMOKE: Label(en="Smoke in the hall", zh="大厅烟雾报警"),
    StepName.DEVICE_DEAD: Label(en="The gas meter goes dead", zh="燃气探测器无应答"),
    StepName.PRESSURE_SLOW: Label(en="Hydrant pressure falls slowly", zh="消火栓水压缓慢下降"),
    StepName.PRESSURE_FAST: Label(en="Hydrant pressure falls fast", zh="消火栓水压快速下降"),
    StepName.SHED_HOT: Label(
        en="Charging shed overheats while charging", zh="充电棚大电流充电时过热"
    ),
    StepName.LINK_LOST: Label(en="The link to the broker is lost", zh="与消息服务器的链路中断"),
    StepName.LINK_BACK: Label(en="The link is back", zh="链路恢复"),
    StepName.RECOVERED: Label(en="The causes are gone", zh="原因已排除"),
    StepName.ACK: Label(en="A person acknowledges", zh="人员确认"),
    StepName.RESET: Label(en="A person resets", zh="人员复位"),
}


# -- what a step does ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DrivePin:
    """Put a level on an input pin."""

    pin: int
    high: bool


@dataclass(frozen=True, slots=True)
class Move:
    """Let a quantity of the room go somewhere."""

    quantity: Quantity
    to: float
    over_s: float


@dataclass(frozen=True, slots=True)
class Silence:
    """Switch a unit on the TCP bus off or on."""

    unit: int
    is_silent: bool


@dataclass(frozen=True, slots=True)
class SetLink:
    """Put the link between agent and broker into a state."""

    state: LinkState


@dataclass(frozen=True, slots=True)
class Press:
    """A person asks the agent for something, and again a second later while it is refused."""

    command: CommandName
    code: str = ""
    tries: int = 3
    again_s: float = 1.0


Act = DrivePin | Move | Silence | SetLink | Press


# -- what a watcher must see -----------------------------------------------------------------------

RAISED = frozenset({AlarmState.ACTIVE_UNACKED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedAlarm:
    """An alarm event about a point that must reach the witness."""

    about: str
    """Its rule id or point id; ending in a dot, all that begin with it (`gas-meter.`)."""
    within_s: float
    """Since the step, on the event's own stamp; it may arrive at the witness later."""
    to_states: frozenset[AlarmState] = RAISED


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedPin:
    """An output pin that must be seen on a level, moved or already there."""

    pin: int
    high: bool
    within_s: float


Expectation = ExpectedAlarm | ExpectedPin


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: at `at_s` since the round began, do `acts`, then watch for `expects`."""

    name: StepName
    at_s: float
    acts: tuple[Act, ...] = ()
    expects: tuple[Expectation, ...] = ()

    @property
    def label(self) -> Label:
        """What people read."""
        return LABELS[self.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A round of the demo."""

    steps: tuple[Step, ...]
    total_s: float
    round: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What config/demo.yaml calls the alarms the scenario causes: rules, or points (see ExpectedAlarm)."""

    smoke: str = "smoke"
    leak: str = "leak"
    pressure_low: str = "hydrant-low"
    pressure_very_low: str = "hydrant-low-low"
    shed: str = "shed-overheating"
    gas_meter: str = "fault.gas-meter"


def demo_scenario(
    total_s: float = NOMINAL_S, round_number: int = 0, names: Names | None = None
) -> Scenario:
    """Return a round that lasts `total_s`; rounds after the first vary in order, figures and link fault.

    Below LEAST_S the pace stays that of LEAST_S and the last steps are left out, together with what
    could not be seen in time.

    Raises:
        ValueError: `total_s` is not above 0.
    """
    if total_s <= 0:
        raise ValueError("a scenario needs some time")
    factor = max(total_s, LEAST_S) / NOMINAL_S
    steps = [
        replace(step, at_s=step.at_s * factor, acts=tuple(_paced(act, factor) for act in step.acts))
        for step in _nominal(names or Names(), factor, round_number)
    ]
    kept = tuple(
        replace(
            step,
            expects=tuple(
                each
                for each in step.expects
                if total_s >= LEAST_S or step.at_s + each.within_s <= total_s
            ),
        )
        for step in steps
        if step.at_s < total_s
    )
    return Scenario(steps=kept, total_s=total_s, round=round_number)


def is_about(about: str, rule: str, point: str) -> bool:
    """Return whether an event's rule or point is the one an expectation names."""
    if about.endswith("."):
        return rule.startswith(about) or point.startswith(about)
    return about in (rule, point)


def _paced(act: Act, factor: float) -> Act:
    return replace(act, over_s=act.over_s * factor) if isinstance(act, Move) else act


def _nominal(names: Names, factor: float, round_number: int) -> list[Step]:
    """Return the steps at nominal times. Times to see something are real, plus ramps as paced."""
    rng = random.Random(round_number)
    low_kpa = 60.0 if not round_number else rng.uniform(50.0, 60.0)
    very_low_kpa = 18.0 if not round_number else rng.uniform(10.0, 25.0)
    hot = 72.0 if not round_number else rng.uniform(66.0, 80.0)
    amps = 28.0 if not round_number else rng.uniform(24.0, 32.0)
    link = LinkState.MUTE if round_number % 2 else LinkState.CUT
    hazards = [
        _contact_hazard(StepName.LEAK, demo.LEAK_PIN, names.leak, demo.BUZZER_PIN, 1.0 + OUTPUT_S),
        _contact_hazard(StepName.SMOKE, demo.SMOKE_PIN, names.smoke, demo.SIREN_PIN, OUTPUT_S),
    ]
    if round_number:
        rng.shuffle(hazards)
    heat_s = 4.0 * factor + LEAST_ALARM_S
    recovery = (
        DrivePin(demo.SMOKE_PIN, demo.RESTING[demo.SMOKE_PIN]),
        DrivePin(demo.LEAK_PIN, demo.RESTING[demo.LEAK_PIN]),
        Move(Quantity.HYDRANT_KPA, NORMAL[Quantity.HYDRANT_KPA], 1.0),
        Move(Quantity.SHED_CELSIUS, NORMAL[Quantity.SHED_CELSIUS], 1.0),
        Move(Quantity.CHARGING_A, NORMAL[Quantity.CHARGING_A], 1.0),
        Silence(demo.GAS_METER, is_silent=False),
    )
    acked = frozenset({AlarmState.ACTIVE_ACKED, AlarmState.LATCHED_ACKED, AlarmState.NORMAL})
    normal = frozenset({AlarmState.NORMAL})
    return [
        Step(name=StepName.NORMAL, at_s=0.0),
        replace(hazards[0], at_s=4.0),
        replace(hazards[1], at_s=10.0),
        Step(
            name=StepName.DEVICE_DEAD,
            at_s=16.0,
            acts=(Silence(demo.GAS_METER, is_silent=True),),
            expects=(ExpectedAlarm(about=names.gas_meter, within_s=DEAD_S),),
        ),
        Step(
            name=StepName.LEAK_OVER,
            at_s=20.0,
            acts=(DrivePin(demo.LEAK_PIN, demo.RESTING[demo.LEAK_PIN]),),
        ),
        Step(
            name=StepName.PRESSURE_SLOW,
            at_s=22.0,
            acts=(Move(Quantity.HYDRANT_KPA, low_kpa, 8.0),),
            expects=(
                ExpectedAlarm(about=names.pressure_low, within_s=8.0 * factor + LEAST_ALARM_S),
            ),
        ),
        Step(
            name=StepName.PRESSURE_FAST,
            at_s=30.0,
            acts=(Move(Quantity.HYDRANT_KPA, very_low_kpa, 2.0),),
            expects=(
                ExpectedAlarm(about=names.pressure_very_low, within_s=2.0 * factor + LEAST_ALARM_S),
            ),
        ),
        Step(
            name=StepName.SHED_HOT,
            at_s=38.0,
            acts=(
                Move(Quantity.CHARGING_A, amps, 1.0),
                Move(Quantity.SHED_CELSIUS, hot, 4.0),
            ),
            expects=(
                ExpectedAlarm(about=names.shed, within_s=heat_s),
                ExpectedPin(pin=demo.CUT_OFF_PIN, high=False, within_s=heat_s),
            ),
        ),
        Step(name=StepName.LINK_LOST, at_s=48.0, acts=(SetLink(link),)),
        Step(name=StepName.LINK_BACK, at_s=57.0, acts=(SetLink(LinkState.PASS),)),
        Step(name=StepName.RECOVERED, at_s=60.0, acts=recovery),
        Step(
            name=StepName.ACK,
            at_s=65.0,
            acts=(Press(CommandName.ACK),),
            expects=(
                ExpectedAlarm(about=names.smoke, within_s=OUTPUT_S + 1.0, to_states=acked),
                ExpectedPin(pin=demo.BUZZER_PIN, high=False, within_s=OUTPUT_S + 1.0),
            ),
        ),
        Step(
            name=StepName.RESET,
            at_s=68.0,
            acts=(Press(CommandName.RESET, code="test"),),
            expects=(
                ExpectedAlarm(about=names.smoke, within_s=LEAST_ALARM_S, to_states=normal),
                ExpectedPin(pin=demo.SIREN_PIN, high=False, within_s=LEAST_ALARM_S),
            ),
        ),
    ]


def _contact_hazard(name: StepName, pin: int, about: str, output: int, output_s: float) -> Step:
    """`output_s` is the on-delay of the rule in config/demo.yaml and OUTPUT_S."""
    return Step(
        name=name,
        at_s=0.0,
        acts=(DrivePin(pin, not demo.RESTING[pin]),),
        expects=(
            ExpectedAlarm(about=about, within_s=LEAST_ALARM_S),
            ExpectedPin(pin=output, high=True, within_s=output_s),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A step that was played."""

    step: Step
    at: Stamp
