"""The GPIO bus on gpiozero's mock chip, its pins driven from other threads."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from blockbuster import BlockBuster

from drivers.clock import Clock, ManualClock, Stamp, SystemClock
from drivers.errors import PortUnavailable, WiringConflict
from drivers.gpio import bus as bus_module
from drivers.gpio.bus import GpioBus
from drivers.gpio.pins import InputPin, MockPins, Pins
from drivers.gpio.spec import ContactForm, LineSpec, Pull
from tests.gpio.harness import Heard, as_time_goes_by, contact, running, spec

BAD = (None, "port")


@pytest.fixture(autouse=True)
def _no_look_without_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found here is found by edges and the lookout, not by the loop looking now and then."""
    monkeypatch.setattr(bus_module, "LONGEST_REST_S", 60.0)


def drive(pins: MockPins, pin: int, high: bool) -> None:
    """Move a pin as lgpio would: from a thread that is not the loop's."""
    thread = threading.Thread(target=pins.drive, args=(pin, high))
    thread.start()
    thread.join()


async def test_the_first_level_is_a_reading_even_without_an_edge(clock: ManualClock) -> None:
    pins = MockPins()
    pins.drive(17, False)
    inputs = (contact("a", 17), contact("b", 22))
    async with running(spec(inputs=inputs), clock, pins) as (_, heard):
        await heard.until(lambda: len(heard.readings) >= 3)
    assert [(each.point, each.value) for each in heard.readings] == [
        ("io.online", True),
        ("a", True),
        ("b", False),
    ]


async def test_an_edge_wakes_the_reader_long_before_the_next_poll(clock: ManualClock) -> None:
    pins = MockPins()
    async with running(spec(poll_s=30.0, inputs=(contact("a", 17),)), clock, pins) as (_, heard):
        await heard.until(lambda: heard.last("a") == (False, ""))
        drive(pins, 17, False)
        await heard.until(lambda: heard.last("a") == (True, ""))
        drive(pins, 17, True)
        await heard.until(lambda: heard.last("a") == (False, ""))


async def test_levels_are_polled_where_edges_are_lost(clock: ManualClock) -> None:
    pins = MockPins()
    async with running(spec(inputs=(contact("a", 17),)), clock, pins) as (_, heard):
        await heard.until(lambda: heard.last("a") == (False, ""))
        pins._wire(17).edges = "none"
        drive(pins, 17, False)
        await heard.until(lambda: heard.last("a") == (True, ""))


async def test_a_line_without_edge_events_is_polled(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    class NoEdges(MockPins):
        def open(self) -> Pins:
            chip = super().open()
            claim = chip.claim_input

            def claim_input(pin: int, pull: Pull) -> InputPin:
                claimed = claim(pin, pull)

                def refuse(_: object) -> None:
                    raise PortUnavailable("mock", "no interrupts here")

                claimed.watch = refuse  # type: ignore[method-assign, assignment]
                return claimed

            chip.claim_input = claim_input  # type: ignore[method-assign]
            return chip

    pins = NoEdges()
    async with running(spec(inputs=(contact("a", 17),)), clock, pins) as (_, heard):
        drive(pins, 17, False)
        await heard.until(lambda: heard.last("a") == (True, ""))
        drive(pins, 17, True)
        await heard.until(lambda: heard.last("a") == (False, ""))
    assert caplog.text.count("polled only") == 1


async def test_a_debounced_change_is_told_when_due_and_not_at_the_next_poll() -> None:
    pins = MockPins()
    inputs = (contact("a", 17, debounce_s=0.03),)
    async with running(spec(poll_s=30.0, inputs=inputs), SystemClock(), pins) as (_, heard):
        await heard.until(lambda: heard.last("a") == (False, ""))
        before = time.perf_counter()
        drive(pins, 17, False)
        await heard.until(lambda: heard.last("a") == (True, ""))
        assert time.perf_counter() - before >= 0.03


async def test_contact_to_reading_is_fast_while_polling() -> None:
    pins = MockPins()
    clock = SystemClock()
    took_s: list[float] = []
    async with running(spec(poll_s=0.05, inputs=(contact("a", 17),)), clock, pins) as (_, heard):
        await heard.until(lambda: heard.last("a") == (False, ""))
        for step in range(100):
            want = step % 2 == 0
            before = time.perf_counter()
            drive(pins, 17, not want)
            await heard.until(lambda want=want: heard.last("a") == (want, ""))  # type: ignore[misc]
            took_s.append(time.perf_counter() - before)
    assert sorted(took_s)[50] < 0.02, "the median is far below a poll period: edges do wake"


async def test_a_storm_of_edges_ends_in_the_right_level_and_leaves_the_loop_alive() -> None:
    pins = MockPins()
    async with running(spec(inputs=(contact("a", 17),)), SystemClock(), pins) as (_, heard):
        await heard.until(lambda: heard.last("a") == (False, ""))

        def storm() -> None:
            for step in range(20_001):
                pins.drive(17, step % 2 == 1)

        thread = threading.Thread(target=storm)
        thread.start()
        turns = 0
        while thread.is_alive():
            await asyncio.sleep(0.001)
            turns += 1
        thread.join()
        await heard.until(lambda: heard.last("a") == (True, ""))
        assert turns > 0


async def test_an_unchanged_contact_is_told_again_as_proof_of_life(clock: ManualClock) -> None:
    pins = MockPins()
    async with running(spec(inputs=(contact("a", 17),)), clock, pins) as (_, heard):
        await heard.until(lambda: len(heard.of("a")) == 1)
        await asyncio.sleep(0.03)
        assert len(heard.of("a")) == 1
        clock.advance(5.0)
        await heard.until(lambda: len(heard.of("a")) == 2 and len(heard.of("io.online")) == 2)
        assert heard.readings[-1].at == clock.stamp()


async def test_a_line_fault_of_a_pair_is_bad_and_heals(clock: ManualClock) -> None:
    pins = MockPins()
    pins.drive(27, False)
    inputs = (contact("a", 17, pair_pin=27, debounce_s=0.01),)
    async with running(spec(inputs=inputs), clock, pins) as (_, heard):
        await heard.until(lambda: heard.last("a") == (False, ""))
        drive(pins, 27, True)
        await as_time_goes_by(clock, lambda: heard.last("a") == (None, "line fault"))
        drive(pins, 27, False)
        await as_time_goes_by(clock, lambda: heard.last("a") == (False, ""))


async def test_a_pin_in_use_is_bad_alone_and_heals_by_itself(clock: ManualClock) -> None:
    pins = MockPins()
    pins.take(17)
    async with running(
        spec(inputs=(contact("a", 17, pair_pin=27), contact("b", 22))), clock, pins
    ) as (_, heard):
        await heard.until(lambda: heard.last("b") == (False, ""))
        assert heard.last("a") == (None, "in use")
        assert heard.last("io.online") == (True, "")
        pins.take(17, False)
        pins.drive(27, False)
        clock.advance(5.0)
        await heard.until(lambda: heard.last("a") == (False, ""))


async def test_a_missing_chip_is_told_and_retried(clock: ManualClock) -> None:
    pins = MockPins()
    pins.unplug()
    inputs = (contact("a", 17), contact("b", 22))
    lines = (LineSpec(output="siren", pin=5),)
    async with running(spec(inputs=inputs, outputs=lines), clock, pins) as (bus, heard):
        assert heard.last("io.online") == (False, "")
        assert heard.last("a") == heard.last("b") == BAD
        assert not bus.stats().online
        with pytest.raises(PortUnavailable):
            await bus.line("siren").write(True)
        pins.plug()
        await heard.until(lambda: heard.last("a") == heard.last("b") == (False, ""))
        assert heard.last("io.online") == (True, "")
        assert bus.stats().online
        assert pins.level(5), "the relay came up with what was last asked for"


async def test_a_chip_that_is_slow_to_fail_is_noticed_each_time_it_does(
    clock: ManualClock,
) -> None:
    pins = MockPins()
    attempts: list[None] = []

    def slow() -> Pins:
        attempts.append(None)
        time.sleep(0.02)
        if len(attempts) < 4:
            raise PortUnavailable("mock", "not yet")
        return pins.open()

    async with running(spec(inputs=(contact("a", 17),)), clock, pins, slow) as (_, heard):
        await heard.until(lambda: heard.last("a") == (False, ""), within_s=4.0)
    assert len(attempts) == 4


async def test_a_chip_that_vanishes_takes_its_points_along_and_comes_back(
    clock: ManualClock,
) -> None:
    pins = MockPins()
    lines = (LineSpec(output="siren", pin=5, active_high=False),)
    async with running(spec(inputs=(contact("a", 17),), outputs=lines), clock, pins) as run:
        bus, heard = run
        await heard.until(lambda: heard.last("a") == (False, ""))
        await bus.line("siren").write(True)
        pins.unplug()
        await heard.until(lambda: heard.last("io.online") == (False, ""))
        assert heard.last("a") == BAD
        with pytest.raises(PortUnavailable):
            await bus.line("siren").read_back()
        drive(pins, 17, False)
        pins.plug()
        await heard.until(lambda: heard.last("a") == (True, ""))
        assert await bus.line("siren").read_back()


async def test_a_chip_with_relays_only_is_missed_too(clock: ManualClock) -> None:
    pins = MockPins()
    lines = (LineSpec(output="siren", pin=5),)
    async with running(spec(outputs=lines), clock, pins) as (bus, heard):
        await heard.until(lambda: heard.last("io.online") == (True, ""))
        pins.unplug()
        with pytest.raises(PortUnavailable):
            await bus.line("siren").write(True)
        await heard.until(lambda: heard.last("io.online") == (False, ""))
        pins.plug()
        await heard.until(lambda: heard.last("io.online") == (True, ""))
        assert pins.level(5)


@pytest.mark.parametrize("active_high", [True, False])
@pytest.mark.parametrize("energised", [True, False])
async def test_a_relay_is_claimed_at_its_level_without_a_blip(
    clock: ManualClock, active_high: bool, energised: bool
) -> None:
    pins = MockPins()
    level = active_high is energised
    pins.drive(5, level)  # what the board's own resistor does
    lines = (LineSpec(output="siren", pin=5, active_high=active_high, initial_energised=energised),)
    known = len(pins.history(5))
    async with running(spec(outputs=lines), clock, pins) as (bus, _):
        assert await bus.line("siren").read_back() is energised
        assert len(pins.history(5)) == known
        await bus.line("siren").write(not energised)
        assert pins.level(5) is not level
        assert await bus.line("siren").read_back() is not energised
    assert pins.level(5) is not level, "closing leaves the level alone"


async def test_relays_are_claimed_before_the_first_contact_is_read(clock: ManualClock) -> None:
    order: list[str] = []

    class Told(MockPins):
        def open(self) -> Pins:
            chip = super().open()
            claim_input, claim_output = chip.claim_input, chip.claim_output
            chip.claim_input = lambda *a: (order.append("in"), claim_input(*a))[1]  # type: ignore[method-assign, func-returns-value]
            chip.claim_output = lambda *a: (order.append("out"), claim_output(*a))[1]  # type: ignore[method-assign, func-returns-value]
            return chip

    lines = (LineSpec(output="x", pin=5), LineSpec(output="y", pin=6))
    async with running(spec(inputs=(contact("a", 17),), outputs=lines), clock, Told()) as run:
        await run[1].until(lambda: run[1].last("a") is not None)
    assert order == ["out", "out", "in"]


async def test_a_relay_pin_in_use_is_refused_alone_and_taken_when_free(clock: ManualClock) -> None:
    pins = MockPins()
    pins.take(5)
    lines = (LineSpec(output="siren", pin=5), LineSpec(output="strobe", pin=6))
    async with running(spec(outputs=lines), clock, pins) as (bus, _):
        await bus.line("strobe").write(True)
        with pytest.raises(WiringConflict):
            await bus.line("siren").write(True)
        pins.take(5, False)
        assert await bus.line("siren").read_back()


async def test_a_jammed_pin_reads_back_what_it_is(clock: ManualClock) -> None:
    pins = MockPins()
    async with running(spec(outputs=(LineSpec(output="siren", pin=5),)), clock, pins) as (bus, _):
        pins.jam(5, False)
        await bus.line("siren").write(True)
        assert not await bus.line("siren").read_back()


async def test_the_bus_can_be_run_again_and_relays_do_not_move_meanwhile(
    clock: ManualClock,
) -> None:
    pins = MockPins()
    heard = Heard()
    bus = GpioBus(
        spec(inputs=(contact("a", 17),), outputs=(LineSpec(output="siren", pin=5),)),
        clock,
        heard.emit,
        pins.open,
    )
    for attempt in (1, 2, 3):
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(bus.run(), name="bus")
            if attempt == 1:
                await bus.tried()
                await bus.line("siren").write(True)
            pins.drive(17, attempt % 2 == 0)
            await heard.until(lambda n=attempt: heard.last("a") == (n % 2 == 1, ""))  # type: ignore[misc]
            task.cancel()
        assert pins.level(5)
    bus.close()
    assert pins.history(5).count(True) == 1


async def test_a_slow_chip_does_not_hold_up_the_loop_and_a_cancel_during_it_is_clean(
    clock: Clock, unblocked_loop: BlockBuster
) -> None:
    pins = MockPins()
    may_open = threading.Event()
    closed = threading.Event()

    def slow() -> Pins:
        may_open.wait(5)
        chip = pins.open()
        close = chip.close
        chip.close = lambda: (close(), closed.set())[0]  # type: ignore[method-assign, func-returns-value]
        return chip

    bus = GpioBus(spec(), clock, Heard().emit, slow)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(bus.run(), name="bus")
        await asyncio.sleep(0.01)
        task.cancel()
    bus.close()
    may_open.set()
    assert closed.wait(5), "a chip that opened too late is closed again"


async def test_an_edge_after_the_loop_has_gone_raises_nowhere() -> None:
    pins = MockPins()
    inputs = (contact("a", 17, contact=ContactForm.NORMALLY_CLOSED),)

    def live_and_die() -> GpioBus:
        async def live() -> GpioBus:
            bus = GpioBus(spec(inputs=inputs), SystemClock(), lambda _: None, pins.open)
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(bus.run(), name="bus")
                await bus.tried()
                task.cancel()
            return bus

        return asyncio.run(live())

    bus = await asyncio.to_thread(live_and_die)
    bus._loop = asyncio.new_event_loop()
    bus._loop.close()
    bus._wake_from_thread()
    drive(pins, 17, False)
    bus.close()


async def test_looks_are_counted(clock: ManualClock) -> None:
    pins = MockPins()
    async with running(spec(inputs=(contact("a", 17),)), clock, pins) as (bus, _):
        await asyncio.sleep(0.05)
        buckets = bus.stats().transaction_buckets_s
    assert buckets[-1][0] == float("inf")
    assert buckets[-1][1] >= 3
    assert [count for _, count in buckets] == sorted(count for _, count in buckets)


async def test_the_loop_is_left_alone_while_nothing_moves(clock: ManualClock) -> None:
    pins = MockPins()
    stamps = 0
    ask = clock.stamp

    def counted() -> Stamp:
        nonlocal stamps
        stamps += 1
        return ask()

    clock.stamp = counted  # type: ignore[method-assign]
    async with running(spec(inputs=(contact("a", 17),)), clock, pins) as (bus, heard):
        await heard.until(lambda: heard.last("a") == (False, ""))
        before, looks = stamps, bus.stats().transaction_buckets_s[-1][1]
        await asyncio.sleep(0.1)
        assert bus.stats().transaction_buckets_s[-1][1] >= looks + 5
        assert stamps <= before + 1


async def test_a_change_between_two_looks_of_the_lookout_is_not_taken_for_the_old_level(
    clock: ManualClock,
) -> None:
    pins = MockPins()
    async with running(spec(poll_s=0.05, inputs=(contact("a", 17),)), clock, pins) as (_, heard):
        await heard.until(lambda: heard.last("a") == (False, ""))
        drive(pins, 17, False)  # an edge has the loop look
        await heard.until(lambda: heard.last("a") == (True, ""))
        pins._wire(17).edges = "none"
        drive(pins, 17, True)  # back before the lookout ever saw it
        await heard.until(lambda: heard.last("a") == (False, ""))


async def test_a_pin_that_cannot_be_read_for_a_while_is_told_at_once_both_ways(
    clock: ManualClock,
) -> None:
    pins = MockPins()
    async with running(spec(inputs=(contact("a", 17), contact("b", 22))), clock, pins) as (
        _,
        heard,
    ):
        await heard.until(lambda: heard.last("a") == heard.last("b") == (False, ""))
        wire, error = pins._wire(17), OSError("no answer")
        wire._get_state = lambda: (_ for _ in ()).throw(error)  # type: ignore[method-assign]
        await heard.until(lambda: heard.last("a") == BAD)
        assert heard.last("b") == (False, "")
        del wire._get_state
        await heard.until(lambda: heard.last("a") == (False, ""))


async def test_a_lookout_that_fails_ends_the_bus_loudly(clock: ManualClock) -> None:
    pins = MockPins()
    heard = Heard()
    bus = GpioBus(spec(inputs=(contact("a", 17),)), clock, heard.emit, pins.open)

    async def live() -> None:
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            tasks.create_task(bus.run(), name="bus")
            await heard.until(lambda: heard.last("a") == (False, ""))
            bus._inputs[0].has_moved = lambda: bool(1 / 0)  # type: ignore[method-assign]

    with pytest.raises(ExceptionGroup) as ended:
        await live()
    bus.close()
    assert ended.group_contains(ZeroDivisionError)
