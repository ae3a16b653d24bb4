"""One connection's sending: urgent alarms, events, then oldest telemetry, retained states between.

A record is done on its own PUBACK and never before. What the broker refuses is held and tried
again slowly, and the link counts as faulty meanwhile; what is too large is set aside at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.core.effects import AlarmView
from agent.outbox.contract import WINDOW, Cursor
from agent.outbox.records import Batch, EventRecord
from agent.uplink.board import StateBoard
from agent.uplink.connection import Connection
from agent.uplink.errors import Refused, TooLarge
from agent.uplink.message import Message
from agent.uplink.poison import Flight, Record
from agent.uplink.sinks import Sink
from agent.uplink.window import Shares, TelemetryPace
from drivers.clock import Clock, Stamp
from drivers.reading import Reading
from drivers.tasks import TaskGroup, until_cancelled

MOST_HELD_EVENTS = 256
"""Refused events kept in memory while others go on; beyond it no further events are taken."""
EVENT_LOOK_S = 0.05
"""How often new events are looked for while telemetry may not be sent."""
IDLE_LOOK_S = 0.005
"""Pause when the outbox calls without having anything."""

SAVED_LOOK_S = 0.001
"""How often is looked whether a position is on disk, while that is all that is waited for."""

_BULK = Shares(WINDOW).bulk

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """What an uplink counts over its connections; owned by the uplink, written by its sender."""

    publishes: int = 0
    failures: int = 0
    last_puback_wall_ms: int | None = None
    refused: dict[str, str] = field(default_factory=dict)
    """Why, by topic; a topic leaves when the broker takes something on it."""


class Sender:
    """Sends over one connection until it is lost."""

    def __init__(
        self,
        connection: Connection,
        *,
        sink: Sink,
        cursor: Cursor,
        board: StateBoard,
        clock: Clock,
        boot: str,
        connected: Stamp,
        tally: Tally,
        on_fault: Callable[[], None],
        on_settled: Callable[[Record], None],
        is_careful: Callable[[], bool],
        retry_held_s: float,
    ) -> None:
        """`on_fault` hears that `tally.refused` changed; `is_careful` asks for one at a time."""
        self._connection = connection
        self._sink = sink
        self._cursor = cursor
        self._clock = clock
        self._boot = boot
        self._connected = connected
        self._tally = tally
        self._on_fault = on_fault
        self._on_settled = on_settled
        self._is_careful = is_careful
        self._retry_held_s = retry_held_s
        self._shares = Shares(connection.window)
        self._pace = TelemetryPace(self._shares.telemetry)
        self._wake = asyncio.Event()
        self._wanted = asyncio.Event()
        self._watch = board.watch(self._wake.set)
        self._flights: dict[tuple[str, int], Flight] = {}
        self._batches = 0
        self._states = 0
        self._asked_for = 0
        """Records the outbox is just asked for."""
        self._held_events: list[EventRecord] = []
        self._held_batches: list[Batch] = []
        self._held_states: set[tuple[str, str]] = set()
        """Points and rules, one of each pair, whose state the broker refused."""
        self._is_state_next = False
        self._is_called = False
        """The outbox called and nothing was found yet."""

    @property
    def in_flight(self) -> tuple[Flight, ...]:
        """Records sent and not answered, in the order sent; also after the link is lost."""
        return tuple(self._flights.values())

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for an answer and everything was shown."""
        return not self._flights and not self._states and not len(self._watch)

    def show_all(self) -> None:
        """Show every state and alarm anew."""
        self._watch.mark_all()

    def close(self) -> None:
        """Stop hearing of states."""
        self._watch.close()

    async def run(self) -> None:
        """Send until cancelled.

        Raises:
            ExceptionGroup: of LinkLost.
        """
        async with TaskGroup() as tasks:
            tasks.create_task(until_cancelled(self._watch_cursor), name="uplink watch outbox")
            tasks.create_task(until_cancelled(self._retry_held), name="uplink retry held")
            while True:
                self._wake.clear()
                if await self._send_some(tasks):
                    self._is_called = False
                    await asyncio.sleep(0)
                    continue
                await self._rest()

    async def publish(self, messages: Sequence[Message]) -> float:
        """Publish one after the other, keep count, and return the seconds it took.

        Raises:
            Refused, TooLarge, LinkLost: as Connection.publish; what follows is not sent.
        """
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        for message in messages:
            try:
                await self._connection.publish(message)
            except Refused as fault:
                self._tally.failures += 1
                if self._tally.refused.get(message.topic) != str(fault):
                    self._tally.refused[message.topic] = str(fault)
                    _log.error("%s; held and tried again", fault)
                    self._on_fault()
                raise
            except TooLarge:
                self._tally.failures += 1
                raise
            self._tally.publishes += 1
            self._tally.last_puback_wall_ms = self._clock.stamp().wall_ms
            if self._tally.refused.pop(message.topic, None) is not None:
                _log.warning("%s: taken again", message.topic)
                self._on_fault()
        return loop.time() - started_s

    # -- choosing what is next ---------------------------------------------------------------

    @property
    def _slots(self) -> int:
        """Messages that may be put into the connection."""
        most = 1 if self._is_careful() else self._connection.window
        return most - len(self._flights) - self._states

    @property
    def _room(self) -> int:
        """Records among them; states wait for no disk."""
        doubtful = self._doubtful
        return self._slots if self._is_over(doubtful) else min(self._slots, WINDOW - doubtful)

    @property
    def _doubtful(self) -> int:
        """Records that a cut would send again though they were taken, or may have been."""
        return len(self._flights) + self._asked_for + self._cursor.unsaved()

    @property
    def _is_beyond(self) -> bool:
        """Whether the window is full and the disk is stuck: what must not wait for it goes on."""
        return self._is_over(self._doubtful)

    def _is_over(self, doubtful: int) -> bool:
        return doubtful >= WINDOW and self._cursor.is_stuck()

    @property
    def _has_share(self) -> bool:
        """Whether telemetry leaves room in the window for events."""
        bulk = self._batches + self._states + self._cursor.unsaved()
        return bulk < _BULK

    @property
    def _takes_telemetry(self) -> bool:
        return (
            self._room > 0
            and not self._held_batches
            and self._batches + self._states < self._shares.bulk
            and (self._has_share or self._cursor.is_stuck())
            and self._batches < self._pace.limit
        )

    @property
    def _takes_events(self) -> bool:
        return self._room > 0 and len(self._held_events) < MOST_HELD_EVENTS

    async def _send_some(self, tasks: TaskGroup) -> bool:
        # A fire is shown before what waits of lesser events: these keep the order they happened in.
        if self._watch.is_urgent and self._send_state(tasks):
            return True
        if self._takes_events:
            events = await self._take_events()
            for event in events:
                self._start_record(tasks, event)
            if events:
                return True
        # Turn by turn, so that a backlog does not hold up states nor many states telemetry.
        self._is_state_next = not self._is_state_next
        if self._is_state_next:
            return self._send_state(tasks) or await self._send_batch(tasks)
        return await self._send_batch(tasks) or self._send_state(tasks)

    async def _send_batch(self, tasks: TaskGroup) -> bool:
        if not self._takes_telemetry:
            return False
        batches = await self._take_batches()
        for batch in batches:
            self._start_record(tasks, batch)
        return bool(batches)

    async def _take_events(self) -> Sequence[EventRecord]:
        regardless = self._is_beyond
        # The answer may take a while, and what is on its way is not to be given away meanwhile.
        self._asked_for = most = self._room
        try:
            return await self._cursor.take_events(most, regardless=regardless)
        finally:
            self._asked_for = 0

    async def _take_batches(self) -> Sequence[Batch]:
        regardless = self._is_beyond or not self._has_share
        self._asked_for = 1
        try:
            return await self._cursor.take_batches(1, regardless=regardless)
        finally:
            self._asked_for = 0

    def _send_state(self, tasks: TaskGroup) -> bool:
        if self._slots <= 0 or self._batches + self._states >= self._shares.bulk:
            return False
        shown = self._watch.take()
        if shown is None:
            return False
        try:
            messages = (
                self._sink.state(shown) if isinstance(shown, Reading) else self._sink.alarm(shown)
            )
        except (TypeError, ValueError) as fault:
            _log.error("not shown: %r: %s", shown, fault)
            return True
        if messages:
            self._states += 1
            tasks.create_task(self._deliver_state(shown, messages), name="uplink state")
        return True

    async def _rest(self) -> None:
        if self._is_called:
            self._is_called = False
            await asyncio.sleep(IDLE_LOOK_S)
            return
        is_stuck = self._cursor.is_stuck()
        if self._takes_telemetry and self._takes_events and not is_stuck:
            self._wanted.set()
            await self._wake.wait()
            return
        # What may not be sent would make the outbox call without end: look for events instead, and soon when it is
        # only until a position is on disk.
        is_soon = self._cursor.unsaved() and not is_stuck
        try:
            async with asyncio.timeout(SAVED_LOOK_S if is_soon else EVENT_LOOK_S):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _watch_cursor(self) -> None:
        while True:
            await self._wanted.wait()
            await self._cursor.wait()
            self._wanted.clear()
            self._is_called = True
            self._wake.set()

    # -- carrying it out ---------------------------------------------------------------------

    def _start_record(self, tasks: TaskGroup, record: Record) -> None:
        messages = self._messages(record)
        if messages is None:
            return
        size = max((len(each.payload) for each in messages), default=0)
        self._flights[record.stream, record.seq] = Flight(record=record, size=size)
        if isinstance(record, Batch):
            self._batches += 1
        tasks.create_task(self._deliver(record, messages), name="uplink record")

    async def _deliver(self, record: Record, messages: Sequence[Message]) -> bool:
        try:
            took_s = await self.publish(messages)
        except TooLarge as fault:
            self._land(record)
            self._on_settled(record)
            _log.error("set aside: %s", fault)
            self._cursor.set_aside(record, str(fault))
        except Refused:
            self._land(record)
            self._on_settled(record)
            if isinstance(record, Batch):
                self._held_batches.append(record)
            else:
                self._held_events.append(record)
            return False
        else:
            self._land(record)
            self._on_settled(record)
            if isinstance(record, Batch):
                self._pace.on_ack(took_s)
            self._cursor.done(record)
        return True

    def _land(self, record: Record) -> None:
        # Not in a finally: after a lost link what was in flight has to be known.
        del self._flights[record.stream, record.seq]
        if isinstance(record, Batch):
            self._batches -= 1
        self._wake.set()

    async def _deliver_state(self, shown: Reading | AlarmView, messages: Sequence[Message]) -> None:
        try:
            await self.publish(messages)
        except Refused:
            self._held_states.add(
                (shown.point, "") if isinstance(shown, Reading) else ("", shown.rule)
            )  # told by `tally.refused`
        except TooLarge as fault:
            _log.error("not shown: %s", fault)
        finally:
            self._states -= 1
            self._wake.set()

    async def _retry_held(self) -> None:
        while True:
            await asyncio.sleep(self._retry_held_s)
            # What a point or alarm shows by now: it may not change for days.
            held, self._held_states = self._held_states, set()
            for point, rule in held:
                if point:
                    self._watch.mark_state(point)
                else:
                    self._watch.mark_alarm(rule)
            # The oldest of each lane as a probe; all others once it passes.
            await self._probe(self._held_events)
            await self._probe(self._held_batches)

    async def _probe(self, held: list[EventRecord] | list[Batch]) -> None:
        for _ in range(len(held)):
            while self._room <= 0:  # noqa: ASYNC110 - the disk calls nobody
                await asyncio.sleep(EVENT_LOOK_S)
            index = self._first_to_go(held)
            if index is None:
                return
            record = held.pop(index)
            key = (record.stream, record.seq)
            messages = self._messages(record)
            if messages is None:
                continue
            size = max((len(each.payload) for each in messages), default=0)
            self._flights[key] = Flight(record=record, size=size)
            if isinstance(record, Batch):
                self._batches += 1
            if not await self._deliver(record, messages):
                return

    def _first_to_go(self, held: Sequence[Record]) -> int | None:
        """Return which to try first; None while all have to wait for a stuck disk."""
        if not self._is_beyond:
            return 0
        going = (at for at, each in enumerate(held) if self._cursor.goes_regardless(each))
        return next(going, None)

    def _messages(self, record: Record) -> Sequence[Message] | None:
        """Return what to publish; None: no message can be made of it, it is set aside and told."""
        try:
            return self._map(record)
        except (TypeError, ValueError) as fault:
            # Raised, it would stop this uplink for ever: the record comes first again each time.
            _log.error("set aside: %s %d: %s", record.stream, record.seq, fault)
            self._on_settled(record)
            self._cursor.set_aside(record, f"no message can be made of it: {fault}")
            return None

    def _map(self, record: Record) -> Sequence[Message]:
        if isinstance(record, Batch):
            # By its oldest reading: a batch that holds anything older is a replay.
            is_replay = self._is_replay(record.boot, record.readings[0].at)
            return self._sink.batch(record, is_replay=is_replay)
        return self._sink.event(record, is_replay=self._is_replay(record.boot, record.event.at))

    def _is_replay(self, boot: str, at: Stamp) -> bool:
        return boot != self._boot or at.mono_s < self._connected.mono_s
