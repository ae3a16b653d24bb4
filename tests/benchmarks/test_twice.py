"""After the end of which connection a record comes again, as the judges of kills and cuts count it."""

from __future__ import annotations

from collections.abc import Iterable

from agent.outbox.contract import WINDOW
from agent.outbox.cursor import BEYOND
from agent.simulate.subscriber import Heard
from agent.uplink.sinks.choosing import make_sink
from agent.uplink.spec import UplinkSpec
from benchmarks.agent_plant import ROOT
from benchmarks.twice import Twice
from tests.uplink.commands import CUTTING
from tests.uplink.samples import BOOT, batch, event, reading

SINK = make_sink(
    UplinkSpec(id="x", host="h", root=ROOT), site=CUTTING, boot=BOOT, config_hash="c0ffee"
)


def connection(twice: Twice, events: Iterable[int] = (), batches: Iterable[int] = ()) -> None:
    """Send on a new connection."""
    twice.connected()
    for seq in events:
        for each in SINK.event(event(seq), is_replay=False):
            twice.sent(Heard(each.topic, each.payload, False, False))
    for seq in batches:
        for each in SINK.batch(batch(seq), is_replay=False):
            twice.sent(Heard(each.topic, each.payload, False, False))


def test_what_comes_again_counts_for_the_connection_it_was_sent_on_before() -> None:
    twice = Twice()
    connection(twice, batches=range(15))
    twice.life_ended("")
    connection(twice, events=range(18))
    twice.life_ended("")
    # what two kills left comes in one life, and is not one kill's
    connection(twice, events=range(18), batches=range(15))
    assert (twice.most, twice.repeated) == (18, 0)
    connection(twice, batches=range(3))
    assert twice.most == 18


def test_more_than_a_window_is_found_both_lanes_together() -> None:
    twice = Twice()
    for _ in range(2):
        connection(twice, events=range(11), batches=range(10))
        twice.life_ended("")
    assert twice.most == WINDOW + 1


def test_a_life_in_which_the_disk_was_stuck_and_that_said_so_counts_apart() -> None:
    twice = Twice()
    connection(twice, events=range(5))
    twice.life_ended("up\n")
    connection(twice, events=range(40))
    twice.life_ended(f"up\nWARNING {BEYOND % ('cloud', WINDOW)}\n")
    connection(twice, events=range(40))
    twice.life_ended("up\n")
    assert (twice.most, twice.most_stuck, twice.stuck_lives) == (5, 40, 1)


def test_twice_on_one_connection_is_told_and_states_are_no_records() -> None:
    twice = Twice()
    connection(twice, events=(1, 2, 1))
    for each in (*SINK.state(reading(1.0)), *SINK.state(reading(1.0))):
        twice.sent(Heard(each.topic, each.payload, False, False))
    twice.sent(Heard(f"{ROOT}/s/b/state/p", b"", False, False))
    assert (twice.most, twice.repeated) == (0, 1)
