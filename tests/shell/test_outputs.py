"""Output workers against lines that fail, hang, lie and recover."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.effects import Event, EventKind, SetOutput
from agent.core.spec import OutputKind, OutputSpec
from agent.local.view import OutputView
from agent.outputs import OutputLimits, Outputs, StopState
from drivers.base import OutputLine
from drivers.clock import ManualClock
from drivers.errors import NoReply, PortUnavailable
from drivers.gpio.bus import GpioBus
from drivers.gpio.pins import MockPins
from drivers.gpio.spec import GpioBusSpec, LineSpec
from drivers.reading import Reading

QUICK = OutputLimits(timeout_s=0.05, verify_s=0.02, retry_first_s=0.002, retry_cap_s=0.01)


class Line:
    """An output line with faults one can order; held to GpioLine's behaviour by a test below."""

    def __init__(self, output: str) -> None:
        self.id = output
        self.longest_s = 0.0
        self.is_energised = False
        self.writes: list[bool] = []
        self.write_error: BaseException | None = None
        self.read_error: Exception | None = None
        self.jammed: bool | None = None
        self.may_write = asyncio.Event()
        self.may_write.set()

    async def write(self, energised: bool) -> None:
        self.writes.append(energised)
        await self.may_write.wait()
        if self.write_error:
            raise self.write_error
        self.is_energised = energised

    async def read_back(self) -> bool:
        if self.read_error:
            raise self.read_error
        return self.is_energised if self.jammed is None else self.jammed


class Site:
    """Outputs under test with what they told."""

    def __init__(
        self,
        clock: ManualClock,
        *specs: OutputSpec,
        lines: dict[str, OutputLine] | None = None,
        limits: OutputLimits = QUICK,
        **at_stop: StopState,
    ) -> None:
        self.lines = {each.id: Line(each.id) for each in specs}
        self.readings: list[Reading] = []
        self.events: list[Event] = []
        self.beats: list[str] = []
        self._more = asyncio.Event()
        self.outputs = Outputs(
            specs,
            lines or self.lines,
            clock,
            self._emit,
            self._record,
            at_stop,
            beat=self.beats.append,
            limits=limits,
        )

    def _emit(self, readings: Sequence[Reading]) -> None:
        self.readings.extend(readings)
        self._more.set()

    def _record(self, event: Event) -> None:
        self.events.append(event)
        self._more.set()

    def set(self, output: str, is_active: bool, cause: str = "smoke") -> None:
        self.outputs.set(SetOutput(output=output, is_active=is_active, cause=cause))

    def health(self, output: str) -> bool | None:
        values = [each.value for each in self.readings if each.point == f"{output}.health"]
        return bool(values[-1]) if values else None

    def told(self, output: str) -> list[tuple[str, str, str]]:
        return [
            (each.from_state, each.to_state, each.rule)
            for each in self.events
            if each.subject == output
        ]

    def view(self, output: str) -> OutputView:
        return next(each for each in self.outputs.views() if each.spec.id == output)

    async def until(self, is_met: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not is_met():
                self._more.clear()
                await self._more.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.outputs.run(), name="outputs under test")
            yield
            task.cancel()


def siren(output: str = "siren") -> OutputSpec:
    return OutputSpec(id=output, kind=OutputKind.SIREN, zone="hall")


CUT_OFF = OutputSpec(id="cut", kind=OutputKind.CUT_OFF, is_energised_when_active=False)


async def test_a_wish_is_written_read_back_and_told_once(clock: ManualClock) -> None:
    site = Site(clock, siren())
    async with site.running():
        site.set("siren", True)
        await site.until(lambda: len(site.readings) >= 4)
    assert site.lines["siren"].writes == [True]
    assert site.told("siren") == [("", "active", "smoke")]
    assert site.events[0].kind is EventKind.OUTPUT
    assert site.events[0].zone == "hall"
    assert all(each.value is True for each in site.readings)
    view = site.view("siren")
    assert (view.is_demanded, view.is_active, view.fault, view.failures) == (True, True, "", 0)


async def test_resting_after_the_start_is_no_event_but_health(clock: ManualClock) -> None:
    site = Site(clock, siren())
    async with site.running():
        site.set("siren", False, "start")
        await site.until(lambda: site.health("siren") is True)
        site.set("siren", True, "smoke")
        await site.until(lambda: len(site.events) == 1)
        site.set("siren", False, "reset")
        await site.until(lambda: len(site.events) == 2)
    assert site.told("siren") == [("inactive", "active", "smoke"), ("active", "inactive", "reset")]


async def test_before_anything_is_asked_nothing_is_written_or_called_healthy(
    clock: ManualClock,
) -> None:
    site = Site(clock, siren())
    async with site.running():
        await asyncio.sleep(0.05)
        assert site.beats.count("siren") >= 2
    assert site.lines["siren"].writes == []
    assert site.readings == []


@pytest.mark.parametrize(
    ("is_active", "energised"), [(True, False), (False, True)], ids=["cut", "power"]
)
async def test_a_cut_off_cuts_by_dropping_out(
    clock: ManualClock, is_active: bool, energised: bool
) -> None:
    site = Site(clock, CUT_OFF)
    async with site.running():
        site.set("cut", is_active)
        await site.until(lambda: site.health("cut") is True)
    assert site.lines["cut"].writes == [energised]
    assert site.view("cut").is_active is is_active


async def test_a_line_that_hangs_delays_no_other_and_is_told(clock: ManualClock) -> None:
    names = [f"o{number}" for number in range(20)]
    limits = OutputLimits(timeout_s=0.5, verify_s=0.02, retry_first_s=0.002, retry_cap_s=0.01)
    site = Site(clock, *(siren(name) for name in names), limits=limits)
    for name in names[1:]:
        site.lines[name].may_write.clear()
    loop = asyncio.get_running_loop()
    async with site.running():
        for name in reversed(names):
            site.set(name, True)
        before_s = loop.time()
        await site.until(lambda: site.told("o0") == [("", "active", "smoke")])
        assert loop.time() - before_s < limits.timeout_s
        await site.until(lambda: all(site.health(name) is False for name in names[1:]))
        assert site.view("o1").fault == "timeout"
        assert site.view("o1").is_active is None
        site.lines["o7"].may_write.set()
        await site.until(lambda: site.health("o7") is True)
    assert site.told("o7") == [("", "failed", "smoke"), ("failed", "active", "smoke")]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (PortUnavailable("io", "no chip"), "no chip"),
        (NoReply("dev", "silent"), "timeout"),
        (ValueError("a bug in a driver"), "ValueError"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else "",
)
async def test_a_failing_write_is_tried_again_as_long_as_it_is_wanted(
    clock: ManualClock, error: Exception, fault: str
) -> None:
    site = Site(clock, siren())
    line = site.lines["siren"]
    line.write_error = error
    async with site.running():
        site.set("siren", True)
        await site.until(lambda: site.view("siren").failures >= 5)
        assert site.view("siren").fault == fault
        assert site.told("siren") == [("", "failed", "smoke")]
        line.write_error = None
        await site.until(lambda: site.health("siren") is True)
    assert line.is_energised
    assert site.told("siren")[1:] == [("failed", "active", "smoke")]


async def test_an_output_that_reads_back_wrong_is_written_again_until_it_is_right(
    clock: ManualClock,
) -> None:
    site = Site(clock, siren())
    line = site.lines["siren"]
    async with site.running():
        site.set("siren", True)
        await site.until(lambda: site.health("siren") is True)
        line.is_energised = False  # somebody else switched it
        await site.until(lambda: site.health("siren") is False)
        await site.until(lambda: site.health("siren") is True)
        assert line.writes == [True, True]
        line.jammed = False
        await site.until(lambda: site.view("siren").failures >= 3)
        assert site.view("siren").fault == "read back inactive"
        assert site.view("siren").is_active is False
        assert site.health("siren") is False


async def test_the_latest_wish_wins_and_does_not_wait_for_an_old_ones_pause(
    clock: ManualClock,
) -> None:
    limits = OutputLimits(timeout_s=5, verify_s=60, retry_first_s=60, retry_cap_s=60)
    site = Site(clock, siren(), limits=limits)
    line = site.lines["siren"]
    async with site.running():
        line.may_write.clear()
        site.set("siren", True, "first")
        await asyncio.sleep(0.01)
        for cause in ("second", "third", "fourth"):
            site.set("siren", cause == "third", cause)
        line.may_write.set()
        await site.until(lambda: site.health("siren") is True)
        assert line.writes == [True, False], "what was overtaken on the way is not written"
        assert site.told("siren") == [], "nor is what was overtaken told as done"
        line.write_error = PortUnavailable("io", "gone")
        site.set("siren", True)
        await site.until(lambda: site.health("siren") is False)
        line.write_error = None
        site.set("siren", False)
        await site.until(lambda: site.health("siren") is True)
        assert not line.is_energised


async def test_an_opposite_wish_does_not_wait_for_a_write_that_hangs(clock: ManualClock) -> None:
    limits = OutputLimits(timeout_s=60, verify_s=60, retry_first_s=60, retry_cap_s=60)
    site = Site(clock, siren(), limits=limits)
    line = site.lines["siren"]
    async with site.running():
        line.may_write.clear()
        site.set("siren", False, "start")
        await asyncio.sleep(0.01)
        assert line.writes == [False]
        site.set("siren", True, "smoke")
        await asyncio.sleep(0.01)
        assert line.writes == [False, True], "the siren waits for a write nobody wants any more"
        line.may_write.set()
        await site.until(lambda: site.health("siren") is True)
        assert line.is_energised


async def test_the_same_wish_again_moves_nothing_and_is_no_event(clock: ManualClock) -> None:
    site = Site(clock, siren())
    async with site.running():
        for cause in ("smoke", "heat", "smoke"):
            site.set("siren", True, cause)
            await site.until(lambda: site.health("siren") is True)
        await asyncio.sleep(0.05)
    assert site.lines["siren"].writes == [True]
    assert len(site.events) == 1


async def test_at_the_end_each_output_is_left_in_its_stop_state(clock: ManualClock) -> None:
    lamp = OutputSpec(id="lamp", kind=OutputKind.HEALTH)
    site = Site(
        clock, siren(), siren("strobe"), CUT_OFF, lamp, siren=StopState.INACTIVE, cut=StopState.HOLD
    )
    async with site.running():
        for output, is_active in (("siren", True), ("strobe", True), ("cut", True), ("lamp", True)):
            site.set(output, is_active)
        await site.until(lambda: len(site.events) == 4)
        assert await site.outputs.release(1.0) == ()
        site.set("siren", True)
        site.set("lamp", False)
        await asyncio.sleep(0.05)
        assert site.view("lamp").is_demanded, "a wish after the end is none"
    state = {name: line.is_energised for name, line in site.lines.items()}
    assert state == {"siren": False, "strobe": True, "cut": False, "lamp": False}
    assert site.told("siren")[-1] == ("active", "inactive", "stop")


async def test_releasing_ends_at_its_deadline_and_names_what_was_left(clock: ManualClock) -> None:
    site = Site(
        clock, siren(), siren("strobe"), siren=StopState.INACTIVE, strobe=StopState.INACTIVE
    )
    async with site.running():
        site.set("siren", True)
        site.set("strobe", True)
        await site.until(lambda: len(site.events) == 2)
        site.lines["siren"].may_write.clear()
        assert await site.outputs.release(0.1) == ("siren",)
    assert not site.lines["strobe"].is_energised


async def test_at_a_changeover_every_output_holds_whatever_its_stop_state(
    clock: ManualClock,
) -> None:
    site = Site(clock, siren(), siren=StopState.INACTIVE)
    async with site.running():
        site.set("siren", True)
        await site.until(lambda: len(site.events) == 1)
        assert await site.outputs.release(1.0, holds_all=True) == ()
        site.set("siren", False)
        await asyncio.sleep(0.03)
    assert site.lines["siren"].writes == [True]
    assert len(site.events) == 1


async def test_a_line_that_ends_a_call_as_cancelled_costs_no_worker(clock: ManualClock) -> None:
    site = Site(clock, siren())
    async with site.running():
        site.lines["siren"].write_error = asyncio.CancelledError()
        site.set("siren", True)
        await site.until(lambda: site.health("siren") is False)
        site.lines["siren"].write_error = None
        await site.until(lambda: site.health("siren") is True)


STEPS = st.lists(
    st.sampled_from(["on", "off", "break", "mend", "hang", "free", "lie", "turn"]), max_size=25
)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.booleans())
def test_whatever_happened_the_last_wish_is_fulfilled_once_the_line_is_sound(
    steps: list[str], last: bool
) -> None:
    async def play() -> None:
        site = Site(ManualClock(), siren())
        line = site.lines["siren"]
        acts: dict[str, Callable[[], object]] = {
            "on": lambda: site.set("siren", True),
            "off": lambda: site.set("siren", False),
            "break": lambda: setattr(line, "write_error", PortUnavailable("io", "gone")),
            "mend": lambda: setattr(line, "write_error", None),
            "hang": line.may_write.clear,
            "free": line.may_write.set,
            "lie": lambda: setattr(line, "jammed", not line.is_energised),
        }
        async with site.running():
            for step in steps:
                if step == "turn":
                    await asyncio.sleep(0.001)
                else:
                    acts[step]()
            site.set("siren", last)
            line.write_error = line.jammed = None
            line.may_write.set()
            site.readings.clear()
            await site.until(lambda: site.health("siren") is True and line.is_energised is last)
        states = [(each.from_state, each.to_state) for each in site.events]
        for (_, reached), (left, _) in pairwise(states):
            assert reached == left
        assert all(before != after for before, after in states), "each event is a transition"

    asyncio.run(play())


def test_an_output_without_a_line_is_refused(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="siren"):
        Outputs((siren(),), {}, clock, lambda _: None, lambda _: None, {})


async def test_it_works_the_same_on_a_gpio_relay(clock: ManualClock) -> None:
    pins = MockPins()
    bus = GpioBus(
        GpioBusSpec(id="io", outputs=(LineSpec(output="siren", pin=5, active_high=False),)),
        clock,
        lambda _: None,
        pins.open,
    )
    site = Site(clock, siren(), lines={"siren": bus.line("siren")})
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(bus.run(), name="bus")
        await bus.tried()
        async with site.running():
            site.set("siren", True)
            await site.until(lambda: site.health("siren") is True)
            assert not pins.level(5)
            pins.jam(5, True)
            await site.until(lambda: site.health("siren") is False)
            assert site.view("siren").fault == "read back inactive"
            pins.jam(5, None)
            await site.until(lambda: site.health("siren") is True)
            pins.unplug()
            await site.until(lambda: site.health("siren") is False)
            pins.plug()
            await site.until(lambda: site.health("siren") is True)
        task.cancel()
    bus.close()


def gong() -> OutputSpec:
    return replace(siren("gong"), pulse_s=2.0)


async def test_a_pulse_that_ended_by_itself_is_no_mismatch_and_is_given_once(
    clock: ManualClock,
) -> None:
    line = Line("gong")
    site = Site(clock, gong(), lines={"gong": line})
    async with site.running():
        site.set("gong", True)
        await site.until(lambda: site.view("gong").is_active is True)
        line.is_energised = False
        clock.advance(10)
        await site.until(lambda: site.view("gong").is_active is False)
        line.read_error = NoReply("gong", "no reply")
        await site.until(lambda: site.health("gong") is False)
        line.read_error = None
        await site.until(lambda: site.health("gong") is True)
        assert line.writes == [True]
        site.set("gong", False)
        await site.until(lambda: line.writes == [True, False])
        site.set("gong", True)
        await site.until(lambda: line.writes == [True, False, True])


async def test_a_pulse_that_does_not_end_is_ended_and_told(clock: ManualClock) -> None:
    line = Line("gong")
    site = Site(clock, gong(), lines={"gong": line})
    async with site.running():
        site.set("gong", True)
        await site.until(lambda: site.health("gong") is True)
        clock.advance(2.5)
        await asyncio.sleep(0.05)
        assert site.health("gong") is True
        clock.advance(1.0)
        await site.until(lambda: site.health("gong") is False)
        assert line.writes[:2] == [True, False]
        await site.until(lambda: site.health("gong") is True)
        assert True not in line.writes[1:]


async def test_a_line_may_take_as_long_as_it_says(clock: ManualClock) -> None:
    slow, hung = Line("siren"), Line("other")
    slow.longest_s = 5.0
    slow.may_write.clear()
    hung.may_write.clear()
    site = Site(clock, siren(), siren("other"), lines={"siren": slow, "other": hung})
    async with site.running():
        site.set("siren", True)
        site.set("other", True)
        await site.until(lambda: site.health("other") is False)
        assert site.health("siren") is None
        slow.may_write.set()
        await site.until(lambda: site.health("siren") is True)
        assert slow.writes == [True]
