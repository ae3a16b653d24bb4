"""What people see: words in both languages, no calm that is not earned, nothing unescaped."""

from __future__ import annotations

import dataclasses
import re
from enum import StrEnum

import pytest

from agent.core.effects import REFUSALS, AlarmState, AlarmView, CommandName
from agent.core.spec import AlarmClass, Label, OutputKind, PointKind
from agent.local.commands import CLOSING_CODES
from agent.local.page import Form, full_page, live_part, silent_page
from agent.local.phrases import age_text
from agent.local.summary import age_s, summarise
from agent.local.terms import TERMS, Lang, Words
from agent.outbox.records import Lane
from drivers.clock import ClockState, Stamp
from drivers.reading import Quality
from tests.local.room import CALM, NOW, VIEW, ago, alarm

EN, ZH = Words(Lang.EN), Words(Lang.ZH)
FORM = Form(token="t", command_id="c")

OUTCOMES = ("done", *REFUSALS)


@pytest.mark.parametrize(
    ("group", "values"),
    [
        ("class", AlarmClass),
        ("state", AlarmState),
        ("quality", Quality),
        ("point", PointKind),
        ("output", OutputKind),
        ("command", CommandName),
        ("closing", CLOSING_CODES),
        ("outcome", OUTCOMES),
        ("lane", Lane),
    ],
)
def test_every_value_has_a_word(group: str, values: type[StrEnum] | tuple[str, ...]) -> None:
    assert not [value for value in values if f"{group}.{value}" not in TERMS]


def test_both_languages_are_complete_and_differ() -> None:
    for key, (english, chinese) in TERMS.items():
        assert english, key
        assert re.search(r"[\u4e00-\u9fff]", chinese), key
        assert not re.search(r"[\u4e00-\u9fff]", english), key


@pytest.mark.parametrize("words", [EN, ZH])
def test_the_page_says_that_it_replaces_no_fire_panel(words: Words) -> None:
    for page in (full_page(VIEW, words, FORM, None), silent_page(words)):
        assert words("page.supplement") in page


def test_the_banner_names_the_highest_class_the_count_and_the_oldest() -> None:
    banner = banner_of(live_part(VIEW, EN, can_command=True))
    assert "<h2>Fire</h2>" in banner
    assert "5 standing" in banner
    assert "3 not acknowledged" in banner
    assert "1 min 30 s ago" in banner
    assert "fire unacked" in banner


def banner_of(part: str) -> str:
    found = re.search(r'<section class="banner.*?</section>', part)
    assert found
    return found[0]


@pytest.mark.parametrize(
    ("changes", "is_calm"),
    [
        ({}, True),
        ({"not_ready": ("outbox is recovering",)}, False),
        ({"alarms": (alarm("x", AlarmClass.FIRE, is_unknown=True),)}, False),
        ({"alarms": (alarm("x", AlarmClass.TECHNICAL, AlarmState.RETURNED_UNACKED),)}, False),
        ({"points": VIEW.points}, False),
        ({"alarms": (), "points": ()}, False),
        ({"outputs": VIEW.outputs[1:2]}, False),
        ({"outputs": VIEW.outputs[2:3]}, False),
    ],
)
def test_calm_is_shown_only_when_all_is_known(changes: dict[str, object], is_calm: bool) -> None:
    view = dataclasses.replace(CALM, **changes)  # type: ignore[arg-type]
    assert ("No alarm stands" in live_part(view, EN, can_command=False)) is is_calm


def test_only_what_nobody_acknowledged_flashes() -> None:
    part = live_part(VIEW, EN, can_command=False)
    flashing = re.findall(r'<strong class="badge (\w+) unacked">', part)
    assert sorted(flashing) == ["fault", "fire", "technical"]


def test_a_value_that_is_none_is_struck_out_with_its_age_and_never_a_zero() -> None:
    part = live_part(VIEW, EN, can_command=False)
    row = row_of(part, "Sprinkler pressure")
    assert "<s>512.5 kPa</s>" in row
    assert "stale · timeout" in row
    assert "1 min 35 s" in row
    assert "<s>no value</s>" in row_of(part, "leak.rope")
    assert "never heard" in row_of(part, "new.sensor")
    assert "<s>20 °C</s>" in row_of(part, "old.temperature")
    assert "nan" not in row_of(part, "broken.ratio")


def row_of(part: str, name: str) -> str:
    points = part[part.index("<h3>Points</h3>") :]
    row: str
    (row,) = [each for each in re.findall(r"<tr>.*?</tr>", points) if f"<div>{name}</div>" in each]
    return row


def test_an_output_that_did_not_obey_is_marked_in_words() -> None:
    part = live_part(VIEW, EN, can_command=False)
    assert '<strong class="badge fault">at rest</strong>' in part
    assert '<strong class="badge fault">cannot be read</strong>' in part
    assert "read-back differs" in part


def test_text_from_the_site_cannot_become_markup() -> None:
    nasty = '"><script>alert(1)</script>'
    spec = dataclasses.replace(CALM.points[0].spec, label=Label(en=nasty))
    view = dataclasses.replace(
        VIEW,
        points=(dataclasses.replace(CALM.points[0], spec=spec),),
        alarms=(alarm(nasty, AlarmClass.FIRE, AlarmState.ACTIVE_UNACKED, actor=nasty, zone=nasty),),
        not_ready=(nasty,),
    )
    page = full_page(view, EN, dataclasses.replace(FORM, actor=nasty), None)
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 5


def test_the_page_needs_no_inline_script_or_style() -> None:
    page = full_page(VIEW, EN, FORM, None)
    assert re.findall(r"<script[^>]*>", page) == ['<script src="/static/page.js" defer>']
    assert "<style" not in page
    assert " style=" not in page
    assert not re.search(r" on\w+=", page)
    assert "http://" not in page
    assert "https://" not in page


def test_without_scripts_the_page_reloads_itself() -> None:
    page = full_page(VIEW, ZH, FORM, None)
    assert '<noscript><meta http-equiv="refresh" content="10;url=/?lang=zh-CN"></noscript>' in page


def test_first_out_stands_first_within_a_class() -> None:
    summary = summarise(VIEW)
    assert [each.rule for each in summary.standing[:2]] == ["shed-smoke", "shed-heat"]
    assert summary.highest is AlarmClass.FIRE
    assert isinstance(summary.oldest, AlarmView)


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (0.0, "0 s", "0秒"),
        (59.6, "1 min 0 s", "1分0秒"),
        (3661.0, "1 h 1 min", "1小时1分"),
        (90_061.0, "1 d 1 h", "1天1小时"),
        (None, "–", "–"),
    ],
)
def test_ages_are_said_in_two_units(seconds: float | None, english: str, chinese: str) -> None:
    assert (age_text(seconds, EN), age_text(seconds, ZH)) == (english, chinese)


def test_an_age_over_a_restart_comes_from_the_wall_clock_or_is_not_claimed() -> None:
    other_boot = Stamp(9e9, NOW.wall_ms - 60_000)
    assert age_s(other_boot, NOW) == 60.0
    unsynced = Stamp(9e9, 0, ClockState.UNSYNCED)
    assert age_s(unsynced, NOW) is None
    assert age_s(ago(5), NOW) == 5.0
