"""What can go wrong between box and broker, sorted by what the caller can do.

UplinkError
|-- Unreachable   no connection: name, port, TLS or credentials; try again later
|-- LinkLost      the connection ended; what was in flight is sent again on the next one
|-- Refused       the broker took the connection but not this message (MQTT 5 reason code)
`-- TooLarge      this message will never pass; trying again is no cure
"""

from __future__ import annotations

PACKET_TOO_LARGE = 149
"""MQTT 5.0 section 3.14.2.1: 0x95 Packet too large, in a DISCONNECT."""


class UplinkError(Exception):
    """Anything an uplink meets outside; its text is for people and holds no secret."""


class Unreachable(UplinkError):
    """The broker cannot be reached or did not accept the connection (`code`: CONNACK, else None)."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class LinkLost(UplinkError):
    """The connection ended.

    `is_by_peer`: the other side closed it, rather than falling silent; `is_flooded`: we did, at a
    message larger than any command.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        is_by_peer: bool = False,
        is_flooded: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.is_by_peer = is_by_peer
        self.is_flooded = is_flooded


class Refused(UplinkError):
    """A PUBACK or SUBACK with a failure code (MQTT 5.0 section 3.4.2.1, 128 and above)."""

    def __init__(self, topic: str, code: int, meaning: str) -> None:
        super().__init__(f"{topic}: refused by the broker: {meaning} ({code})")
        self.topic = topic
        self.code = code


class TooLarge(UplinkError):
    """A message over what this uplink or the broker takes; sizes in bytes."""

    def __init__(self, topic: str, size: int, limit: int) -> None:
        super().__init__(f"{topic}: {size} bytes is over {limit}")
        self.topic = topic
        self.size = size
        self.limit = limit
