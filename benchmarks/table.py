"""What every benchmark prints: a table for people, then one line of JSON for machines."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence

Cell = str | int | float | bool


def show(name: str, rows: Sequence[Mapping[str, Cell]], **about: Cell) -> None:
    """Print rows (all with the same columns) under a heading, then everything as one JSON line."""
    columns = list(rows[0])
    lines = [columns, *([_text(row[each]) for each in columns] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    print(f"{name}  ({', '.join(f'{key} {_text(value)}' for key, value in about.items())})")
    for line in lines:
        print("  " + "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)))
    told = {"benchmark": name, "machine": machine(), "about": dict(about), "rows": list(rows)}
    print(json.dumps(told), flush=True)


def machine() -> dict[str, Cell]:
    """Return what the figures were made on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count() or 0,
        "load_1min": round(os.getloadavg()[0], 2),
    }


def _text(value: Cell) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:g}" if isinstance(value, float) else str(value)
