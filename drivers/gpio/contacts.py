"""Plain contacts as data: what a smoke relay, a leak relay or a flow switch on a pin usually is."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from drivers.gpio.spec import ContactForm, Pull

FILE = Path(__file__).parent.parent / "profiles" / "contacts.toml"
"""The contacts that come with the agent, with their sources."""

_KEYS = frozenset({"title", "kind", "contact", "pull", "debounce_ms", "label", "sources", "notes"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactProfile:
    """A kind of contact; the site may override each of its settings."""

    name: str
    title: str
    kind: str
    """What it tells, a word of agent.core.spec.PointKind; drivers only carry it."""
    contact: ContactForm
    pull: Pull
    debounce_ms: float
    label_en: str
    label_zh: str
    sources: tuple[str, ...]
    notes: str


def contact_profiles(file: Path = FILE) -> Mapping[str, ContactProfile]:
    """Return the contacts of a file by name. Reads the file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not TOML, or an entry is incomplete or has a word nobody knows.
    """
    document = tomllib.loads(file.read_text("utf-8"))
    return {name: _profile(name, entry) for name, entry in document.items()}


def _profile(name: str, entry: object) -> ContactProfile:
    if not isinstance(entry, dict) or set(entry) != _KEYS:
        raise ValueError(f"{name}: an entry has exactly the keys {', '.join(sorted(_KEYS))}")
    label, sources = entry["label"], entry["sources"]
    if not isinstance(label, dict) or set(label) != {"en", "zh"}:
        raise ValueError(f"{name}: label has en and zh")
    if not isinstance(sources, list) or not sources:
        raise ValueError(f"{name}: sources is a list of one or more")
    return ContactProfile(
        name=name,
        title=str(entry["title"]),
        kind=str(entry["kind"]),
        contact=ContactForm(entry["contact"]),
        pull=Pull(entry["pull"]),
        debounce_ms=float(entry["debounce_ms"]),
        label_en=str(label["en"]),
        label_zh=str(label["zh"]),
        sources=tuple(str(each) for each in sources),
        notes=str(entry["notes"]),
    )
