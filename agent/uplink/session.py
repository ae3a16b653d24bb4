"""An uplink: one broker, one sink, one cursor, for as long as the agent lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from agent.core.spec import SiteSpec
from agent.outbox.contract import Cursor
from agent.uplink.board import StateBoard
from agent.uplink.codec import StatusReason
from agent.uplink.connection import Connection
from agent.uplink.deafness import Deafness
from agent.uplink.desk import CommandDesk
from agent.uplink.dial import Dialler
from agent.uplink.errors import LinkLost, Refused, TooLarge, UplinkError
from agent.uplink.hearing import Ear
from agent.uplink.limits import Hearing
from agent.uplink.message import Message
from agent.uplink.notes import Note
from agent.uplink.pauses import Pauses
from agent.uplink.poison import PoisonWatch
from agent.uplink.sender import Sender, Tally
from agent.uplink.sinks import Sink
from agent.uplink.sinks.choosing import make_sink
from agent.uplink.spec import UplinkSpec
from agent.uplink.stats import UplinkStats
from agent.uplink.tidying import Tidying
from drivers.clock import Clock, ClockState, Stamp
from drivers.tasks import TaskGroup, until_cancelled

DAY_MS = 86_400_000
DRAIN_LOOK_S = 0.01
"""How often a closing uplink looks whether all is sent."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """An uplink's own times; others than these are for tests."""

    heartbeat_s: float = 60.0
    """Between statuses (docs/design.md section 8)."""
    first_pause_s: float = 0.25
    """After a lost link; pauses grow from here to the spec's cap."""
    proven_s: float = 10.0
    """A link that held this long, or took a record, starts the pauses anew."""
    retry_held_s: float = 30.0
    """Between attempts at what the broker refused."""
    connect_s: float = 10.0
    """For the socket, again for the broker's answer, and again for that to the birth message."""
    near_connect_s: float = 3.0
    """The same in the first minute of an outage: a broker that takes the call and then says nothing
    must not cost the return of one that answers. A link that needs longer gets twice what it needed
    the last time."""
    deaf_s: float = 10.0
    """Without commands after a message larger than any; longer each time (deafness.py)."""


class _Closing(UplinkError):
    """The uplink was asked to close."""


class Uplink:
    """Connects, says who it is, sends what the outbox holds, and starts over when the link ends."""

    def __init__(
        self,
        spec: UplinkSpec,
        *,
        site: SiteSpec,
        cursor: Cursor,
        board: StateBoard,
        clock: Clock,
        boot: str,
        config_hash: str,
        on_link: Callable[[bool, str], None],
        on_certificate: Callable[[bool, str], None] | None = None,
        note: Note | None = None,
        sink: Sink | None = None,
        timing: Timing | None = None,
    ) -> None:
        """`on_link` hears each change of (is the link good, why not); None of its errors are caught.

        `on_certificate` hears on each connection and heartbeat whether all certificates last.
        In `note` stands what was left at the broker; None: nothing is cleared there.

        Raises:
            TopicFault: root, site or box cannot stand in a topic.
        """
        self._spec = spec
        self._box = site.box
        self._cursor = cursor
        self._board = board
        self._clock = clock
        self._boot = boot
        self._on_link = on_link
        self._on_certificate = on_certificate
        self._sink: Sink = sink or make_sink(spec, site=site, boot=boot, config_hash=config_hash)
        self._tidying = None if note is None else Tidying(note, self._sink.retained())
        self._desk: CommandDesk | None = None
        self._timing = timing or Timing()
        self._deafness = Deafness(self._timing.deaf_s)
        self._dialler = Dialler()
        self._tally = Tally()
        self._poison = PoisonWatch()
        self._connects = 0
        self._is_connected = False
        self._is_described = False
        self._told: tuple[bool, str] | None = None
        self._told_deafness = ""
        self._is_hearing = False
        self._closing = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self._drain_s = 0.0
        self._goodbye_s = 0.0
        self._answered_in_s = 0.0
        """The longest of the three steps of the last connection that came up."""

    def obey(self, desk: CommandDesk) -> None:
        """Listen to commands from the next connection on."""
        self._desk = desk

    async def run(self) -> None:
        """Serve until `close` or cancelled. A broker that is away is retried, never raised."""
        self._ended.clear()
        self._told = None  # whoever starts this anew has told a failure of its own since
        loop = asyncio.get_running_loop()
        pauses = Pauses(self._timing.first_pause_s, self._spec.reconnect_cap_s)
        try:
            if self._tidying is not None:
                await self._tidying.prepare()
            while not self._closing.is_set():
                started_s, acked = loop.time(), self._tally.publishes
                try:
                    await self._connect_and_serve(self._patience_s(pauses, started_s))
                except _Closing:
                    break
                except UplinkError as fault:
                    was_up = self._is_connected
                    self._is_connected = False
                    if isinstance(fault, LinkLost) and fault.is_flooded:
                        deaf_s = self._deafness.begin(loop.time())
                        _log.error("%s: no commands for %.0f s: %s", self._spec.id, deaf_s, fault)
                    self._tell(False, str(fault))
                    self._look_at_certificates()
                    is_proven = loop.time() - started_s >= self._timing.proven_s
                    if was_up and (is_proven or self._tally.publishes > acked + 2):
                        pauses.reset()
                await self._pause(pauses.next_s(loop.time()))
        finally:
            self._is_connected = False
            self._tell(False, "stopped")
            self._ended.set()

    async def close(self, deadline_s: float) -> None:
        """Send what is left, say `offline`, disconnect; give up after `deadline_s`.

        Afterwards `run` has returned or returns at its next step. Without a link it returns at once.
        """
        # Half for what is left to send, a quarter for the farewell, the rest for closing.
        self._drain_s, self._goodbye_s = deadline_s / 2, deadline_s / 4
        self._closing.set()
        try:
            async with asyncio.timeout(deadline_s):
                await self._ended.wait()
        except TimeoutError:
            _log.warning("%s: did not close within %g s", self._spec.id, deadline_s)

    def stats(self) -> UplinkStats:
        """Return the counters as they are now. Connected is: linked, and nothing refused."""
        is_good, reason = self._state()
        return UplinkStats(
            id=self._spec.id,
            broker=f"{self._spec.host}:{self._spec.port}",
            is_connected=is_good,
            reason=reason,
            connects=self._connects,
            publishes=self._tally.publishes,
            publish_failures=self._tally.failures,
            last_puback_wall_ms=self._tally.last_puback_wall_ms,
            certificate_ends_wall_ms=min(self._dialler.certificates.values(), default=None),
            hears_commands=self._is_connected and self._is_hearing,
        )

    # -- one connection ----------------------------------------------------------------------

    def _patience_s(self, pauses: Pauses, now_s: float) -> float:
        longest_s = self._timing.connect_s
        if not pauses.is_near(now_s):
            return longest_s
        return min(longest_s, max(self._timing.near_connect_s, 2 * self._answered_in_s))

    async def _connect_and_serve(self, patience_s: float) -> None:
        connected = self._clock.stamp()
        started_s = asyncio.get_running_loop().time()
        connection = await self._open(connected, patience_s)
        opened_in_s = asyncio.get_running_loop().time() - started_s
        self._connects += 1
        self._tally.refused.clear()
        sender = Sender(
            connection,
            sink=self._sink,
            cursor=self._cursor,
            board=self._board,
            clock=self._clock,
            boot=self._boot,
            connected=connected,
            tally=self._tally,
            on_fault=self._retell,
            on_settled=self._poison.on_settled,
            is_careful=lambda: self._poison.is_suspicious,
            retry_held_s=self._timing.retry_held_s,
        )
        was_alone = self._poison.is_suspicious
        try:
            await self._serve(connection, sender, patience_s, opened_in_s)
        except LinkLost as loss:
            flights = sender.in_flight
            if self._poison.on_loss(loss, flights, was_alone=was_alone):
                guilty = flights[0].record
                _log.error("set aside, the broker hangs up at it: %s %d", guilty.stream, guilty.seq)
                self._cursor.set_aside(guilty, f"the broker hangs up at it: {loss}")
                self._poison.on_settled(guilty)
            raise
        except _Closing:
            await self._say_goodbye(connection, sender)
            raise
        finally:
            sender.close()
            await connection.abandon()

    async def _open(self, connected: Stamp, patience_s: float) -> Connection:
        connection: Connection | None = None
        fault: UplinkError | None = None
        try:
            async with TaskGroup() as tasks:
                closing = tasks.create_task(self._heed_close(None), name=f"{self._spec.id} close")
                connection = await Connection.open(
                    self._spec,
                    self._dialler,
                    client_id=self._spec.client_id or self._box,
                    will=self._sink.will(connected),
                    timeout_s=patience_s,
                    hearing=self._hearing(),
                )
                closing.cancel()
        except* UplinkError as group:
            fault = _weightiest(group)
        if fault is None and connection is not None:
            return connection
        if connection is not None:  # opened and asked to close in the same turn of the loop
            await connection.abandon()
        raise fault or _Closing

    async def _serve(
        self, connection: Connection, sender: Sender, patience_s: float, opened_in_s: float
    ) -> None:
        fault: UplinkError | None = None
        ear = Ear(connection, self._sink, self._desk, sender.show_all)
        self._is_hearing = False
        try:
            async with TaskGroup() as tasks:
                listening = until_cancelled(ear.listen)
                tasks.create_task(listening, name=f"{self._spec.id} listen")
                answering = until_cancelled(ear.answer)
                tasks.create_task(answering, name=f"{self._spec.id} answer")
                tasks.create_task(self._heed_close(sender), name=f"{self._spec.id} close")
                born_in_s = await self._introduce(sender, patience_s)
                self._answered_in_s = max(opened_in_s, born_in_s)
                if self._deafness.left_s(asyncio.get_running_loop().time()):
                    tasks.create_task(self._open_ear_later(ear), name=f"{self._spec.id} deaf")
                else:
                    await self._open_ear(ear)
                tasks.create_task(until_cancelled(sender.run), name=f"{self._spec.id} send")
                beating = until_cancelled(partial(self._beat, sender))
                tasks.create_task(beating, name=f"{self._spec.id} heartbeat")
        except* UplinkError as group:
            fault = _weightiest(group)
        if fault is not None:
            raise fault

    async def _introduce(self, sender: Sender, patience_s: float) -> float:
        """Say who we are and begin; return how long the birth message took to be answered."""
        now = self._clock.stamp()
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        try:
            async with asyncio.timeout(patience_s):
                await self._say(sender, self._sink.status(now, StatusReason.CONNECTED))
        except TimeoutError:
            raise LinkLost(f"no answer to the birth message within {patience_s:g} s") from None
        born_in_s = loop.time() - started_s
        self._is_described = await self._say(sender, self._sink.meta(now))
        if self._tidying is not None:
            await self._tidying.tidy(partial(self._say, sender))
        self._cursor.rewind()
        self._is_connected = True
        self._look_at_certificates()
        self._retell()
        return born_in_s

    async def _say(self, sender: Sender, messages: Sequence[Message]) -> bool:
        """Publish about ourselves; return whether it was taken. Records are worth more than this."""
        try:
            await sender.publish(messages)
        except Refused as fault:
            _log.debug("not taken: %s", fault)  # told by the tally
            return False
        except TooLarge as fault:
            _log.error("the cloud gets no description of this site: %s (max_payload_kib)", fault)
            return True  # will never be
        return True

    async def _beat(self, sender: Sender) -> None:
        while True:
            await asyncio.sleep(self._timing.heartbeat_s)
            now = self._clock.stamp()
            await self._say(sender, self._sink.status(now, StatusReason.HEARTBEAT))
            self._look_at_certificates()
            if self._desk is not None:
                self._desk.tell_untold()
            if not self._is_described:
                self._is_described = await self._say(sender, self._sink.meta(now))

    async def _heed_close(self, sender: Sender | None) -> None:
        await self._closing.wait()
        if sender is not None:
            try:
                async with asyncio.timeout(self._drain_s):
                    while self._cursor.unsent() or not sender.is_idle:  # noqa: ASYNC110 - counts, no event
                        await asyncio.sleep(DRAIN_LOOK_S)
            except TimeoutError:
                _log.info("%s: stops with records unsent", self._spec.id)
        raise _Closing

    async def _say_goodbye(self, connection: Connection, sender: Sender) -> None:
        farewell = self._sink.status(self._clock.stamp(), StatusReason.STOPPED)
        try:
            async with asyncio.timeout(self._goodbye_s):
                await sender.publish(farewell)
        except (UplinkError, TimeoutError) as fault:
            # Without a word on the wire the will has to speak: no clean disconnect.
            _log.warning("%s: no farewell: %s", self._spec.id, fault)
            return
        await connection.close(timeout_s=self._goodbye_s)

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._closing.wait()
        except TimeoutError:
            return

    def _look_at_certificates(self) -> None:
        if self._on_certificate is None or self._spec.tls is None:
            return
        now = self._clock.stamp()
        left_days = {
            whose: (end_ms - now.wall_ms) / DAY_MS
            for whose, end_ms in self._dialler.certificates.items()
        }
        whose = min(left_days, key=left_days.__getitem__, default="")
        is_known = now.clock is ClockState.SYNCED and whose != ""
        if is_known and left_days[whose] < self._spec.tls.warn_days:
            end = datetime.fromtimestamp(self._dialler.certificates[whose] / 1000, UTC)
            self._on_certificate(False, f"the certificate of the {whose} ends {end:%Y-%m-%d}")
        else:
            self._on_certificate(True, "")

    # -- telling -----------------------------------------------------------------------------

    def _state(self) -> tuple[bool, str]:
        if not self._is_connected:
            return False, self._told[1] if self._told is not None else "not connected yet"
        if self._tally.refused:
            return False, next(iter(self._tally.refused.values()))
        return True, ""

    async def _open_ear_later(self, ear: Ear) -> None:
        await asyncio.sleep(self._deafness.left_s(asyncio.get_running_loop().time()))
        await self._open_ear(ear)
        if self._is_hearing:
            _log.warning("%s: commands are heard again", self._spec.id)

    async def _open_ear(self, ear: Ear) -> None:
        why = await ear.open(self._spec.id)
        self._is_hearing = not why and self._desk is not None and bool(self._desk.allow)
        if why and why != self._told_deafness:
            _log.error("%s", why)
        self._told_deafness = why

    def _hearing(self) -> Hearing:
        is_deaf = self._deafness.left_s(asyncio.get_running_loop().time()) > 0
        if self._desk is None or not self._desk.allow or is_deaf:
            return Hearing()
        return Hearing(keeps_s=self._desk.keeps_s)

    def _retell(self) -> None:
        if self._is_connected:
            self._tell(*self._state())

    def _tell(self, is_good: bool, reason: str) -> None:
        if self._told == (is_good, reason):
            return
        self._told = (is_good, reason)
        if is_good:
            _log.info("%s: linked to %s:%d", self._spec.id, self._spec.host, self._spec.port)
        else:
            level = logging.INFO if self._closing.is_set() else logging.WARNING
            _log.log(level, "%s: %s", self._spec.id, reason)
        self._on_link(is_good, reason)


def _weightiest(group: BaseExceptionGroup[UplinkError]) -> UplinkError:
    """Return the error that says most: a wish to close, then a loss that names its cause."""
    leaves = list(_leaves(group))
    for leaf in leaves:
        if isinstance(leaf, _Closing):
            return leaf
    return max(
        leaves,
        key=lambda leaf: (
            (leaf.code is not None, leaf.is_by_peer)
            if isinstance(leaf, LinkLost)
            else (False, False)
        ),
    )


def _leaves(group: BaseExceptionGroup[UplinkError]) -> Iterator[UplinkError]:
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each
