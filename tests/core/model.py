"""A simple model of alarms to hold the core against. It imports nothing from the agent.

Written from docs/design.md section 5 and docs/alarm-states.md alone, as a person would work it out on
paper: an alarm is nothing, active, returned or latched; beside that stand whether it was seen and
whether it was silenced; one delay runs at a time. Time is handed in. What must hold, in words:

- Fire and gas never clear without a person.
- Unknown never clears: what is active stays so until a known value says otherwise.
- Every transition is exactly one event.
- Silence never hides a new alarm: it sounds, whatever was silenced before it.
- A drill never leaves as fire.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

RANKS = ("fire", "gas", "supervisory", "fault", "technical")
SOUNDING = ("siren", "buzzer")

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
    is_silenced: bool = False
    is_hidden: bool = False
    """By a parent fault."""
    waits: str = ""
    """Empty, `on` (the on-delay) or `off` (the off-delay)."""
    due_s: float = inf
    left_s: float = 0.0
    is_beyond: bool = False
    """Which side of a deadband it was on when last known."""
    truth: Truth = None

    @property
    def name(self) -> str:
        """Its state in the words of the contract."""
        if not self.state:
            return "normal"
        if self.state == "returned":
            return "returned_unacked"
        return f"{self.state}_{'acked' if self.is_seen else 'unacked'}"


@dataclass
class Model:
    """All alarms of a site, on paper."""

    rules: tuple[Written, ...]
    kinds: dict[str, str]
    """Output id to what it is."""
    stale_s: float
    poll_s: float
    now_s: float = 0.0
    papers: dict[str, Paper] = field(default_factory=dict)
    told: list[tuple[str, str, str]] = field(default_factory=list)
    """(rule, from, to) of every transition, in order."""
    values: dict[str, Known] = field(default_factory=dict)
    """What each point is read as until something else is said; not there: silent."""
    seen: dict[str, Known] = field(default_factory=dict)
    """What the last reading of each point said; None: bad or stale."""
    heard_s: dict[str, float] = field(default_factory=dict)
    polled_s: float = 0.0

    def start(self) -> None:
        """Begin without memory."""
        self.papers = {rule.id: Paper(rule) for rule in self.rules}
        self._begin()

    def restart(self) -> None:
        """Begin anew with what is remembered: states, who saw and silenced; no delay, no reading."""
        for paper in self.papers.values():
            paper.waits, paper.due_s, paper.left_s = "", inf, 0.0
            paper.is_beyond = paper.state == "active"
            paper.truth = None
            paper.is_hidden = False
        self._begin()

    def read(self, point: str, value: Known) -> None:
        """A reading comes in, and goes on coming with every poll."""
        self.values[point] = value
        self._take(point, value)
        self._run_out()

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
            )
            self.now_s = max(self.now_s, next_s)
            if self.now_s >= poll_s:
                poll_s += self.poll_s
                for point, value in self.values.items():
                    self._take(point, value)
            for point, heard_s in list(self.heard_s.items()):
                if heard_s + self.stale_s <= self.now_s:
                    self._hear(point, None)
                    self.heard_s[point] = inf
            self._run_out()

    def command(self, name: str, target: str) -> str:
        """Return the code of the answer."""
        if target and target not in self.papers:
            return "unknown_rule"
        meant = [self.papers[target]] if target else [
            paper for paper in self.papers.values()
            if paper.state and (name != "ack" or not paper.is_seen)
        ]  # fmt: skip
        act: Callable[[Paper], str] = {
            "ack": self._ack,
            "silence": self._silence,
            "reset": self._reset,
        }[name]
        answers = [act(paper) for paper in sorted(meant, key=self._order)]
        self._run_out()
        if not answers or "done" in answers:
            return "done" if answers else "not_active"
        return answers[0]

    def active(self) -> list[str]:
        """Return the outputs that must be active now."""
        return sorted(
            output for output, kind in self.kinds.items() if self._is_demanded(output, kind)
        )

    # -- commands --------------------------------------------------------------------------------

    def _ack(self, paper: Paper) -> str:
        if not paper.state:
            return "not_active"
        before = paper.name
        if paper.state == "returned":
            self._end(paper)
        else:
            paper.is_seen = True
        self._tell(paper, before)
        return "done"

    def _silence(self, paper: Paper) -> str:
        if not paper.state:
            return "not_active"
        paper.is_silenced = True
        return "done"

    def _reset(self, paper: Paper) -> str:
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
        self._end(paper)
        self._tell(paper, before)
        return "done"

    # -- readings and time ------------------------------------------------------------------------

    def _begin(self) -> None:
        self.seen = {}
        self.heard_s = {rule.point: self.now_s for rule in self.rules}
        self._hide()
        for paper in sorted(self.papers.values(), key=self._order):
            self._look(paper)

    def _take(self, point: str, value: Known) -> None:
        self.heard_s[point] = self.now_s
        self._hear(point, value)

    def _hear(self, point: str, value: Known) -> None:
        if point in self.seen and self.seen[point] is value:
            return
        self.seen[point] = value
        for paper in sorted(self.papers.values(), key=self._order):
            if paper.rule.point == point:
                self._look(paper)

    def _look(self, paper: Paper) -> None:
        truth = self._truth(paper)
        if truth is paper.truth:
            return
        paper.truth = truth
        if truth is None:
            if paper.waits == "on" and paper.due_s < inf:
                paper.left_s, paper.due_s = paper.due_s - self.now_s, inf
            elif paper.waits == "off":
                paper.waits, paper.due_s = "", inf
        elif truth and paper.state != "active":
            left_s = paper.left_s if paper.waits == "on" else paper.rule.on_s
            paper.waits, paper.due_s = "on", self.now_s + left_s
        elif truth:
            paper.waits, paper.due_s = "", inf
        elif paper.state == "active":
            paper.waits, paper.due_s = "off", self.now_s + paper.rule.off_s
        else:
            paper.waits, paper.due_s = "", inf
        self._run_out(paper)

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

    def _run_out(self, only: Paper | None = None) -> None:
        for paper in sorted(self.papers.values(), key=self._order) if only is None else [only]:
            if paper.due_s > self.now_s:
                continue
            before, paper.due_s = paper.name, inf
            if paper.waits == "on" and paper.is_hidden:
                paper.left_s = 0.0  # it waits for the fault above to go
                continue
            if paper.waits == "on":
                paper.waits, paper.state = "", "active"
                paper.is_seen = paper.is_silenced = False
            else:
                paper.waits = ""
                if paper.rule.is_sticky:
                    paper.state = "latched"
                elif paper.is_seen or paper.rule.ending == "alone":
                    self._end(paper)
                else:
                    paper.state = "returned"
            self._tell(paper, before)

    # -- what follows -----------------------------------------------------------------------------

    def _end(self, paper: Paper) -> None:
        paper.state, paper.is_seen, paper.is_silenced = "", False, False

    def _tell(self, paper: Paper, before: str) -> None:
        if paper.name == before:
            return
        self.told.append((paper.rule.id, before, paper.name))
        if paper.name == "active_unacked":
            for other in self.papers.values():
                shared = set(paper.rule.outputs) & set(other.rule.outputs)
                if other.rule.rank >= paper.rule.rank and any(
                    self.kinds[output] in SOUNDING for output in shared
                ):
                    other.is_silenced = False
        self._hide()

    def _hide(self) -> None:
        for paper in sorted(self.papers.values(), key=self._order):
            is_hidden = any(self.papers[name].state == "active" for name in self._above(paper.rule))
            if paper.is_hidden and not is_hidden and paper.waits == "on":
                # Devices get their time to answer before they are called faulty.
                paper.due_s = self.now_s + paper.rule.on_s
            paper.is_hidden = is_hidden

    def _above(self, rule: Written) -> set[str]:
        if rule.klass in ("fire", "gas"):
            return set()
        names = set(rule.parents)
        for name in rule.parents:
            names |= self._above(self.papers[name].rule)
        return names

    def _order(self, paper: Paper) -> tuple[int, int]:
        return len(self._above(paper.rule)), paper.rule.rank

    def _is_demanded(self, output: str, kind: str) -> bool:
        for paper in self.papers.values():
            if output not in paper.rule.outputs or paper.state not in ("active", "latched"):
                continue
            if kind in ("siren", "buzzer", "strobe") and paper.is_hidden:
                continue
            if kind in SOUNDING and paper.is_silenced:
                continue
            if kind == "buzzer" and paper.is_seen:
                continue
            return True
        return False
