"""What comes in from outside and what goes out, whatever it is."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from agent.core.effects import Command, CommandName
from agent.core.spec import PointKind, PointSpec
from agent.local.commands import NotUnderstood, read_json
from agent.local.markup import tag
from agent.local.metrics import expose
from agent.local.terms import Lang, choose_lang
from agent.local.view import AgentView, PointView
from agent.local.wire import dumps, points_json
from drivers.reading import Quality, Reading, Value
from tests.local.room import CALM, NOW

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.dictionaries(
    st.sampled_from(["id", "name", "target", "actor", "code", "reason", "other"]),
    st.sampled_from([*CommandName, "false", ""]) | st.text(max_size=250) | JSON,
)


@given(body=st.text(max_size=60) | JSON.map(json.dumps) | FIELDS.map(json.dumps))
def test_anything_sent_is_a_clean_command_or_refused(body: str) -> None:
    try:
        command = read_json(body, "page")
    except NotUnderstood:
        return
    assert isinstance(command, Command)
    assert command.name in CommandName
    for text in (command.id, command.actor, command.target, command.reason):
        assert len(text.encode()) <= 800
        assert not re.search(r"[\x00-\x1f\x7f]", text)


@given(header=st.text(max_size=60))
def test_any_language_header_gives_a_language(header: str) -> None:
    assert choose_lang("", header) in Lang


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.title: str | None = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.title = dict(attrs).get("title")

    def handle_data(self, data: str) -> None:
        self.text += data


@given(text=TEXT, title=TEXT)
def test_text_put_into_an_element_stays_text(text: str, title: str) -> None:
    reader = Reader()
    reader.feed(tag("p", text, title=title))
    reader.close()
    assert reader.tags == ["p"]
    assert (reader.text, reader.title) == (text, title)


def view_of(kind: PointKind, unit: str, value: Value, quality: Quality) -> AgentView:
    spec = PointSpec(id="a.b", kind=kind, unit=unit)
    reading = Reading(
        point="a.b",
        value=None if quality in ("bad", "stale") else value,
        quality=quality,
        unit=unit,
        at=NOW,
    )
    shown = PointView(spec=spec, reading=reading, last_good_wall_ms=None)
    return AgentView(
        **{name: getattr(CALM, name) for name in AgentView.__slots__} | {"points": (shown,)}
    )


@given(
    kind=st.sampled_from(PointKind),
    unit=TEXT | st.sampled_from(["kPa", "%", "degC", "mA", "kWh"]),
    value=st.booleans() | st.integers() | st.floats() | TEXT,
    quality=st.sampled_from(Quality),
)
def test_any_reading_can_be_told_in_metrics_and_json(
    kind: PointKind, unit: str, value: Value, quality: Quality
) -> None:
    view = view_of(kind, unit, value, quality)
    json.loads(dumps(points_json(view)))
    families = list(text_string_to_metric_families(expose(view)[0].decode()))
    samples = [each for family in families for each in family.samples]
    errors = [each for each in samples if each.name == "plantroom_scrape_errors" and each.value]
    assert errors == []
    told = {each.name for each in samples if each.labels.get("point") == "a.b"}
    if quality in (Quality.BAD, Quality.STALE):
        assert told == {"plantroom_point_info", "plantroom_point_good"}
