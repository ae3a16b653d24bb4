"""The uplink's hard cases in full: brokers killed again and again or away for long, hostile commands.

`python -m benchmarks.uplink_brokers [--kills 50] [--away 75] [--outages 5] [--hostile 10000] [--good 1000]`.
The small version of the same runs is tests/uplink/test_brokers.py and tests/app/test_hostile_commands.py.
Needs mosquitto, and node with aedes (`make test` installs both).
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import shutil
import sys
import tempfile
from pathlib import Path

from agent.uplink.spec import Protocol
from benchmarks.figures import print_table
from tests.app.test_hostile_commands import besiege
from tests.uplink.test_brokers import KINDS, Kind, kill_again_and_again, stay_away
from tests.uplink.wire import WINDOW

LONGEST_RETURN_S = 12.0
"""From the broker's return to the link, after an outage of more than a minute."""


def program(name: str) -> str:
    """Return the path of a program."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/bin")
    if path is None:
        sys.exit(f"{name} is not installed")
    return path


async def kills(kind: Kind, times: int) -> tuple[list[str], bool]:
    """Return a row of the table of kills, and whether all held."""
    with tempfile.TemporaryDirectory() as folder:
        wire, plant, backs_s = await kill_again_and_again(kind, Path(folder), program, times)
    lost = len(plant.events - wire.events) + len(plant.values - wire.values)
    held = not lost and wire.ledger.is_complete and wire.doubles <= WINDOW * times
    row = [
        f"{kind.name}, {kind.protocol}",
        str(times),
        f"{len(plant.events)} + {len(plant.values)}",
        str(lost),
        f"{wire.doubles} of {WINDOW * times}",
        f"{max(backs_s):.2f}",
    ]
    return row, held and max(backs_s) < 5


async def outages(kind: Kind, away_s: float, times: int) -> tuple[list[str], bool]:
    """Return a row of the table of longer outages (so many boxes at once), and whether all held."""
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / str(number) for number in range(times)]
        for each in places:
            each.mkdir()
        async with asyncio.TaskGroup() as tasks:
            runs = [tasks.create_task(stay_away(kind, each, program, away_s)) for each in places]
    done = [each.result() for each in runs]
    lost = sum(
        len(plant.events - wire.events) + len(plant.values - wire.values)
        for wire, plant, _, _ in done
    )
    doubles = sum(wire.doubles for wire, _, _, _ in done)
    backs_s = sorted(back_s for _, _, back_s, _ in done)
    row = [
        f"{kind.name}, {kind.protocol}",
        f"{times} of {away_s:.0f} s",
        f"{sum(len(plant.events) for _, plant, _, _ in done)}"
        f" + {sum(len(plant.values) for _, plant, _, _ in done)}",
        str(lost),
        f"{doubles} of {WINDOW * times}",
        f"{backs_s[len(backs_s) // 2]:.2f}",
        f"{backs_s[-1]:.2f}",
        f"{max(drained_s for _, _, _, drained_s in done):.2f}",
    ]
    held = not lost and all(wire.ledger.is_complete for wire, _, _, _ in done)
    return row, held and doubles <= WINDOW * times and backs_s[-1] <= LONGEST_RETURN_S


async def hostility(protocol: Protocol, hostile: int, good: int) -> tuple[list[str], bool]:
    """Return a row of the table of commands against the whole agent, and whether all held."""
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        siege = await besiege(
            Path(folder), most=hostile, good_ones=good, protocol=protocol, limit_s=900.0
        )
    siege.judge()
    row = [
        f"mosquitto, {protocol}",
        f"{hostile}",
        "0",
        "0",
        f"{len(siege.done)} of {good}",
        f"{sum(count - 1 for count in siege.done.values())}",
        f"{siege.by_desk} + {sum(siege.refused.values()) - siege.by_desk}",
        f"{siege.log_lines}",
        f"{(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024:.0f}",
    ]
    return row, siege.by_desk < 500 and siege.log_lines < 1000


async def bounded(hostile: int) -> tuple[list[str], bool]:
    """Return a row of the same at a site's own rate of commands, and whether the log stayed small."""
    with tempfile.TemporaryDirectory() as folder:
        siege = await besiege(Path(folder), most=hostile, good_ones=0, per_minute=60, limit_s=900.0)
    siege.judge()
    events = sum(siege.refused.values())
    row = ["mosquitto, 5, 60 a minute", f"{hostile}", "0", "0", "-", "-"]
    return [*row, f"{events}", f"{siege.log_lines}", "-"], events < 500


async def run(times: int, away: tuple[float, int], hostile: int, good: int) -> bool:
    """Run everything and print it; return whether all held."""
    done = [await kills(kind, times) for kind in KINDS]
    print_table(
        ["broker", "kills", "events + readings", "lost", "doubles", "longest return s"],
        [row for row, _ in done],
    )
    away_s, boxes = away
    longer = [await outages(kind, away_s, boxes) for kind in KINDS]
    print_table(
        [
            "broker",
            "outages",
            "events + readings",
            "lost",
            "doubles",
            "median return s",
            "longest return s",
            "longest until drained s",
        ],
        [row for row, _ in longer],
    )
    hostilities = [await hostility(each, hostile, good) for each in Protocol]
    hostilities.append(await bounded(hostile))
    print_table(
        [
            "broker",
            "hostile",
            "outputs moved",
            "states changed",
            "good done",
            "done twice",
            "events of refusals: desk + alarms",
            "log lines",
            "RSS + MiB",
        ],
        [row for row, _ in hostilities],
    )
    return all(held for _, held in (*done, *longer, *hostilities))


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--away", type=float, default=75.0, help="seconds")
    options.add_argument("--outages", type=int, default=5, help="boxes at once, each on a broker")
    options.add_argument("--hostile", type=int, default=10_000)
    options.add_argument("--good", type=int, default=1_000)
    given = options.parse_args()
    sys.exit(
        not asyncio.run(run(given.kills, (given.away, given.outages), given.hostile, given.good))
    )


if __name__ == "__main__":
    main()
