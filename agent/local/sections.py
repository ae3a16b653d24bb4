"""The tables of the page. Colour only for the abnormal, and never without a word."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.effects import AlarmState, AlarmView, CommandName
from agent.core.spec import Label, PointKind, PointSpec
from agent.local.forms import TEST
from agent.local.markup import Child, Html, tag
from agent.local.phrases import age_text, bytes_text, clock_text, value_text, wall_text
from agent.local.summary import Summary, age_s, quality_of, reading_age_s
from agent.local.terms import Words
from agent.local.view import AgentView, OutputView, PointView
from drivers.reading import Quality


def alarms_section(view: AgentView, summary: Summary, words: Words, *, can_command: bool) -> Html:
    """Return every alarm not at rest, most urgent class first, then oldest first."""
    names = _Names(view, words)
    heads = ["class", "alarm", "state", "since", "value", "zone"] + ["do"] * can_command
    alarms = (
        *summary.standing,
        *summary.tests,
        *summary.inhibited,
        *summary.suppressed,
        *summary.pending,
        *summary.unknown,
    )
    rows = []
    for alarm in alarms:
        is_flashing = not alarm.state.is_acked and not alarm.is_suppressed
        is_standing = alarm.state is not AlarmState.NORMAL and not alarm.is_suppressed
        kind = "test" if alarm.is_test else alarm.alarm_class.value
        each = words(f"class.{kind}")
        cells: list[Child] = [
            tag("strong", each, class_=f"badge {kind}" + " unacked" * is_flashing)
            if is_standing
            else each,
            names.rule(alarm.rule),
            _state(alarm, words),
            _since(alarm, view, words),
            _alarm_value(alarm, names, words),
            names.place(alarm.zone),
        ]
        if can_command:
            cells.append(_buttons(alarm, words))
        rows.append(_row(heads, cells, words))
    return _section("alarms", heads, rows, words, id_="alarms")


def points_section(view: AgentView, words: Words) -> Html:
    """Return every point with its value, what it is worth and how old it is."""
    names = _Names(view, words)
    heads = ["point", "value", "quality", "age", "kind", "zone"]
    rows = []
    for point in view.points:
        quality = quality_of(point, view.at)
        reading = point.reading
        is_good = quality is Quality.GOOD
        reason = reading.reason if reading is not None else ""
        told = words(f"quality.{quality or 'none'}") + (f" · {reason}" if reason else "")
        age = None if reading is None else reading_age_s(reading, view.at)
        cells: list[Child] = [
            words.label(point.spec.label, point.spec.id),
            _point_value(point, quality, words),
            told if is_good else tag("strong", told, class_="badge doubt"),
            age_text(age, words),
            words(f"point.{point.spec.kind}"),
            names.place(point.spec.zone),
        ]
        rows.append(_row(heads, cells, words))
    return _section("points", heads, rows, words)


def outputs_section(view: AgentView, words: Words, *, can_command: bool) -> Html:
    """Return every output: what is asked of it and what was read back."""
    names = _Names(view, words)
    heads = ["output", "asked", "read_back", "fault", "kind", "zone"] + ["do"] * can_command
    rows = []
    for output in view.outputs:
        cells: list[Child] = [
            words.label(output.spec.label, output.spec.id),
            _switched(output.is_demanded, words),
            _read_back(output, words),
            _output_fault(output, words),
            words(f"output.{output.spec.kind}"),
            names.place(output.spec.zone),
        ]
        if can_command:
            cells.append(_output_buttons(output, view, words))
        rows.append(_row(heads, cells, words))
    return _section("outputs", heads, rows, words)


def buses_section(view: AgentView, words: Words) -> Html:
    """Return buses and, under each, its devices."""
    names = _Names(view, words)
    heads = ["device", "state", "requests", "heard"]
    rows = []
    for bus in view.buses:
        late = f"{bus.late_polls} {words('page.late')}" if bus.late_polls else ""
        cells: list[Child] = [
            tag("strong", names.place(bus.id)),
            _online(bus.online, words),
            late,
            bus.kind,
        ]
        rows.append(_row(heads, cells, words))
        for device in bus.devices:
            failures = ", ".join(
                f"{word} {count}" for word, count in device.failures.items() if count
            )
            rows.append(
                _row(
                    heads,
                    [
                        names.place(device.id),
                        _online(device.online, words),
                        f"{device.requests}" + (f" ({failures})" if failures else ""),
                        wall_text(device.last_success_wall_ms, words),
                    ],
                    words,
                )
            )
    return _section("buses", heads, rows, words)


def uplinks_section(view: AgentView, words: Words) -> Html:
    """Return every uplink and what it has still to deliver."""
    heads = ["uplink", "state", "unsent", "confirmed", "broker"]
    unsent = view.outbox.unsent_by_uplink if view.outbox is not None else {}
    rows = [
        _row(
            heads,
            [
                uplink.id,
                _online(uplink.is_connected, words, uplink.reason),
                str(unsent.get(uplink.id, "–")),
                wall_text(uplink.last_puback_wall_ms, words),
                uplink.broker,
            ],
            words,
        )
        for uplink in view.uplinks
    ]
    return _section("uplinks", heads, rows, words)


def outbox_section(view: AgentView, words: Words) -> Html:
    """Return what the outbox holds and whether it can write."""
    outbox = view.outbox
    heads = ["lane", "records", "disk", "oldest", "dropped"]
    if outbox is None:
        return _section("outbox", heads, [], words)
    rows = []
    for lane in outbox.lanes:
        dropped = ", ".join(f"{why} {count}" for why, count in lane.dropped.items() if count)
        cells: list[Child] = [
            words(f"lane.{lane.lane}"),
            str(lane.records),
            bytes_text(lane.bytes_on_disk),
            "–" if lane.oldest_wall_ms is None else wall_text(lane.oldest_wall_ms, words),
            tag("strong", dropped, class_="badge doubt") if dropped else "0",
        ]
        rows.append(_row(heads, cells, words))
    if outbox.is_writable:
        state = tag("p", words("page.writable"), class_="note")
    else:
        told = f"{words('page.not_writable')}: {outbox.fault}"
        state = tag("p", tag("strong", told, class_="badge fault"))
    return _section("outbox", heads, rows, words, state)


class _Names:
    """Labels of the site by id."""

    def __init__(self, view: AgentView, words: Words) -> None:
        self._words = words
        self._rules = {rule.id: rule.label for rule in view.site.rules}
        self._points = {point.spec.id: point.spec for point in view.points}
        self._places = view.site.labels

    def rule(self, rule: str) -> str:
        return self._words.label(self._rules.get(rule, Label()), rule)

    def place(self, place: str) -> str:
        return self._words.label(self._places.get(place, Label()), place)

    def point(self, point: str) -> PointSpec | None:
        return self._points.get(point)


def _section(
    name: str,
    heads: Sequence[str],
    rows: Sequence[Html],
    words: Words,
    *more: Child,
    id_: str | None = None,
) -> Html:
    if not rows:
        return tag("section", tag("h3", words(f"page.{name}")), tag("p", words("page.none")), *more)
    head = tag("tr", [tag("th", words(f"page.{each}"), scope="col") for each in heads])
    table = tag("table", tag("thead", head), tag("tbody", rows))
    return tag("section", tag("h3", words(f"page.{name}")), table, *more, id=id_)


def _row(heads: Sequence[str], cells: Sequence[Child], words: Words) -> Html:
    # On a phone each row becomes a card, and the name of the column stands before each cell.
    return tag(
        "tr",
        [
            tag("td", tag("div", cell), data_head=words(f"page.{head}"))
            for head, cell in zip(heads, cells, strict=True)
        ],
    )


def _state(alarm: AlarmView, words: Words) -> list[Child]:
    marks = [
        words(f"mark.{mark}")
        for mark, is_so in (
            ("test", alarm.is_test),
            ("inhibited", alarm.is_inhibited),
            ("first_out", alarm.is_first_out),
            ("chattering", alarm.is_chattering),
            ("suppressed", alarm.is_suppressed),
            ("silenced", alarm.is_silenced),
            ("pending", alarm.is_pending),
            ("unknown", alarm.is_unknown),
        )
        if is_so
    ]
    who = f"{words('page.by')} {alarm.actor}" if alarm.actor else ""
    if alarm.is_inhibited and alarm.inhibited_left_s is not None:
        left = words("page.left").format(age_text(alarm.inhibited_left_s, words))
        marks.append(f"{left}, {words('page.by')} {alarm.inhibited_by}")
    return [words(f"state.{alarm.state}"), *[f" · {mark}" for mark in [*marks, who] if mark]]


def _since(alarm: AlarmView, view: AgentView, words: Words) -> str:
    said, age = clock_text(alarm.since, words), age_s(alarm.since, view.at)
    return said if age is None else f"{said} ({age_text(age, words)})"


def _alarm_value(alarm: AlarmView, names: _Names, words: Words) -> list[Child]:
    spec = names.point(alarm.point)
    name = words.label(spec.label, spec.id) if spec is not None else alarm.point
    if alarm.value is None:
        return [f"{name} ", tag("s", words("page.no_value"))] if name else [words("page.no_value")]
    said = value_text(alarm.value, alarm.unit, spec, words)
    return [f"{name} ", said if alarm.quality in _USABLE else tag("s", said)]


_USABLE = frozenset({Quality.GOOD, Quality.UNCERTAIN})


def _point_value(point: PointView, quality: Quality | None, words: Words) -> list[Child]:
    """Return the value; struck out when it is no longer one, never a blank and never a 0."""
    reading, spec = point.reading, point.spec
    if reading is not None and reading.value is not None and quality in _USABLE:
        said = value_text(reading.value, reading.unit or spec.unit, spec, words)
        is_offline = spec.kind is PointKind.ONLINE and reading.value is False
        return [tag("strong", said, class_="badge doubt" if is_offline else None)]
    last = point.last_good
    if last is None and quality is Quality.STALE and reading is not None and reading.is_known:
        last = reading
    if last is not None and last.value is not None:
        struck = value_text(last.value, last.unit or spec.unit, spec, words)
    else:
        struck = words("page.no_value")
    when = wall_text(point.last_good_wall_ms, words)
    return [tag("s", struck), tag("small", f" {words('page.last_good')} {when}")]


def _switched(is_active: bool, words: Words) -> str:
    return words("switch.started" if is_active else "switch.stopped")


def _read_back(output: OutputView, words: Words) -> Child:
    if output.is_active is None:
        return tag("strong", words("switch.unreadable"), class_="badge fault")
    said = _switched(output.is_active, words)
    if output.is_active != output.is_demanded:
        return tag("strong", said, class_="badge fault")
    return tag("strong", said, class_="badge on") if output.is_active else said


def _output_fault(output: OutputView, words: Words) -> Child:
    failures = f"{output.failures} {words('page.failures')}" if output.failures else ""
    if output.fault:
        return [tag("strong", output.fault, class_="badge fault"), f" {failures}"]
    return failures or words("page.none")


def _online(is_online: bool, words: Words, reason: str = "") -> Child:
    if is_online:
        return words("switch.online")
    said = words("switch.offline") + (f" · {reason}" if reason else "")
    return tag("strong", said, class_="badge doubt")


def _output_buttons(output: OutputView, view: AgentView, words: Words) -> list[Child]:
    found: list[Child] = []
    if output.spec.id in view.orders.cut:
        found.append(tag("strong", words("mark.cut"), class_="badge fault"))
        found.append(_button(CommandName.RESTORE, output.spec.id, words))
    if output.spec.test_max_s:
        found.append(_button(TEST, output.spec.id, words))
    return found


_LATCHED = frozenset({AlarmState.LATCHED_UNACKED, AlarmState.LATCHED_ACKED})


def _buttons(alarm: AlarmView, words: Words) -> list[Child]:
    out = CommandName.UNINHIBIT if alarm.is_inhibited else CommandName.INHIBIT
    if alarm.state is AlarmState.NORMAL:
        return [_button(out, alarm.rule, words)]
    wanted = [] if alarm.state.is_acked else [CommandName.ACK]
    if not alarm.is_silenced:
        wanted.append(CommandName.SILENCE)
    if alarm.is_latched or alarm.state in _LATCHED:
        wanted.append(CommandName.RESET)
    return [_button(name, alarm.rule, words) for name in (*wanted, out)]


def _button(name: str, target: str, words: Words) -> Html:
    return tag(
        "button",
        words(f"command.{name}"),
        id=f"{name}-{target}",
        form="command",
        name="do",
        value=f"{name}:{target}",
    )
