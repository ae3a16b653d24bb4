"""The demo's live picture: the agent at one moment, never taller than the terminal it is drawn in."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.core.effects import AlarmState
from agent.local.view import AgentView
from drivers.reading import Quality

CLASS_STYLES = {"fire": "bold red", "gas": "bold red", "supervisory": "yellow", "fault": "yellow"}

MOST_LINES = 14
"""Of what has happened, in a tall terminal."""
LEAST_LINES = 3
_LINES_SHARE = 6
"""One row in six tells what has happened; the rest shows how things are."""
_NARROW = 76
"""Below this many columns points would push alarms out of shape and are left out."""
_ALARMS_WIDTH = 48
"""Class, id and state of an alarm, an id of 16 letters uncut; points get the rest."""
_LEAST_ROWS = 5
_FRAME = 2
_CURSOR = 1
"""The row below the picture, where the cursor waits; without it every drawing would scroll."""
_HIDDEN_KINDS = ("health", "online", "count")


def scene(
    view: AgentView,
    *,
    title: str,
    addresses: Sequence[str],
    lines: Sequence[Text],
    width: int,
    height: int,
) -> RenderableType:
    """Return the picture: addresses, alarms and outputs beside points, and the last lines.

    Args:
        view: the agent.
        title: what happens just now.
        addresses: where to look, a row each.
        lines: what has happened, oldest first; the last of them are shown.
        width: columns of the terminal.
        height: rows of the terminal; the picture leaves one free.
    """
    free = height - len(addresses) - _FRAME - _CURSOR
    room = max(_LEAST_ROWS, free - max(LEAST_LINES, height // _LINES_SHARE))
    rows = min(room, max(_rows_of_points(view), _rows_of_state(view)))
    told = min(MOST_LINES, max(LEAST_LINES, free - rows))
    body: RenderableType = Group(*_state(view, rows))
    if width >= _NARROW:
        grid = Table.grid(expand=True, padding=(0, 1))
        grid.add_column(width=max(_ALARMS_WIDTH, width // 2))
        grid.add_column(ratio=1)
        grid.add_row(body, _points(view, rows))
        body = grid
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(
        *(Text(each, no_wrap=True, overflow="ellipsis") for each in addresses),
        Panel(
            body,
            title=title,
            subtitle="a simulated room; Ctrl-C ends it",
            border_style="cyan",
            height=rows + _FRAME,
        ),
        *lines[-told:],
    )


def _table(*columns: str) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0))
    for index, name in enumerate(columns):
        table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=None if index != 1 else 1)
    return table


def _cut(table: Table, rows: Sequence[tuple[str | Text, ...]], most: int, what: str) -> Table:
    """Fill a table with at most `most` rows; what does not fit is counted in the last of them."""
    shown = len(rows) if len(rows) <= most else max(0, most - 1)
    for row in rows[:shown]:
        table.add_row(*row)
    if shown < len(rows):
        table.add_row("…", Text(f"{len(rows) - shown} more {what}", style="dim"))
    return table


# -- alarms, outputs, link -------------------------------------------------------------------------


def _rows_of_state(view: AgentView) -> int:
    return 1 + max(1, len(_standing(view))) + 1 + len(view.outputs) + len(view.uplinks)


def _state(view: AgentView, rows: int) -> list[RenderableType]:
    """Return alarms, outputs and links in `rows` rows; alarms get what the others leave."""
    links = view.uplinks[: max(1, rows // 8)]
    outputs = min(len(view.outputs), max(1, rows // 3))
    alarms = max(1, rows - len(links) - (1 + outputs) - 1)
    return [
        _cut(_table("class", "alarm", "state"), _alarm_rows(view), alarms, "alarms"),
        _cut(_table("output", "state"), _output_rows(view), outputs, "outputs"),
        *(_link(view, each.id, each.is_connected) for each in links),
    ]


def _standing(view: AgentView) -> list[tuple[str | Text, ...]]:
    standing = [each for each in view.alarms if each.state is not AlarmState.NORMAL]
    return [
        (
            Text(alarm.alarm_class, style=CLASS_STYLES.get(alarm.alarm_class, "")),
            alarm.rule,
            alarm.state.replace("_", ", "),
        )
        for alarm in sorted(standing, key=lambda each: each.alarm_class.rank)
    ]


def _alarm_rows(view: AgentView) -> list[tuple[str | Text, ...]]:
    return _standing(view) or [("", Text("no alarms", style="green"), "")]


def _output_rows(view: AgentView) -> list[tuple[str | Text, ...]]:
    rows: list[tuple[str | Text, ...]] = []
    for output in sorted(view.outputs, key=lambda each: each.is_active is False):
        word = {True: "ACTIVE", False: "at rest", None: "unknown"}[output.is_active]
        style = "bold red" if output.is_active else "yellow" if output.is_active is None else ""
        rows.append((output.spec.id, Text(word, style=style)))
    return rows


def _link(view: AgentView, uplink: str, is_connected: bool) -> Text:
    unsent = view.outbox.unsent_by_uplink.get(uplink, 0) if view.outbox else 0
    state = "connected" if is_connected else "AWAY"
    return Text(
        f"uplink {uplink} {state}; {unsent} records waiting",
        style="yellow" if unsent or not is_connected else "",
        no_wrap=True,
        overflow="ellipsis",
    )


# -- points ----------------------------------------------------------------------------------------


def _rows_of_points(view: AgentView) -> int:
    return 1 + len(_point_rows(view))


def _points(view: AgentView, rows: int) -> Table:
    """Return values beside ids; where a value is not good, its quality stands in its place."""
    return _cut(_table("value", "point"), _point_rows(view), rows - 1, "points")


def _point_rows(view: AgentView) -> list[tuple[str | Text, ...]]:
    rows: list[tuple[str | Text, ...]] = []
    for point in view.points:
        if point.spec.kind in _HIDDEN_KINDS:
            continue
        reading = point.reading
        if reading is None or reading.value is None or reading.quality is not Quality.GOOD:
            quality = reading.quality if reading is not None else "not read yet"
            rows.append((Text(quality, style="yellow"), Text(point.spec.id, style="yellow")))
            continue
        value = reading.value
        if isinstance(value, bool):
            word = "active" if value else "at rest"
        elif isinstance(value, int | float):
            word = f"{value:.1f} {reading.unit}"
        else:
            word = str(value)
        rows.append((word, point.spec.id))
    return rows
