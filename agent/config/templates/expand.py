"""From the ready-made rules of a site file to ordinary ones, before anything is looked up in them.

What is wrong with them is told at the entry in the file, never at a rule nobody wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from agent.config.catalogue import Catalogue, Findings
from agent.config.faults import KeyPath, did_you_mean
from agent.config.model_base import MOST_ID
from agent.config.model_rules import RuleModel
from agent.config.templates.known import TEMPLATES
from agent.config.templates.labels import label_of
from agent.config.templates.models import ReadyModel, unit_words
from agent.config.templates.points import mismatch, place_of, points_of
from agent.config.templates.shapes import Filled, NotGiven, fill, names_in
from agent.config.templates.spec import Pattern, Share, Template
from agent.config.templates.units import convert


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A parameter as an entry uses it."""

    name: str
    value: float
    unit: str
    is_default: bool
    is_confirmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """What one entry of a site file became."""

    id: str
    template: str
    line: int
    rules: tuple[RuleModel, ...]
    used: tuple[Used, ...]


def expand(catalogue: Catalogue, findings: Findings) -> tuple[Expanded, ...]:
    """Put ordinary rules in the place of ready-made ones and return what became what."""
    rules: list[RuleModel] = []
    origin: list[int] = []
    keys: dict[int, frozenset[str]] = {}
    made: list[Expanded] = []
    for name in tuple(catalogue.opaque):
        _hide(name, catalogue)
    for index, entry in enumerate(catalogue.site.entries):
        if isinstance(entry, RuleModel):
            rules.append(entry)
            origin.append(index)
            continue
        count = len(findings.faults)
        expanded = _Expansion(entry, ("rules", index), catalogue, findings).expanded()
        if len(findings.faults) > count:
            catalogue.opaque.add(entry.id)
            _hide(entry.id, catalogue)
        made.append(expanded)
        for rule in expanded.rules:
            keys[len(rules)] = frozenset(entry.model_fields_set)
            rules.append(rule)
            origin.append(index)
    catalogue.site = catalogue.site.model_copy(update={"entries": tuple(rules)})
    findings.rules_became(origin, keys)
    return tuple(made)


def _hide(name: str, catalogue: Catalogue) -> None:
    """What hangs on rules that a broken entry would have become is not a second fault."""
    suffixes = {each.suffix for template in TEMPLATES.values() for each in template.rules}
    catalogue.opaque.update(f"{name}-{suffix}" for suffix in suffixes if suffix)


class _Expansion:
    """One entry on its way."""

    def __init__(
        self, entry: ReadyModel, path: KeyPath, catalogue: Catalogue, findings: Findings
    ) -> None:
        self._entry = entry
        self._path = path
        self._is_broken = entry.id in catalogue.opaque
        self._catalogue = catalogue
        self._findings = findings
        self._template: Template = TEMPLATES[entry.template]
        self._points = {each.name: points_of(entry, each) for each in self._template.takes}
        self._by_name = {each.name: each for each in self._template.parameters}
        self._values = {name: self._value(name) for name in self._by_name}
        self._numbers: dict[str, float | None] = {}

    def expanded(self) -> Expanded:
        is_sound = self._are_ids_short() and self._are_points_right()
        # What a key that was left out for a fault of its own would have given is not known.
        is_sound = is_sound and not self._is_broken and self._is_ascending()
        patterns: list[tuple[Pattern, Filled]] = []
        if is_sound:
            self._numbers = {name: self._as_wanted(name) for name in self._by_name}
            patterns = self._patterns()
        rules = tuple(self._rule(each, when) for each, when in patterns)
        used = tuple(self._used(each for each, _ in patterns))
        self._warn(used)
        line = self._findings.line((*self._path, "template"))
        return Expanded(
            id=self._entry.id, template=self._template.name, line=line, rules=rules, used=used
        )

    def _are_ids_short(self) -> bool:
        longest = max((each.suffix for each in self._template.rules), key=len)
        room = MOST_ID - len(longest) - 1
        if longest and len(self._entry.id) > room:
            self._fault(
                ("id",),
                f"'-{longest}' is put after it: {room} characters at most for this template",
            )
            return False
        return True

    # -- points --

    def _are_points_right(self) -> bool:
        count = len(self._findings.faults)
        is_opaque = False
        given_as: dict[str, str] = {}
        for takes in self._template.takes:
            given = self._points[takes.name]
            if not given and takes.is_required and not self._is_broken:
                self._fault((), f"names no point; give `{takes.name}`")
            for number, point in enumerate(given):
                at = place_of(self._entry, takes, number)
                if point in given_as:
                    self._fault(at, f"'{point}' is given already, as `{given_as[point]}`")
                given_as.setdefault(point, takes.name)
                if point in self._catalogue.points:
                    if wrong := mismatch(self._template.name, takes, point, self._catalogue):
                        self._fault(at, wrong)
                elif self._catalogue.is_opaque(point):
                    is_opaque = True
                else:
                    near = did_you_mean(point, self._catalogue.points)
                    self._fault(at, f"no point '{point}'{near}")
        is_free = not any(each.is_required for each in self._template.takes)
        if is_free and not self._is_broken and not any(self._points.values()):
            words = ", ".join(f"`{each.name}`" for each in self._template.takes)
            self._fault(("template",), f"names no point; give one of {words}")
        if is_opaque:
            self._catalogue.opaque.add(self._entry.id)
            _hide(self._entry.id, self._catalogue)
        return len(self._findings.faults) == count and not is_opaque

    # -- parameters --

    def _value(self, name: str) -> float | None:
        parameter = self._by_name[name]
        if name in self._entry.model_fields_set:
            given: float | None = getattr(self._entry, name)
            return given
        default = parameter.default
        if isinstance(default, Share):
            base = self._value(default.of)
            return None if base is None else round(base * default.factor, 9)
        return default

    def _as_wanted(self, name: str) -> float | None:
        """Return a parameter in the unit its condition counts in."""
        value, parameter = self._values[name], self._by_name[name]
        if value is None:
            return None
        points = self._points.get(parameter.of, ())
        if points:
            unit = self._catalogue.unit_of(points[0]) or parameter.unit
            value = convert(value, parameter.unit, unit)
        return value * parameter.factor

    def _is_ascending(self) -> bool:
        is_right = True
        for names in self._template.ascending:
            known = [(name, v) for name in names if (v := self._values[name]) is not None]
            for (lower, low), (upper, high) in pairwise(known):
                if low < high:
                    continue
                told = upper if upper in self._entry.model_fields_set else lower
                self._fault(
                    (told,), f"{lower} ({low:g}) must be less than {upper} ({high:g})"
                )  # fmt: skip
                is_right = False
        return is_right

    # -- rules --

    def _patterns(self) -> list[tuple[Pattern, Filled]]:
        made: list[tuple[Pattern, Filled]] = []
        without: tuple[str, ...] = getattr(self._entry, "without", ())
        missing: dict[str, set[str]] = {}
        seen: set[str] = set()
        for pattern in self._template.rules:
            names = names_in(pattern.when)
            try:
                when = fill(pattern.when, self._points, self._numbers)
            except NotGiven as error:
                for name in names & self._points.keys():
                    missing.setdefault(name, set()).add(self._base(error.name))
                continue
            seen |= names
            if pattern.suffix not in without:
                made.append((pattern, when))
        for takes in self._template.takes:
            if self._points[takes.name] and takes.name not in seen:
                lacks = " or ".join(f"`{name}`" for name in sorted(missing[takes.name]))
                self._fault(
                    place_of(self._entry, takes, 0), f"nothing would watch it; give {lacks} too"
                )
        if not made and seen:
            self._fault(("without",), "leaves no rule of the template; leave the entry out")
        for name in sorted(self._entry.model_fields_set & self._by_name.keys()):
            if self._by_name[name].of and not self._points.get(self._by_name[name].of):
                self._findings.warn(
                    (*self._path, name), f"has no effect without `{self._by_name[name].of}`"
                )
        return made

    def _base(self, name: str) -> str:
        """Return the parameter that another one follows, or the name itself."""
        known = self._by_name.get(name)
        if known is not None and isinstance(known.default, Share):
            return self._base(known.default.of)
        return name

    def _rule(self, pattern: Pattern, when: Filled) -> RuleModel:
        entry = self._entry
        label = label_of(entry, self._template, pattern, self._points, self._catalogue)
        written = {
            "id": f"{entry.id}-{pattern.suffix}" if pattern.suffix else entry.id,
            "class": pattern.alarm_class,
            "when": when,
            "on_delay_s": self._delay(pattern.on_delay_s),
            "off_delay_s": self._delay(pattern.off_delay_s),
            "latch": pattern.is_latched or None if entry.latch is None else entry.latch,
            "ack": entry.ack,
            "zone": entry.zone,
            "label": {"en": label.en, "zh": label.zh},
            "group": entry.group,
            "realarm_s": entry.realarm_s,
        }
        # Checked as if it stood in the file; lists of JSON, so that strict models take them as tuples.
        return RuleModel.model_validate(_frozen(written))

    def _delay(self, delay: float | str) -> float:
        if isinstance(delay, str):
            return self._numbers[delay[1:]] or 0.0
        return delay

    # -- what the site has to look at --

    def _used(self, patterns: Iterator[Pattern]) -> Iterator[Used]:
        named: set[str] = set()
        for pattern in patterns:
            named |= names_in(pattern.when)
            delays = (pattern.on_delay_s, pattern.off_delay_s)
            named |= {each[1:] for each in delays if isinstance(each, str)}
        if self._values.get("verify_s") is None:
            named.discard("blank_s")
        for name, parameter in self._by_name.items():
            value = self._values[name]
            if name in named and value is not None:
                is_default = name not in self._entry.model_fields_set
                asks = parameter.needs_confirmation and not self._entry.confirmed
                yield Used(
                    name=name,
                    value=value,
                    unit=unit_words(parameter),
                    is_default=is_default,
                    is_confirmed=not (is_default and asks),
                )

    def _warn(self, used: tuple[Used, ...]) -> None:
        open_ = [each for each in used if not each.is_confirmed]
        if open_:
            words = ", ".join(f"{each.name}: {each.value:g}" for each in open_)
            self._findings.warn(
                (*self._path, "template"),
                f"default not confirmed ({words}); write the site's own values or `confirmed: true` "
                "(docs/thresholds.md says where they come from)",
            )

    def _fault(self, below: KeyPath, message: str) -> None:
        self._findings.fault((*self._path, *below), message)


def _frozen(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _frozen(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_frozen(each) for each in value)
    return value
