"""Names on the wire: `<root>/<site>/<box>/<channel>/<name>` (docs/uplinks.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

MAX_TOPIC_BYTES = 256
"""AWS IoT Core takes no longer topic; it is the tightest of the known brokers."""
MAX_SLASHES = 7
"""The same broker's limit of levels."""

_WORD = re.compile(r"[a-z0-9._-]+")


class Channel(StrEnum):
    """The part of a topic that says what kind of message it carries."""

    STATUS = "status"
    META = "meta"
    STATE = "state"
    ALARM = "alarm"
    TELE = "tele"
    EVENT = "event"
    CMD = "cmd"
    RES = "res"


class TopicFault(ValueError):
    """A name that cannot stand in a topic, or a topic that is none of ours."""


def is_word(text: str) -> bool:
    """Return whether `text` can be one level: lowercase letters, digits, dash, dot, underscore."""
    return _WORD.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A topic taken apart."""

    root: str
    site: str
    box: str
    channel: Channel
    name: str


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one box.

    Raises:
        TopicFault: root, site or box holds what a topic must not.
    """

    root: str
    site: str
    box: str

    def __post_init__(self) -> None:
        for part in (*self.root.split("/"), self.site, self.box):
            if not is_word(part):
                raise TopicFault(
                    f"{part!r} cannot stand in a topic: lowercase letters, digits, '-', '.', '_'"
                )
        if self.root.count("/") + 4 > MAX_SLASHES:
            raise TopicFault(f"{self.root!r} has too many levels: {MAX_SLASHES} slashes in all")

    def of(self, channel: Channel, name: str) -> str:
        """Return the topic of `name` on `channel`.

        Raises:
            TopicFault: the name cannot stand in a topic, or the topic would be too long.
        """
        if not is_word(name):
            raise TopicFault(f"{name!r} cannot stand in a topic")
        topic = f"{self.root}/{self.site}/{self.box}/{channel}/{name}"
        if len(topic) > MAX_TOPIC_BYTES:
            raise TopicFault(f"{topic} is longer than {MAX_TOPIC_BYTES} bytes")
        return topic

    @property
    def status(self) -> str:
        """Birth, will, heartbeat and farewell."""
        return self.of(Channel.STATUS, "box")

    @property
    def meta(self) -> str:
        """The box's description of itself."""
        return self.of(Channel.META, "box")

    @property
    def tele(self) -> str:
        """Batches of readings."""
        return self.of(Channel.TELE, "batch")

    def state(self, point: str) -> str:
        """Return the topic of a point's last reading."""
        return self.of(Channel.STATE, point)

    def alarm(self, rule: str) -> str:
        """Return the topic of an alarm's current state."""
        return self.of(Channel.ALARM, rule)

    def event(self, subject: str) -> str:
        """Return the topic of events about a rule, point, output or the box."""
        return self.of(Channel.EVENT, subject)

    def all_of(self, channel: Channel) -> str:
        """Return the subscription to one channel of this box."""
        return f"{self.root}/{self.site}/{self.box}/{channel}/+"

    @property
    def everything(self) -> str:
        """The subscription to all that this box says."""
        return f"{self.root}/{self.site}/{self.box}/+/+"


def is_answerable(topics: Topics, topic: str) -> bool:
    """Return whether an answer may go where an asker wants it.

    Not among this box's own words: an asker could otherwise have it speak an event that never was, or
    command itself.
    """
    if not 0 < len(topic.encode(errors="replace")) <= MAX_TOPIC_BYTES or topic.startswith("$"):
        return False
    if any(each in topic for each in "#+\0"):
        return False
    return not topic.startswith(f"{topics.root}/") or topic.startswith(
        f"{topics.root}/{topics.site}/{topics.box}/{Channel.RES}/"
    )


def fleet(root: str, channel: Channel | None = None) -> str:
    """Return the subscription to all boxes under `root`, on one channel or on all."""
    return f"{root}/+/+/{channel or '+'}/+"


def take_apart(root: str, topic: str) -> Address:
    """Return the parts of a topic under `root`.

    Raises:
        TopicFault: the topic is none of the contract's.
    """
    if not topic.startswith(f"{root}/"):
        raise TopicFault(f"{topic!r} is not under {root!r}")
    parts = topic[len(root) + 1 :].split("/")
    if len(parts) != 4 or not all(is_word(part) for part in parts):
        raise TopicFault(f"{topic!r} is not {root}/<site>/<box>/<channel>/<name>")
    site, box, channel, name = parts
    if channel not in set(Channel):
        raise TopicFault(f"{topic!r}: {channel!r} is no channel")
    return Address(root=root, site=site, box=box, channel=Channel(channel), name=name)
