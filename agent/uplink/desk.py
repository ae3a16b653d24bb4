"""Where commands from the cloud are judged, handed in, and answered.

Every command passes the same door as the command line (`submit`); before it the desk asks whether it
is one, fresh, allowed and new. Each outcome is an event that names the claimed actor and where the
broker stands. What is refused costs little: answers and events of refusals are limited, the rest is
counted and told in one event (`detail.untold`).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.core.effects import Command, Event, EventKind, Outcome
from agent.core.spec import OutputKind, SiteSpec
from agent.uplink.request import (
    ARGUMENTS,
    MOST_BYTES,
    SNAPSHOT,
    Request,
    RequestFault,
    read_id,
    read_request,
)
from agent.uplink.spec import CommandsSpec
from agent.uplink.taken import TakenCommands
from drivers.clock import Clock, ClockState, Stamp

HARMLESS = frozenset({"ack", "silence", SNAPSHOT})
"""Taken with an unsynced clock, and when the disk cannot remember them: done twice they do no more
than done once."""

SKEW_MS = 60_000
"""So far a sender's clock may be ahead of ours."""

BURST = 10
"""Commands carried out at once before `per_minute` counts."""
REFUSAL_BURST = 20
REFUSALS_PER_MINUTE = 60
"""Refusals that get an answer and an event."""

_log = logging.getLogger(__name__)

Submit = Callable[[Command], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A command as a sink has found it in a message."""

    name: str
    payload: bytes
    is_retained: bool = False
    response_topic: str = ""
    correlation: bytes | None = None
    ticket: str = ""
    """What the sink itself needs to address the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a command ended, for its asker."""

    asked: Asked
    id: str
    """Empty where the command's could not be read."""
    outcome: Outcome
    at: Stamp


class CommandDesk:
    """Judges the commands of one uplink."""

    def __init__(
        self,
        spec: CommandsSpec,
        *,
        identity: str,
        site: SiteSpec,
        taken: TakenCommands,
        submit: Submit,
        append: Callable[[Event], object],
        clock: Clock,
    ) -> None:
        """`identity` is where the broker stands; `submit` is the agent's one door."""
        self.allow = frozenset(spec.allow)
        self.keeps_s = spec.longest_s
        self._identity = identity
        self._box = site.box
        self._holding = holding_rules(site)
        self._taken = taken
        self._submit = submit
        self._append = append
        self._clock = clock
        self._opened_s = clock.stamp().mono_s
        self._longest_ms = spec.longest_s * 1000
        self._rate = _Bucket(BURST, spec.per_minute / 60)
        self._refusals = _Bucket(REFUSAL_BURST, REFUSALS_PER_MINUTE / 60)
        self._untold = 0
        self._last_refused = ""

    async def take(self, asked: Asked, show_all: Callable[[], None]) -> Answer | None:
        """Carry out a command or refuse it; None: refused, and too many were for an answer.

        `show_all` has the uplink show every state and alarm anew.
        """
        now = self._clock.stamp()
        await self._taken.load()
        request: Request | None = None
        id_ = ""
        refusal = self._unreadable(asked)
        if refusal is None:
            try:
                request = read_request(asked.name, asked.payload)
                id_ = request.id
                refusal = self._unwanted(request, now)
            except RequestFault as fault:
                id_, refusal = fault.id, _refused("bad_argument", str(fault))
        if refusal is not None or request is None:
            return self._refuse(asked, request, id_, refusal or _refused("bad_argument", ""), now)
        if not await self._remember(request, now):
            why = "the disk does not remember it, so it could be done twice"
            return self._refuse(asked, request, id_, _refused("not_recorded", why), now)
        outcome = await self._carry_out(request, show_all, now)
        await self._taken.finish(id_, outcome)
        return Answer(asked=asked, id=id_, outcome=outcome, at=self._clock.stamp())

    def tell_untold(self) -> None:
        """Put an event on the log for the refusals that got none of their own."""
        if self._untold:
            event = self._event(self._clock.stamp(), "", None, _refused(self._last_refused, ""))
            self._append(event)

    # -- judging -----------------------------------------------------------------------------

    def _unreadable(self, asked: Asked) -> Outcome | None:
        """Return why it is not even looked into."""
        if asked.is_retained:
            return _refused("retained", "a command must not be retained")
        if asked.name == "restore":
            return _refused("not_on_spot", "power returns only by a person on the spot")
        if asked.name not in ARGUMENTS:
            return _refused("bad_argument", "there is no such command")
        if asked.name not in self.allow:
            return _refused("not_allowed", f"this box does not allow {asked.name} from here")
        if len(asked.payload) > MOST_BYTES:
            return _refused("too_large", f"a command has at most {MOST_BYTES} bytes")
        return None

    def _unwanted(self, request: Request, now: Stamp) -> Outcome | None:
        """Return why a well-formed command is refused."""
        stale = self._stale(request, now)
        if stale is not None:
            return stale
        before = self._taken.find(request.id)
        if before is not None:
            return _repeated(before.outcome)
        if request.with_linkage and "output" not in self.allow:
            return _refused("not_allowed", "a drill with linkage moves outputs: not allowed here")
        if request.name == "reset" and self._holding and request.target in {"", *self._holding}:
            which = request.target or f"one of {', '.join(sorted(self._holding))}"
            return _refused(
                "not_on_spot", f"{which} holds a cut-off or valve: reset it at the box; name others"
            )
        if not self._rate.take(now.mono_s):
            return _refused("too_fast", "too many commands; ask again later")
        return None

    def _stale(self, request: Request, now: Stamp) -> Outcome | None:
        if request.expires_ms <= request.ts_ms:
            return _refused("bad_argument", "expires must be after ts")
        if request.expires_ms - request.ts_ms > self._longest_ms:
            return _refused("too_long", f"valid for at most {self._longest_ms // 1000} s")
        if now.clock is ClockState.UNSYNCED:
            if request.name in HARMLESS:
                return None
            return _refused("clock_unsynced", "this box does not know the time yet")
        if request.expires_ms < now.wall_ms:
            return _refused("expired", "it came too late")
        if request.ts_ms > now.wall_ms + SKEW_MS:
            return _refused("expired", "its ts lies in the future: one of the clocks is wrong")
        opened_ms = now.wall_ms - round((now.mono_s - self._opened_s) * 1000)
        is_older = self._taken.is_forgetful and request.ts_ms < opened_ms
        if is_older and request.name not in HARMLESS:
            return _refused("expired", "made before this start, of which nothing is remembered")
        return None

    # -- doing -------------------------------------------------------------------------------

    async def _remember(self, request: Request, now: Stamp) -> bool:
        until_ms = max(request.expires_ms, now.wall_ms + self._longest_ms) + SKEW_MS
        if await self._taken.begin(request.id, until_ms, now) or request.name in HARMLESS:
            return True
        self._taken.forget(request.id)
        return False

    async def _carry_out(
        self, request: Request, show_all: Callable[[], None], now: Stamp
    ) -> Outcome:
        if request.name != SNAPSHOT:
            return await self._submit(request.command(self._identity))
        show_all()
        outcome = Outcome(ok=True, code="done", message="everything is shown anew")
        self._append(self._event(now, SNAPSHOT, request, outcome))
        return outcome

    def _refuse(
        self, asked: Asked, request: Request | None, id_: str, outcome: Outcome, now: Stamp
    ) -> Answer | None:
        if not self._refusals.take(now.mono_s):
            self._untold += 1
            self._last_refused = outcome.code
            return None
        id_ = id_ or read_id(asked.payload)
        name = asked.name if asked.name in ARGUMENTS or asked.name == "restore" else ""
        _log.info("refused a command from %s: %s: %s", self._identity, name, outcome.code)
        self._append(self._event(now, name, request, outcome, id_))
        return Answer(asked=asked, id=id_, outcome=outcome, at=now)

    def _event(
        self, now: Stamp, name: str, request: Request | None, outcome: Outcome, id_: str = ""
    ) -> Event:
        detail: dict[str, str | int | float | bool | None] = {
            "id": id_ if request is None else request.id,
            "origin": "mqtt",
            "identity": self._identity,
        }
        if self._untold:
            detail["untold"] = self._untold
            self._untold = 0
        return Event(
            kind=EventKind.COMMAND,
            subject=self._box,
            at=now,
            to_state=name,
            actor="" if request is None else request.actor,
            code=outcome.code,
            reason="" if request is None else request.reason,
            detail=detail,
        )


class _Bucket:
    """So many at once, so many a second on average (token bucket)."""

    def __init__(self, burst: int, per_s: float) -> None:
        self._burst = float(burst)
        self._per_s = per_s
        self._left = float(burst)
        self._since_s = float("-inf")

    def take(self, now_s: float) -> bool:
        gained = max(0.0, now_s - self._since_s) * self._per_s
        self._left = min(self._burst, self._left + gained)
        self._since_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


def holding_rules(site: SiteSpec) -> frozenset[str]:
    """Return the rules whose reset would give power or water back."""
    kinds = (OutputKind.CUT_OFF, OutputKind.VALVE)
    held = {
        output.id
        for output in site.outputs
        if output.kind in kinds and not output.is_restored_by_hand
    }
    return frozenset(
        rule.id
        for rule in site.rules
        for each in site.linkages
        if held.intersection(each.outputs)
        and (not each.rules or rule.id in each.rules)
        and (not each.classes or rule.alarm_class in each.classes)
        and (not each.zones or rule.zone in each.zones)
    )


def _refused(code: str, message: str) -> Outcome:
    return Outcome(ok=False, code=code, message=message)


def _repeated(before: Outcome | None) -> Outcome:
    """Return the outcome of the first time under a code of its own."""
    if before is None:
        return _refused("repeated", "taken before; how it ended is not known")
    message = f"taken before: {before.code}: {before.message}"
    return Outcome(ok=before.ok, code="repeated", message=message)
