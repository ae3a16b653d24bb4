"""What one reading costs in the core, and that it does not grow with rules that do not look at it.

`python -m benchmarks.core_cost`: sites of 5 rules a point, from 20 points to 2,000 (10,000 rules); the
same readings of the same 20 points go through each, in turn, and the median of the rounds is told.
"""

from __future__ import annotations

import argparse
from statistics import median
from time import perf_counter

from agent.core.engine import Engine
from agent.core.spec import (
    AlarmClass,
    Linkage,
    OutputKind,
    OutputSpec,
    PointKind,
    PointSpec,
    RuleSpec,
    Side,
    SiteSpec,
    Threshold,
)
from drivers.clock import ManualClock
from drivers.reading import Quality, Reading

RULES_A_POINT = 5
READ_POINTS = 20
SIZES = (20, 200, 2000)
AIM_US = 100.0
"""docs/design.md section 10 and the alarm issue: a reading costs this at most at 10,000 rules."""

FLAT = 1.5
"""How much more a reading may cost at 10,000 rules than at 100: caches are colder, nothing else."""


def site_of(points: int) -> SiteSpec:
    names = [f"p-{number}" for number in range(points)]
    return SiteSpec(
        site="bench",
        box="box",
        points=tuple(
            PointSpec(id=name, kind=PointKind.TEMPERATURE, unit="degC", stale_after_s=3600.0)
            for name in names
        ),
        rules=tuple(
            RuleSpec(
                id=f"r-{name}-{level}",
                alarm_class=AlarmClass.TECHNICAL,
                condition=Threshold(point=name, side=Side.ABOVE, limit=50.0 + level, deadband=1.0),
                on_delay_s=5.0,
            )
            for name in names
            for level in range(RULES_A_POINT)
        ),
        outputs=(OutputSpec(id="buzzer", kind=OutputKind.BUZZER),),
        linkages=(Linkage(id="all", outputs=("buzzer",), classes=(AlarmClass.TECHNICAL,)),),
    )


def round_us(engine: Engine, clock: ManualClock, readings: int) -> float:
    """Return what a reading cost on average, microseconds; every value is new, none alarms."""
    spent_s = 0.0
    for number in range(readings):
        clock.advance(0.001)
        reading = Reading(
            point=f"p-{number % READ_POINTS}",
            value=20.0 + number % 7 * 0.1,
            quality=Quality.GOOD,
            unit="degC",
            at=clock.stamp(),
        )
        begun_s = perf_counter()
        engine.on_readings((reading,), clock.stamp())
        spent_s += perf_counter() - begun_s
    return spent_s / readings * 1e6


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--readings", type=int, default=5000)
    asked = options.parse_args()
    clock = ManualClock()
    engines = {points: Engine(site_of(points)) for points in SIZES}
    for engine in engines.values():
        engine.start(clock.stamp())
    rounds: dict[int, list[float]] = {points: [] for points in SIZES}
    for _ in range(asked.rounds):
        for points, engine in engines.items():
            rounds[points].append(round_us(engine, clock, asked.readings))
    costs = {points: median(each) for points, each in rounds.items()}
    print("| points | rules | a reading, us (median) | against the smallest |")
    print("|---|---|---|---|")
    for points, cost_us in costs.items():
        ratio = cost_us / costs[SIZES[0]]
        print(f"| {points} | {points * RULES_A_POINT} | {cost_us:.1f} | {ratio:.2f} |")
    held = costs[SIZES[-1]] <= AIM_US and costs[SIZES[-1]] <= FLAT * costs[SIZES[0]]
    print(f"held: {held} (<= {AIM_US:g} us, <= {FLAT:g} times the smallest)")
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
