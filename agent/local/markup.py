"""HTML built so that nothing goes unescaped by oversight."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


class Html(str):
    """Text that is HTML already; anything else is escaped where it is put in."""

    __slots__ = ()


Child = str | Html | Iterable["Child"] | None

VOID = frozenset({"br", "input", "link", "meta"})
"""Elements without an end tag (HTML Living Standard, 13.1.2)."""


def tag(name: str, /, *children: Child, **attributes: str | bool | None) -> Html:
    """Return an element.

    Attribute names lose a trailing underscore and turn others into dashes; None and False leave an
    attribute out, True gives it without a value.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{''.join(_flat(children))}</{name}>")


def join(*children: Child) -> Html:
    """Return children one after another."""
    return Html("".join(_flat(children)))


def _attribute(key: str, value: str | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(value)}"'


def _flat(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            yield child
        elif isinstance(child, str):
            yield escape(child)
        else:
            yield from _flat(child)
