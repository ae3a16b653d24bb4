from __future__ import annotations

import pytest

from agent.uplink.topics import Channel, TopicFault, Topics, fleet, take_apart

TOPICS = Topics("plantroom/v1", "riverside", "b1")


def test_every_name_has_the_same_depth() -> None:
    names = [
        TOPICS.status,
        TOPICS.meta,
        TOPICS.tele,
        TOPICS.state("hydrant.pressure"),
        TOPICS.alarm("shed-fire"),
        TOPICS.event("siren"),
    ]
    assert {name.count("/") for name in names} == {5}
    assert names[0] == "plantroom/v1/riverside/b1/status/box"
    assert TOPICS.tele == "plantroom/v1/riverside/b1/tele/batch"


@pytest.mark.parametrize(
    "word", ["", "Shed", "a b", "a/b", "+", "#", "$sys", "车棚", "a\n", "a\x00"]
)
def test_a_word_that_a_broker_or_reader_could_stumble_over_is_refused(word: str) -> None:
    with pytest.raises(TopicFault):
        TOPICS.state(word)
    with pytest.raises(TopicFault):
        Topics("plantroom/v1", word, "b1")
    with pytest.raises(TopicFault):
        Topics("plantroom/v1", "riverside", word)


@pytest.mark.parametrize("root", ["", "/a", "a/", "a//b", "a/b/c/d/e"])
def test_a_root_with_empty_or_too_many_levels_is_refused(root: str) -> None:
    with pytest.raises(TopicFault):
        Topics(root, "riverside", "b1")


def test_a_topic_over_256_bytes_is_refused() -> None:
    with pytest.raises(TopicFault, match="256"):
        TOPICS.state("x" * 230)


@pytest.mark.parametrize("channel", list(Channel))
def test_taking_apart_gives_back_what_was_put_together(channel: Channel) -> None:
    address = take_apart("plantroom/v1", TOPICS.of(channel, "hydrant.pressure"))
    assert (address.site, address.box, address.channel, address.name) == (
        "riverside",
        "b1",
        channel,
        "hydrant.pressure",
    )


@pytest.mark.parametrize(
    "topic",
    [
        "other/v1/riverside/b1/state/a",
        "plantroom/v1/riverside/b1/state",
        "plantroom/v1/riverside/b1/state/a/b",
        "plantroom/v1/riverside/b1/shout/a",
        "plantroom/v1/riverside//state/a",
    ],
)
def test_foreign_topics_are_told(topic: str) -> None:
    with pytest.raises(TopicFault):
        take_apart("plantroom/v1", topic)


def test_subscriptions() -> None:
    assert fleet("plantroom/v1") == "plantroom/v1/+/+/+/+"
    assert fleet("plantroom/v1", Channel.EVENT) == "plantroom/v1/+/+/event/+"
    assert TOPICS.all_of(Channel.STATE) == "plantroom/v1/riverside/b1/state/+"
    assert TOPICS.everything == "plantroom/v1/riverside/b1/+/+"
