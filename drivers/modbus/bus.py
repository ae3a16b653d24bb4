"""One Modbus port and everything on it: a single task owns the line.

    orders (writes, read backs) --> |            |
    asks (silent devices, budget) -> |  the owner | --> Link --> wire
    polls (fire, normal, slow) ----> |            |
                                       readings --> emit

What waits longest never decides: orders go first, then at most one question to a silent device,
then polls by class. A device that falls silent is taken out of the polls and asked by itself, at a
small share of the bus time, so that it costs the others next to nothing.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from itertools import accumulate

from drivers.backoff import Backoff
from drivers.base import BusStats, Emit
from drivers.clock import Clock, Stamp
from drivers.errors import BadReply, DriverError, NoReply, PortUnavailable, Refused
from drivers.modbus.device import Device, Read
from drivers.modbus.orders import (
    OrderDesk,
    Orders,
    is_answer,
    is_worth_another_try,
)
from drivers.modbus.outputs import ModbusLine
from drivers.modbus.presence import Presence
from drivers.modbus.schedule import ORDER, Poll, Schedule
from drivers.modbus.silent import SilentDevices
from drivers.modbus.spec import DeviceSpec, ModbusBusSpec
from drivers.modbus.telling import Telling, known
from drivers.modbus.transport import Link
from drivers.tasks import TaskGroup, until_cancelled

_log = logging.getLogger(__name__)

PORT_PROVEN_S = 2.0
"""A port that was lost counts as back after an answer, or after staying open this long: some
gateways accept a connection and drop it at once."""
REOPEN_AFTER_S = 5.0
"""With no answer from anything for this long the port is opened anew: a connection can be dead
without a word, an adaptor can hang."""
REOPEN_AFTER_FAILURES = 3

_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, float("inf"))


class ModbusBus:
    """A port with its devices; implements drivers.base.Bus."""

    def __init__(
        self,
        spec: ModbusBusSpec,
        clock: Clock,
        emit: Emit,
        *,
        backoff: Backoff | None = None,
        phase_s: float | None = None,
    ) -> None:
        """`backoff` paces the attempts to open the port.

        With `phase_s`, polls and proofs of life come whenever the loop's time is a multiple of their
        period and that much more, so that ports can take turns or go together; else they keep the
        beat of their first.

        Raises:
            ValueError: a quantity is wider than its device's reads, or makes no sense.
        """
        self._spec = spec
        self._clock = clock
        self._backoff = backoff or Backoff(0.25, 5.0)
        self._devices = {each.id: Device(each, spec) for each in spec.devices}
        self._schedule: Schedule[Read] = Schedule(phase_s)
        self._wake = asyncio.Event()
        self._orders = Orders(self._wake.set)
        self._lines = {
            output.output: ModbusLine(device, output, self._orders, longest_order_s(spec, device))
            for device in spec.devices
            for output in device.outputs
        }
        self._link = Link(spec.id, spec.port, clock, settle_s=spec.settle_s, on_lost=self._wake.set)
        self._desk = OrderDesk(
            spec.id,
            self._link,
            self._devices,
            self._orders,
            retries=spec.retries,
            on_answer=self._note_order,
            on_failure=self._note,
        )
        self._is_renewed_after_silence = spec.kind == "modbus-rtu-tcp"
        self._must_renew = False
        self._telling = Telling(spec.id, clock, emit, self._devices.values(), phase_s)
        self._say = self._telling.say
        self._is_port_lost = False
        self._is_port_proven = False
        self._opened_s = 0.0
        self._answered_s: float | None = None
        self._silent_in_a_row = 0
        self._silent = SilentDevices(
            self._devices.values(),
            probe_share=spec.probe_share,
            has_transactions=spec.kind == "modbus-tcp",
        )
        self._progress_s = 0.0
        self._late_polls = 0
        self._durations = [0] * len(_BOUNDS_S)
        self._durations_sum_s = 0.0

    @property
    def id(self) -> str:
        """The bus's id in the configuration."""
        return self._spec.id

    def line(self, output: str) -> ModbusLine:
        """Return the line of an output.

        Raises:
            KeyError: no such output on this bus.
        """
        return self._lines[output]

    def stats(self) -> BusStats:
        """Return counters as they are now; durations are from sending to the answer or time-out."""
        return BusStats(
            id=self.id,
            kind=self._spec.kind,
            online=bool(self._telling.online),
            late_polls=self._late_polls,
            transaction_buckets_s=tuple(zip(_BOUNDS_S, accumulate(self._durations), strict=True)),
            transaction_sum_s=self._durations_sum_s,
            devices=tuple(each.state.stats() for each in self._devices.values()),
        )

    async def run(self) -> None:
        """Acquire until cancelled; see drivers.base.Bus.

        Raises:
            ExceptionGroup: a fault of the driver itself; everything here has been said to be bad.
        """
        self._forget_presence()
        self._orders.accept()
        self._progress_s = asyncio.get_running_loop().time()
        try:
            async with TaskGroup() as tasks:
                tasks.create_task(until_cancelled(self._own), name=f"{self.id} line")
                telling = until_cancelled(self._tell_regularly)
                tasks.create_task(telling, name=f"{self.id} proof of life")
        except Exception:
            self._telling.say_lost()
            raise
        finally:
            self._orders.refuse(self.id, "stopped")
            self._link.abandon()

    # -- the port --------------------------------------------------------------------------------------

    async def _own(self) -> None:
        """Keep the port open and serve it."""
        loop = asyncio.get_running_loop()
        while True:
            self._answered_s = None
            self._silent_in_a_row = 0
            self._is_port_proven = self._must_renew = False
            try:
                await self._link.open()
                self._opened_s = loop.time()
                self._orders.accept()
                await self._serve()
            except PortUnavailable as error:
                self._link.close()
                self._progress_s = loop.time()
                if not self._was_useful():
                    self._lose(error)
                    await asyncio.sleep(self._backoff.next_s())

    def _was_useful(self) -> bool:
        """Return whether anything answered since the port was opened.

        Lost in the midst of work it is opened anew at once, and told lost only if that fails.
        """
        return self._answered_s is not None

    def _lose(self, error: PortUnavailable) -> None:
        """The port is not there: say so for everything on it."""
        self._orders.refuse(self.id, error.message)
        self._forget_presence()
        if self._is_port_lost:
            return
        _log.error("bus %s is offline: %s", self.id, error.message)
        self._is_port_lost = True
        self._telling.say_lost()

    def _forget_presence(self) -> None:
        """Let every device be asked anew, as after the start."""
        for device in self._devices.values():
            device.state.forget()
            self._hold(device)

    async def _serve(self) -> None:
        """Do what is to be done on the open port, until it is lost.

        Raises:
            PortUnavailable: it was lost, or nothing answers on it.
        """
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            now_s = loop.time()
            self._progress_s = now_s
            if not self._link.is_open:
                raise PortUnavailable(self.id, "connection lost")
            self._judge_port(now_s)
            if (order := self._desk.next_write()) is not None:
                await self._desk.perform(order)  # before a settling or a renewal is over
            elif self._link.ready_s > now_s + 0.002:
                await self._sleep_until(self._link.ready_s)  # a write may come meanwhile
            elif self._must_renew:
                # without transaction ids a late answer cannot be told from the next one
                self._must_renew = False
                await self._link.open()
            elif (order := self._orders.take_read()) is not None:
                await self._desk.perform(order)
            else:
                await self._read_or_rest(now_s)

    async def _read_or_rest(self, now_s: float) -> None:
        """Read what is due; sleep when nothing is."""
        due_s = self._schedule.next_due_s()
        is_poll_due = due_s is not None and due_s <= now_s
        if (silent := self._silent.next_to_ask(now_s, is_poll_due=is_poll_due)) is not None:
            await self._ask(silent)
        elif is_poll_due and (poll := self._next_poll(now_s)) is not None:
            self._silent.let_one_in()
            await self._poll(poll)
        elif not self._silent.let_one_in():
            await self._sleep_until(self._next_work_s(now_s, due_s))

    def _judge_port(self, now_s: float) -> None:
        """Tell when the port is back; give it up when nothing answers on it.

        Raises:
            PortUnavailable: to have it opened anew.
        """
        heard_s = self._opened_s if self._answered_s is None else self._answered_s
        if now_s - heard_s >= REOPEN_AFTER_S and self._silent_in_a_row >= REOPEN_AFTER_FAILURES:
            self._answered_s = heard_s  # opened anew at once, and lost only if that fails
            raise PortUnavailable(self.id, "nothing answers")
        if not self._is_port_proven and now_s - self._opened_s >= PORT_PROVEN_S:
            self._prove_port()

    def _prove_port(self) -> None:
        self._is_port_proven = True
        self._is_port_lost = False
        self._backoff.reset()
        self._judge_online()

    def _judge_online(self) -> None:
        self._telling.judge(is_port_lost=self._is_port_lost)

    async def _sleep_until(self, until_s: float) -> None:
        """Sleep until a time of the loop, or until an order comes or the port is lost."""
        timer = asyncio.get_running_loop().call_at(until_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    def _next_work_s(self, now_s: float, due_s: float | None) -> float:
        """Return when there is something to do without anybody asking; a poll is due at `due_s`."""
        times = [now_s + 1.0, *self._silent.due_s(now_s)]
        if due_s is not None:
            times.append(due_s)
        return max(now_s, min(times))

    # -- silent devices --------------------------------------------------------------------------------

    async def _ask(self, device: Device) -> None:
        """Ask a device that is not live one question; any answer makes it live again."""
        share, was_asked = self._silent.share_of(device), device.state.was_asked
        started_s = asyncio.get_running_loop().time()
        sounding = self._sounding(device.question)
        error = await self._attempt(device, sounding or device.question)
        if error is None or device.state.presence is Presence.LIVE:
            self._silent.answered()
            return
        cost_s = self._let_others_first(started_s)
        self._silent.unanswered(device, share, cost_s, was_asked=was_asked)
        at = self._clock.stamp()
        if device.state.presence is Presence.ASKED:
            self._say(device.spoil(device.question, _reason(error), at))
        if isinstance(error, PortUnavailable):
            raise error

    def _let_others_first(self, started_s: float) -> float:
        """After a silence let the polls that waited for it go first; return what it cost them."""
        ended_s = max(asyncio.get_running_loop().time(), self._link.ready_s)
        self._silent.let_others_first(ended_s - started_s, ended_s)
        return ended_s - started_s

    # -- polls -----------------------------------------------------------------------------------------

    def _next_poll(self, now_s: float) -> Poll[Read] | None:
        """Return the poll to do now; what met silence yields like a question to a silent device."""
        return self._schedule.take(now_s, may_try_again=not self._silent.must_yield(now_s))

    async def _poll(self, poll: Poll[Read]) -> None:
        """Take one turn of a poll, or one of its tries."""
        loop = asyncio.get_running_loop()
        read, device = poll.what, poll.what.device
        started_s = loop.time()
        sounding = self._sounding(read)
        error = await self._attempt(device, sounding or read)
        if isinstance(error, PortUnavailable):
            self._schedule.put(poll)
            raise error
        if sounding is not None and (error is None or is_answer(error)):
            if poll.turn == 0 and poll in device.polls:
                self._schedule.put(poll)  # nothing older than its own answer can come now
            return
        is_live = device.state.presence is Presence.LIVE
        is_last = poll.tries >= self._spec.retries or not is_live
        if error is not None and not is_last and is_worth_another_try(error):
            poll.tries += 1
            if is_answer(error):  # busy: what fell due meanwhile goes first
                self._schedule.put(poll, behind_s=loop.time())
            else:
                self._try_later(poll, started_s)
            return
        was_doubtful = poll.tries > 0
        if poll.turn == 0 and poll in device.polls:
            self._late_polls += self._schedule.done(poll, loop.time())
        if was_doubtful:
            self._release(device)
        if error is None:
            self._ask_missing_again(device)
            return
        at = self._clock.stamp()
        if device.state.presence is not Presence.OFFLINE:
            self._say(device.spoil(read, _reason(error), at))
        if not is_answer(error):
            device.state.suspect(loop.time())
            self._hold(device)
            self._let_others_first(started_s)

    def _try_later(self, poll: Poll[Read], started_s: float) -> None:
        """After a silence let the others go first; until the device answers, hold what is no more urgent.

        They have waited for this device long enough, and another of its reads would cost them as much.
        """
        for other in poll.what.device.polls:
            if ORDER.index(other.poll_class) >= ORDER.index(poll.poll_class):
                self._schedule.remove(other)
        self._schedule.put_aside(poll)
        self._let_others_first(started_s)

    def _release(self, device: Device) -> None:
        """Put back what was held of a device in doubt; they keep their beat."""
        if device.state.presence is Presence.LIVE:
            for poll in device.polls:
                if poll.turn == 0:
                    self._schedule.put(poll)

    def _ask_missing_again(self, device: Device) -> None:
        old = device.polls
        if device.ask_missing_again(asyncio.get_running_loop().time()):
            for poll in old:
                self._schedule.remove(poll)
            self._plan_again(device)

    def _hold(self, device: Device) -> None:
        if device.state.presence is not Presence.LIVE:
            for poll in device.polls:
                self._schedule.remove(poll)

    def _plan_again(self, device: Device) -> None:
        """Schedule what is to be polled of a live device, all of it now."""
        now_s = asyncio.get_running_loop().time()
        for poll in device.polls:
            if poll.turn == 0:
                self._schedule.begin(poll, now_s)

    # -- one transaction -------------------------------------------------------------------------------

    def _sounding(self, read: Read) -> Read | None:
        """Return what to ask first, so that a late answer is not taken for that of a read."""
        first = self._link.sounding(read.device.spec.unit, read.request)
        return None if first is None else Read(read.device, first, ())

    async def _attempt(self, device: Device, read: Read) -> DriverError | None:
        """Make one read and emit what it told; return what went wrong."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        try:
            reply = await self._link.read(
                device.spec.unit,
                read.request,
                source=device.id,
                timeout_s=device.timeout_s,
                gap_s=device.spec.gap_s,
            )
        except DriverError as error:
            self._note(device, error, started_s)
            if isinstance(error, Refused) and is_answer(error):
                old = device.polls
                if device.take_apart(read, error.code, loop.time()):
                    for poll in old:
                        if poll not in device.polls:
                            self._schedule.remove(poll)
                    self._plan_again(device)
            return error
        self._count(loop.time() - started_s)
        came = self._note_answer(device, reply.at)
        readings = device.take(read, reply.words, reply.at)
        self._say([*known(device.online_reading(reply.at)), *readings] if came else readings)
        return None

    def _note_answer(self, device: Device, at: Stamp) -> bool:
        """Note that a device answered; return whether its online point has news."""
        was_known, was_live = device.state.online, device.state.presence is Presence.LIVE
        came = device.state.answered(at.wall_ms)
        self._answered_s = asyncio.get_running_loop().time()
        self._silent_in_a_row = 0
        if not self._is_port_proven:
            self._prove_port()
        if came:
            self._judge_online()
        if came and was_known is not None:
            _log.warning("device %s is online again", device.id)
        if not was_live:
            self._plan_again(device)
        return came

    def _note(self, device: Device, error: DriverError, started_s: float) -> None:
        """Note a failed transaction, and what it says about the device."""
        loop = asyncio.get_running_loop()
        now = self._clock.stamp()
        if isinstance(error, PortUnavailable):
            device.state.count("port")
            return
        self._count(loop.time() - started_s)
        if is_answer(error):
            device.state.count("exception")
            if self._note_answer(device, now):
                self._say(known(device.online_reading(now)))
            return
        if isinstance(error, Refused):
            self._answered_s = loop.time()  # by the gateway: the port is well
        else:
            self._must_renew = self._is_renewed_after_silence
        self._silent_in_a_row += 1
        if device.state.failed(started_s, loop.time(), _kind(error)):
            _log.error("device %s is offline: %s", device.id, error.message)
            self._say([*known(device.online_reading(now)), *device.spoil_all(_reason(error), now)])
            self._judge_online()
        self._hold(device)

    def _note_order(self, device: Device, started_s: float) -> None:
        """Note that a device confirmed an order."""
        self._count(asyncio.get_running_loop().time() - started_s)
        at = self._clock.stamp()
        if self._note_answer(device, at):
            self._say(known(device.online_reading(at)))

    def _count(self, duration_s: float) -> None:
        self._durations[bisect_left(_BOUNDS_S, duration_s)] += 1
        self._durations_sum_s += duration_s

    async def _tell_regularly(self) -> None:
        await self._telling.tell_regularly(lambda: self._progress_s)


def longest_order_s(spec: ModbusBusSpec, device: DeviceSpec) -> float:
    """Return how long a write or read back of one output takes at most, in seconds.

    A read that keeps silent may be under way, a read back waits for the settling after it, then come
    its own tries. One more try's time is for what else is to be written at the same moment.
    """
    timeouts_s = [
        spec.timeout_s if each.timeout_s is None else each.timeout_s for each in spec.devices
    ]
    gaps_s = [each.gap_s for each in spec.devices]
    own_s = spec.timeout_s if device.timeout_s is None else device.timeout_s
    under_way_s = max(timeouts_s) + max(gaps_s) + spec.settle_s
    return under_way_s + (2 + spec.retries) * (own_s + device.gap_s)


def _kind(error: DriverError) -> str:
    """Return the word under which a failure is counted; see drivers.base.DeviceStats."""
    if isinstance(error, Refused):
        return "exception"
    if isinstance(error, BadReply):
        return "bad reply"
    return "timeout" if isinstance(error, NoReply) else "port"


def _reason(error: DriverError) -> str:
    """Return the word a reading carries."""
    return f"exception {error.code}" if isinstance(error, Refused) else _kind(error)
