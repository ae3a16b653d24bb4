"""Takes a Markdown section apart into what it says: table rows, bullets, paragraphs, and their sentences."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

_LISTED = ("- ", "* ")


def section(text: str, heading: str) -> str:
    """Return what stands below a heading, up to the next one of its level or above; headings left out."""
    level = heading.count("#")
    kept: list[str] = []
    is_inside = False
    for line in text.splitlines():
        if line.startswith("#"):
            depth = len(line) - len(line.lstrip("#"))
            if line.startswith(f"{heading} "):
                is_inside = True
            elif is_inside and depth <= level:
                break
        elif is_inside:
            kept.append(line)
    assert kept, f"no section {heading}"
    return "\n".join(kept)


def rows(text: str) -> list[str]:
    """Return each table row (without its head), each bullet and each paragraph of a section, in order."""
    found: list[str] = []
    before = ""
    for line in text.splitlines():
        if not line.strip() or line.startswith("---"):
            before = ""
            continue
        if line.startswith("|"):
            if set(line) <= set("|-: "):
                found.pop()  # what stood above the rule was the head of the table
            else:
                found.append(line)
        elif line.startswith(_LISTED):
            found.append(line[2:])
        elif before and not before.startswith("|"):
            found[-1] += f" {line.strip()}"
        else:
            found.append(line)
        before = line
    return found


def mark(row: str) -> str:
    """Return a short fingerprint of how a row begins: a table's first filled cell, or the first words."""
    cells = [cell.strip() for cell in row.strip("|").split("|")] if row.startswith("|") else [row]
    words = next(cell for cell in cells if cell).split()[:6]
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:8]


def sentences(row: str) -> Iterator[str]:
    """Yield what a row says, one statement at a time: it ends at a full stop or a semicolon outside brackets."""
    depth = start = 0
    for each in re.finditer(r"[()]|[.;](?=\s|$)", row):
        match each.group():
            case "(":
                depth += 1
            case ")":
                depth -= 1
            case _ if depth == 0:
                yield row[start : each.end()].strip().rstrip(".;")
                start = each.end()
    if rest := row[start:].strip():
        yield rest
