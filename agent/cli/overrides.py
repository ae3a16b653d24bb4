"""`--set PATH=VALUE`, the same for run, check and demo."""

from __future__ import annotations

from collections.abc import Iterable


class NotAnOverride(ValueError):
    """The words after `--set` are not PATH=VALUE."""


def read_overrides(words: Iterable[str]) -> dict[str, str]:
    """Return `{path: value}`.

    Raises:
        NotAnOverride: a word is not PATH=VALUE.
    """
    overrides = {}
    for word in words:
        path, equals, value = word.partition("=")
        if not equals or not path.strip():
            raise NotAnOverride(
                f"--set {word}: say PATH=VALUE, as in buses.rs485.port=/dev/ttyAMA2"
            )
        overrides[path.strip()] = value
    return overrides
