"""Event ids: UUID version 7 (RFC 9562 section 5.7), rising even when the wall clock does not."""

from __future__ import annotations

import secrets
import uuid

_RANDOM_BITS = 74
"""rand_a (12) and rand_b (62) of RFC 9562 section 5.7."""


class Uuid7:
    """Makes ids that sort in the order they were made (RFC 9562 section 6.2, method 2).

    Within one millisecond, and while the wall clock stands behind an id already given, the random
    part is counted on by a random step.
    """

    def __init__(self) -> None:
        self._ms = -1
        self._random = 0

    def next(self, wall_ms: int) -> str:
        """Return a new id for a moment in Unix milliseconds, as 36 characters."""
        wall_ms = max(0, wall_ms)
        if wall_ms > self._ms:
            self._ms = wall_ms
            self._random = secrets.randbits(_RANDOM_BITS - 1)
        else:
            self._random += 1 + secrets.randbits(32)
            if self._random >> _RANDOM_BITS:
                self._ms += 1
                self._random = secrets.randbits(_RANDOM_BITS - 1)
        value = (self._ms & ((1 << 48) - 1)) << 80
        value |= 0x7 << 76 | (self._random >> 62) << 64
        value |= 0b10 << 62 | (self._random & ((1 << 62) - 1))
        return str(uuid.UUID(int=value))


def stream_id() -> str:
    """Return a stream id: 48 random bits as 12 hex digits. Order comes from the opening records."""
    return secrets.token_hex(6)
