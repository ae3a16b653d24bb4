"""A simple model of alarms to hold the core against. It imports nothing from the agent.

Written from docs/design.md section 5 and docs/alarm-states.md alone, as a person would work it out on
paper: an alarm is nothing, active, returned or latched; beside that stand whether it was seen and
whether it was silenced, whether a person took it out, and whether it is a drill's; one delay runs at a
time. Time is handed in. tests/core/model_memory.py says what is left of it on the disk. What must hold,
in words (tests/core/witness.py judges each of them without this model):

- Fire and gas never clear without a person.
- Unknown never clears: what is active stays so until a known value says otherwise. Nor does it raise.
- Every transition is exactly one event.
- Silence never hides a new alarm: it sounds, whatever was silenced before it.
- A drill never leaves as fire, and a fire outside it never as a drill.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isfinite

from tests.core.model_memory import Disk, Drill, Kept, Moment, Order

RANKS = ("fire", "gas", "supervisory", "fault", "technical")
SOUNDING = ("siren", "buzzer")
LONGEST_INHIBIT_S = 7 * 86_400.0
LONGEST_DRILL_S = 4 * 3600.0

Known = bool | float | None
Truth = bool | None


@dataclass(frozen=True)
class Written:
    """A rule as it is written down."""

    id: str
    klass: str
    point: str
    kind: str
    """`contact` (true), `open` (false), `above`, `below`, `unheard`."""
    limit: float = 0.0
    deadband: float = 0.0
    on_s: float = 0.0
    off_s: float = 0.0
    ending: str = "acked"
    """`latched`, `acked` (needs an ack) or `alone`."""
    parents: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def is_sticky(self) -> bool:
        return self.ending == "latched" or self.klass in ("fire", "gas")

    @property
    def rank(self) -> int:
        return RANKS.index(self.klass)


@dataclass
class Paper:
    """One alarm, on paper."""

    rule: Written
    state: str = ""
    """Empty, `active`, `returned` or `latched`."""
    is_seen: bool = False
    seen_by: str = ""
    is_silenced: bool = False
    is_hidden: bool = False
    """By a parent fault."""
    inhibit: Order | None = None
    """A person took it out."""
    is_test: bool = False
    """Raised in a drill."""
    is_dry: bool = False
    """And moves nothing."""
    waits: str = ""
    """Empty, `on` (the on-delay) or `off` (the off-delay)."""
    due_s: float = inf
    left_s: float = 0.0
    is_beyond: bool = False
    """Which side of a deadband it was on when last known."""
    truth: Truth = None
    told_s: float = -inf
    """Points are read at slightly different times; an alarm's own time does not run backwards."""
    serial: int = 0
    """Of its last transition."""
    has_moved: bool = False
    """Since the start: what the disk says later is older."""

    @property
    def name(self) -> str:
        """Its state in the words of the contract."""
        if not self.state:
            return "normal"
        if self.state == "returned":
            return "returned_unacked"
        return f"{self.state}_{'acked' if self.is_seen else 'unacked'}"

    @property
    def is_at_rest(self) -> bool:
        return not self.state and not self.waits

    @property
    def is_raised_never(self) -> bool:
        """Nothing new is raised of it now."""
        return self.is_hidden or self.inhibit is not None

    @property
    def hides(self) -> bool:
        """A drill hides nothing that is real."""
        return self.state == "active" and not self.is_test


@dataclass
class Model:
    """All alarms of a site, on paper."""

    rules: tuple[Written, ...]
    kinds: dict[str, str]
    """Output id to what it is."""
    zones: dict[str, str]
    """Point to its zone; a point without one is not there."""
    stale_s: float
    poll_s: float
    clock: Callable[[], tuple[int, bool]]
    """The clock on the wall: milliseconds, and whether it was set."""
    now_s: float = 0.0
    papers: dict[str, Paper] = field(default_factory=dict)
    told: list[tuple[str, ...]] = field(default_factory=list)
    """(kind, subject, from, to, `test` or nothing) of every transition, in order."""
    values: dict[str, Known] = field(default_factory=dict)
    """What each point is read as until something else is said; not there: silent."""
    seen: dict[str, Known] = field(default_factory=dict)
    """What the last reading of each point said; None: bad or stale."""
    heard_s: dict[str, float] = field(default_factory=dict)
    drill: Drill | None = None
    disk: Disk = field(default_factory=Disk)
    """What snapshot and log say together."""
    saved: Disk = field(default_factory=Disk)
    """What the snapshot says."""
    coming: Disk | None = None
    """What a memory that comes late will say; None: all is known."""
    early: Disk = field(default_factory=Disk)
    """What was known of it at the start."""
    ended: set[str] = field(default_factory=set)
    """Inhibits that ended since the start, and `drill`: the disk knows nothing newer of them."""
    held: set[str] = field(default_factory=set)
    """What was cut since the start: not let go before all is known."""
    told_at: Moment = field(default_factory=lambda: Moment(0.0, 0, False))
    serial: int = 0

    def start(self) -> None:
        """Begin without memory."""
        self._begin(Disk())

    def read(self, point: str, value: Known) -> None:
        """A reading comes in, and goes on coming with every poll."""
        self.values[point] = value
        self._take(point, value)
        self._run_out(self.now_s)
        self._tell_time()

    def silent(self, point: str) -> None:
        """Nothing is heard of the point from now on."""
        self.values.pop(point, None)

    def advance(self, seconds: float) -> None:
        """Let time pass; a call's polls begin one poll after the call."""
        end_s, poll_s = self.now_s + seconds, self.now_s + self.poll_s
        while self.now_s < end_s:
            next_s = min(
                end_s,
                poll_s,
                *(paper.due_s for paper in self.papers.values()),
                *(heard_s + self.stale_s for heard_s in self.heard_s.values()),
                *(order.until_s for order in self._orders()),
            )
            self.now_s = max(self.now_s, next_s)
            if self.now_s >= poll_s:
                poll_s += self.poll_s
                self._take_all()
            self._look_at_the_clock()
        self._tell_time()

    def hang(self, seconds: float, *, is_polled: bool) -> None:
        """Nobody looks for so long; then, with `is_polled`, each point is read once more."""
        self.now_s += seconds
        if is_polled:
            self._take_all()
        self._look_at_the_clock()
        self._tell_time()

    def clock_is_set(self) -> None:
        """The clock on the wall can be trusted from now on: the time between the runs counts."""
        at = self._moment()
        for order in self._orders():
            order.clock_is_set(at)
        self._expire()
        self._tell_time()

    # -- commands --------------------------------------------------------------------------------

    def command(self, name: str, target: str, actor: str) -> str:
        """Ack, silence or reset; return the code of the answer."""
        self._tell_time()
        if target and target not in self.papers:
            return "unknown_rule"
        meant = [self.papers[target]] if target else [
            paper for paper in self.papers.values()
            if paper.state and (name != "ack" or not paper.is_seen)
        ]  # fmt: skip
        act: Callable[[Paper, str], str] = {
            "ack": self._ack,
            "silence": self._silence,
            "reset": self._reset,
        }[name]
        answers = [act(paper, actor) for paper in sorted(meant, key=self._order)]
        self._run_out(self.now_s)
        if not answers or "done" in answers:
            return "done" if answers else "not_active"
        return answers[0]

    def inhibit(self, target: str, actor: str, reason: str, seconds: float | None) -> str:
        """Take out a rule, or every rule of a point; return the code of the answer."""
        self._tell_time()
        meant = self._meant(target)
        if not target:
            return "bad_argument"
        if not meant:
            return "unknown_rule"
        if not reason.strip():
            return "no_reason"
        if seconds is None:
            return "no_end"
        if not isfinite(seconds) or seconds <= 0:
            return "bad_argument"
        if seconds > LONGEST_INHIBIT_S:
            return "too_long"
        free = [paper for paper in meant if paper.inhibit is None]
        for paper in free:
            self._take_out(paper, Order(actor, self.now_s + seconds), "uninhibited")
        return "done" if free else "already_inhibited"

    def uninhibit(self, target: str) -> str:
        """Take in again; return the code of the answer."""
        self._tell_time()
        meant = self._meant(target)
        if not target:
            return "bad_argument"
        if not meant:
            return "unknown_rule"
        out = [paper for paper in meant if paper.inhibit is not None]
        for paper in out:
            self._take_in(paper)
        return "done" if out else "not_inhibited"

    def start_drill(
        self, scope: tuple[str, ...], actor: str, seconds: float | None, *, with_linkage: bool
    ) -> str:
        """Begin a drill; return the code of the answer."""
        self._tell_time()
        if not scope:
            return "bad_argument"
        if any(name not in self.heard_s and name not in self.zones.values() for name in scope):
            return "unknown_point"
        if seconds is None:
            return "no_end"
        if not isfinite(seconds) or seconds <= 0:
            return "bad_argument"
        if seconds > LONGEST_DRILL_S:
            return "too_long"
        if self.drill is not None:
            return "drill_runs"
        order = Order(actor, self.now_s + seconds)
        self._begin_drill(Drill(tuple(dict.fromkeys(scope)), with_linkage, order), "ended")
        return "done"

    def stop_drill(self) -> str:
        """End the drill; return the code of the answer."""
        self._tell_time()
        if self.drill is None:
            return "no_drill"
        self._end_drill()
        return "done"

    # -- memory ----------------------------------------------------------------------------------

    def save(self) -> None:
        """The snapshot is written: orders with what is left of them, delays that run."""
        at = self.told_at
        for rule in self.disk.inhibits:
            order = self.papers[rule].inhibit
            assert order is not None
            self.disk.inhibits[rule] = order.noted(at)
        if self.drill is not None:
            self.disk.drill = self.drill.noted(at)
        self.saved = self.disk.copy()
        self.saved.delays = tuple(paper.rule.id for paper in self.papers.values() if paper.waits)

    def restart(self, knows: str) -> None:
        """Begin anew. `knows`: `all` that the disk says, the `snapshot` or `nothing` at the start."""
        known = {"all": self.disk, "snapshot": self.saved, "nothing": Disk()}[knows].copy()
        known.delays = () if knows == "nothing" else self.saved.delays
        comes = None if knows == "all" else self.disk.copy()
        self.coming, self.early = comes, known
        self._begin(known)
        self._expire()
        self._tell_time()

    def memory_comes(self) -> None:
        """What the disk said at the start is known now; what moved since is newer."""
        coming, early = self.coming, self.early
        assert coming is not None
        self.coming = None
        if coming.drill is None and self.drill is not None and self.drill.order.came_from:
            self._end_drill()
        for rule, paper in self.papers.items():
            if paper.inhibit and paper.inhibit.came_from and rule not in coming.inhibits:
                self._take_in(paper)
        self._resume(coming)
        ended = {rule: Kept() for rule in early.alarms if rule not in coming.alarms}
        news = {
            rule: kept for rule, kept in coming.alarms.items() if kept != early.alarms.get(rule)
        }
        for rule, kept in (ended | news).items():
            self._merge(self.papers[rule], kept)
        self.held.clear()
        self._run_out(self.now_s)
        self._expire()
        self._tell_time()

    def active(self) -> list[str]:
        """Return the outputs that must be active now."""
        return sorted(
            output
            for output, kind in self.kinds.items()
            if output in self.held or self._is_demanded(output, kind)
        )

    # -- what people do --------------------------------------------------------------------------

    def _ack(self, paper: Paper, actor: str) -> str:
        if not paper.state:
            return "not_active"
        before = paper.name
        self._at(paper, self.now_s)
        if paper.state == "returned":
            self._end(paper)
        else:
            paper.is_seen = True
            if paper.name != before:
                paper.seen_by = actor
        self._tell(paper, before)
        return "done"

    def _silence(self, paper: Paper, actor: str) -> str:
        if not paper.state:
            return "not_active"
        self._at(paper, self.now_s)
        self._set_silenced(paper, True)
        return "done"

    def _reset(self, paper: Paper, actor: str) -> str:
        if not paper.state:
            return "not_active"
        if paper.state == "active":
            return "condition_unknown" if paper.truth is None else "condition_holds"
        if paper.state == "latched" and paper.truth is None:
            return "condition_unknown"
        if paper.waits == "on" and paper.truth is not None:
            return "condition_holds"
        if not paper.is_seen:
            return "unacknowledged"
        before = paper.name
        self._at(paper, self.now_s)
        self._end(paper)
        self._tell(paper, before)
        return "done"

    def _set_silenced(self, paper: Paper, is_silenced: bool) -> None:
        if paper.is_silenced is is_silenced:
            return
        paper.is_silenced, paper.has_moved = is_silenced, True
        names = ("unsilenced", "silenced") if is_silenced else ("silenced", "unsilenced")
        self._note("silence", paper, *names)
        self.disk.silenced(paper.rule.id, is_silenced)

    def _meant(self, target: str) -> list[Paper]:
        if target in self.papers:
            return [self.papers[target]]
        return [paper for paper in self.papers.values() if paper.rule.point == target]

    def _take_out(self, paper: Paper, order: Order, before: str) -> None:
        paper.inhibit = order
        self._note("inhibit", paper, before, "inhibited")
        self.disk.inhibits[paper.rule.id] = order.noted(self._moment())

    def _take_in(self, paper: Paper) -> None:
        paper.inhibit = None
        self.ended.add(paper.rule.id)
        self._note("inhibit", paper, "inhibited", "uninhibited")
        self.disk.inhibits.pop(paper.rule.id, None)
        self._at(paper, self.now_s)
        if paper.truth and paper.waits == "on" and paper.due_s == inf:
            paper.due_s = paper.told_s + paper.left_s
        self._run_out(self.now_s, paper)
        if paper.state == "active" and paper.is_seen and not paper.waits:
            before = paper.name  # it stood all the time: it has to be seen anew
            paper.is_seen, paper.seen_by, paper.is_silenced = False, "", False
            self._tell(paper, before)

    def _begin_drill(self, drill: Drill, before: str) -> None:
        old, self.drill = self.drill, drill
        for paper in self.papers.values():
            name, rule = paper.rule.id, paper.rule
            if rule.point not in drill.scope and self.zones.get(rule.point) not in drill.scope:
                continue
            drill.covered.add(name)
            was_in_it = old is not None and name in old.covered and name not in old.real
            if paper.is_test:
                paper.is_dry = not drill.with_linkage
            elif not paper.is_at_rest and not was_in_it:
                drill.real.add(name)
        self.told.append(("drill", "box", before, "started", ""))
        self.disk.drill = drill.noted(self._moment())

    def _end_drill(self) -> None:
        self.drill, self.disk.drill = None, None
        self.ended.add("drill")
        self.told.append(("drill", "box", "started", "ended", ""))
        for paper in self.papers.values():
            if paper.is_test:
                self._end_test(paper)

    def _end_test(self, paper: Paper) -> None:
        """What holds, or held when last known, becomes real at once."""
        before, at_s = paper.name, self._at(paper, self.now_s)
        if paper.state == "active" and paper.waits != "off":
            paper.waits, paper.due_s = "on", at_s
        elif paper.waits != "on":
            paper.waits, paper.due_s = "", inf
        self._end(paper)
        self._tell(paper, before)
        self._run_out(self.now_s, paper)

    # -- readings and time ------------------------------------------------------------------------

    def _take_all(self) -> None:
        for point, value in self.values.items():
            self._take(point, value)

    def _take(self, point: str, value: Known) -> None:
        self._expire()
        if self.now_s - self.heard_s[point] > self.stale_s:
            self._fall_silent(point)
        self.heard_s[point] = self.now_s
        if point not in self.seen or self.seen[point] is not value:
            self._hear(point, value, self.now_s)

    def _look_at_the_clock(self) -> None:
        quiet = [(at_s, point) for point, at_s in self.heard_s.items() if at_s < inf]
        for at_s, point in sorted(quiet, key=lambda each: each[0]):
            if at_s + self.stale_s <= self.now_s:
                self._fall_silent(point)
        self._run_out(self.now_s)
        self._expire()

    def _fall_silent(self, point: str) -> None:
        at_s, self.heard_s[point] = self.heard_s[point] + self.stale_s, inf
        self._hear(point, None, at_s)

    def _hear(self, point: str, value: Known, at_s: float) -> None:
        watching = [each for each in self.papers.values() if each.rule.point == point]
        watching.sort(key=self._order)
        for paper in watching:
            # in the very same moment an on-delay is over, and an off-delay is not
            if paper.due_s < at_s or (paper.due_s == at_s and paper.waits == "on"):
                self._run_out(at_s, paper)
        self.seen[point] = value
        for paper in watching:
            truth = self._truth(paper)
            if truth is not paper.truth:
                self._learn(paper, truth, at_s)

    def _learn(self, paper: Paper, truth: Truth, at_s: float) -> None:
        paper.truth = truth
        at_s = self._at(paper, at_s)
        if truth is None:
            if paper.waits == "on" and paper.due_s < inf:
                paper.left_s, paper.due_s = paper.due_s - at_s, inf
            elif paper.waits == "off":
                paper.waits, paper.due_s = "", inf
        elif truth and paper.state != "active":
            left_s = paper.left_s if paper.waits == "on" else paper.rule.on_s
            paper.waits, paper.due_s = "on", at_s + left_s
        elif truth:
            paper.waits, paper.due_s = "", inf
        elif paper.state == "active":
            paper.waits, paper.due_s = "off", at_s + paper.rule.off_s
        else:
            paper.waits, paper.due_s = "", inf
        self._run_out(at_s, paper)
        self._forget_real()

    def _truth(self, paper: Paper) -> Truth:
        rule, value = paper.rule, self.seen.get(paper.rule.point)
        if rule.kind == "unheard":
            return value is None
        if value is None:
            return None
        if rule.kind in ("contact", "open"):
            return value is (rule.kind == "contact")
        slack = rule.deadband if paper.is_beyond else 0.0
        paper.is_beyond = (
            value > rule.limit - slack if rule.kind == "above" else value < rule.limit + slack
        )
        return paper.is_beyond

    def _run_out(self, at_s: float, only: Paper | None = None) -> None:
        for paper in sorted(self.papers.values(), key=self._order) if only is None else [only]:
            if paper.due_s > max(at_s, paper.told_s):
                continue
            self._at(paper, at_s)
            before, paper.due_s = paper.name, inf
            if paper.waits == "on" and paper.is_raised_never:
                paper.left_s = 0.0  # it waits for the fault above to go, or the inhibit to end
                continue
            if paper.waits == "on":
                paper.waits, paper.state = "", "active"
                paper.is_seen, paper.seen_by, paper.is_silenced = False, "", False
            else:
                paper.waits = ""
                if paper.rule.is_sticky:
                    paper.state = "latched"
                elif paper.is_seen or paper.rule.ending == "alone":
                    self._end(paper)
                else:
                    paper.state = "returned"
            self._tell(paper, before)

    def _expire(self) -> None:
        """What people ordered for a time is over."""
        for order in sorted(self._orders(), key=lambda each: each.until_s):
            if order.until_s > self.now_s:
                break
            if self.drill is not None and order is self.drill.order:
                self._end_drill()
            for paper in self.papers.values():
                if paper.inhibit is order:
                    self._take_in(paper)

    # -- the start --------------------------------------------------------------------------------

    def _begin(self, known: Disk) -> None:
        self.papers = {rule.id: Paper(rule) for rule in self.rules}
        self.seen, self.drill = {}, None
        for rule, kept in known.alarms.items():
            self._recall(self.papers[rule], kept)
        self.ended, self.held = set(), set()
        self.heard_s = {rule.point: self.now_s for rule in self.rules}
        for rule in known.delays:
            self.told.append(("delay", rule, "", "delay_restarted", ""))
        self._resume(known)
        self._hide(self.now_s)
        for paper in sorted(self.papers.values(), key=self._order):
            if self._truth(paper) is not None:
                self._learn(paper, self._truth(paper), self.now_s)
        self._tell_time()

    def _recall(self, paper: Paper, kept: Kept) -> None:
        paper.state, paper.is_seen, paper.seen_by = kept.state, kept.is_seen, kept.seen_by
        paper.is_silenced, paper.is_test, paper.serial = kept.is_silenced, kept.is_test, kept.serial
        paper.is_dry = kept.is_test and (self.drill is None or not self.drill.with_linkage)
        paper.waits, paper.due_s, paper.left_s = "", inf, 0.0
        if paper.state == "active":
            paper.is_beyond = True

    def _resume(self, known: Disk) -> None:
        now = self._moment()
        if known.drill is not None and "drill" not in self.ended:
            scope, with_linkage, actor, left = known.drill
            if self.drill is None or self.drill.order.came_from not in (None, left):
                order = Order.taken_up(actor, left, now)
                self._begin_drill(Drill(scope, with_linkage, order), "started")
        for paper in self.papers.values():
            if paper.is_test and not self._is_drilled(paper):
                self._end_test(paper)
        for rule, (actor, left) in known.inhibits.items():
            order_now = self.papers[rule].inhibit
            if rule not in self.ended and (
                order_now is None or order_now.came_from not in (None, left)
            ):
                self._take_out(self.papers[rule], Order.taken_up(actor, left, now), "inhibited")

    def _merge(self, paper: Paper, kept: Kept) -> None:
        if paper.has_moved or not (paper.state or kept.state):
            return
        self._recall(paper, kept)
        self._hide(self.now_s)
        if paper.state == "active":
            paper.truth = self._truth(paper)
        if paper.is_test and not self._is_drilled(paper):
            self._end_test(paper)
        if self.drill and self._is_drilled(paper) and paper.state and not paper.is_test:
            self.drill.real.add(paper.rule.id)
        if paper.truth is not None:
            self._learn(paper, paper.truth, self.now_s)
        self._forget_real()

    # -- what follows -----------------------------------------------------------------------------

    def _end(self, paper: Paper) -> None:
        paper.state, paper.is_seen, paper.seen_by, paper.is_silenced = "", False, "", False

    def _tell(self, paper: Paper, before: str) -> None:
        if paper.name == before:
            return
        self.serial += 1
        paper.serial, paper.has_moved = self.serial, True
        drill, rule = self.drill, paper.rule.id
        if paper.state == "active" and not before.startswith("active"):
            paper.is_test = bool(drill and rule in drill.covered and rule not in drill.real)
            paper.is_dry = bool(paper.is_test and drill and not drill.with_linkage)
        self._note("alarm", paper, before, paper.name)
        if paper.name == "active_unacked" and not paper.is_dry:
            for other in self.papers.values():
                shared = set(paper.rule.outputs) & set(other.rule.outputs)
                if other.rule.rank >= paper.rule.rank and any(
                    self.kinds[output] in SOUNDING for output in shared
                ):
                    self._set_silenced(other, False)
        if not paper.state:
            paper.is_test = paper.is_dry = False
        kept = Kept(
            paper.state, paper.is_seen, paper.seen_by,
            paper.is_silenced, paper.is_test, paper.serial,
        )  # fmt: skip
        if self.coming is not None and paper.name != "active_unacked":
            is_ack = before.endswith("unacked") and not paper.name.endswith("unacked")
            kept = self.disk.as_told(rule, kept, is_ack=is_ack)
        self.disk.moved(rule, kept)
        if self.coming is not None:
            self.held |= {
                output
                for output, kind in self.kinds.items()
                if kind == "cut-off" and self._is_demanded(output, kind)
            }
        self._forget_real()
        self._hide(paper.told_s)

    def _note(self, kind: str, paper: Paper, before: str, after: str) -> None:
        self.told.append((kind, paper.rule.id, before, after, "test" if paper.is_test else ""))

    def _hide(self, at_s: float) -> None:
        for paper in sorted(self.papers.values(), key=self._order):
            is_hidden = any(self.papers[name].hides for name in self._above(paper.rule))
            if paper.is_hidden is is_hidden:
                continue
            paper.is_hidden = is_hidden
            names = ("unsuppressed", "suppressed")
            self._note("suppression", paper, names[not is_hidden], names[is_hidden])
            if not is_hidden:
                at = self._at(paper, at_s)
                if paper.waits == "on":
                    # Devices get their time to answer before they are called faulty.
                    paper.left_s = paper.rule.on_s
                    paper.due_s = inf if paper.truth is None else at + paper.rule.on_s
                    self._run_out(at_s, paper)

    def _above(self, rule: Written) -> set[str]:
        if rule.klass in ("fire", "gas"):
            return set()
        names = set(rule.parents)
        for name in rule.parents:
            names |= self._above(self.papers[name].rule)
        return names

    def _order(self, paper: Paper) -> tuple[int, int]:
        return len(self._above(paper.rule)), paper.rule.rank

    def _orders(self) -> list[Order]:
        orders = [paper.inhibit for paper in self.papers.values() if paper.inhibit is not None]
        return orders if self.drill is None else [*orders, self.drill.order]

    def _is_drilled(self, paper: Paper) -> bool:
        """Whether the drill that runs takes it in."""
        return self.drill is not None and paper.rule.id in self.drill.covered

    def _forget_real(self) -> None:
        """What was up when the drill began is in it once it was at rest."""
        if self.drill is not None:
            self.drill.real -= {name for name, each in self.papers.items() if each.is_at_rest}

    def _at(self, paper: Paper, at_s: float) -> float:
        paper.told_s = max(paper.told_s, at_s)
        return paper.told_s

    def _moment(self) -> Moment:
        return Moment(self.now_s, *self.clock())

    def _tell_time(self) -> None:
        self.told_at = self._moment()

    def _is_demanded(self, output: str, kind: str) -> bool:
        for paper in self.papers.values():
            if output not in paper.rule.outputs or paper.state not in ("active", "latched"):
                continue
            if paper.is_dry:
                continue
            if kind in ("siren", "buzzer", "strobe") and paper.is_hidden:
                continue
            if kind in SOUNDING and paper.is_silenced:
                continue
            if kind == "buzzer" and paper.is_seen:
                continue
            return True
        return False
