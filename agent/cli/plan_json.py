"""The plan of `check --plan` for programs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from agent.cli.plan import FUNCTIONS

if TYPE_CHECKING:
    from agent.config.bus_load import BusLoad
    from agent.config.forecast import Forecast
    from agent.config.lateness import FirePoint
    from agent.config.volume import Count, Volume


def plan_json(foreseen: Forecast) -> dict[str, object]:
    """Return the plan for programs: shares from 0 to 1, seconds, bytes a day; null is without limit."""
    return {
        "assumed": {
            "turnaround_s": foreseen.assumptions.turnaround_s,
            "tcp_answer_s": foreseen.assumptions.tcp_answer_s,
            "silent_devices": foreseen.assumptions.silent_devices,
        },
        "buses": [_bus_json(each) for each in foreseen.buses],
        "fire_points": [_fire_json(each) for each in foreseen.fire_points],
        "telemetry": _volume_json(foreseen.volume),
    }


def _bus_json(bus: BusLoad) -> dict[str, object]:
    return {
        "id": bus.id,
        "kind": bus.kind,
        "baud": None if bus.line is None else bus.line.baud,
        "is_line_assumed": bus.line is not None and not bus.line.path,
        "load": bus.load,
        "worst_load": bus.worst_load,
        "silence_cost_s": bus.silence_cost_s,
        "reads": [
            {
                "device": each.device,
                "unit": each.unit,
                "function": FUNCTIONS[each.request.area],
                "area": each.request.area.value,
                "address": each.request.address,
                "count": each.request.count,
                "class": each.poll_class.value,
                "period_s": each.period_s,
                "time_s": each.time_s,
                "share": each.share,
                "points": list(each.points),
            }
            for each in bus.reads
        ],
    }


def _fire_json(each: FirePoint) -> dict[str, object]:
    return {
        "point": each.point,
        "bus": each.bus,
        "rules": list(each.rules),
        "on_delay_s": each.on_delay_s,
        "period_s": each.period_s,
        "all_alive_s": _finite(each.all_alive_s),
        "worst_s": _finite(each.worst_s),
        "tolerated": each.tolerated,
        "is_in_time": each.is_in_time,
    }


def _volume_json(volume: Volume) -> dict[str, object]:
    return {
        "readings": _count_json(volume.readings),
        "uplinks": [
            {
                "id": each.uplink,
                "telemetry_bytes": _count_json(each.telemetry),
                "state_bytes": _count_json(each.states),
                "link_bytes": _count_json(each.link),
            }
            for each in volume.uplinks
        ],
        "disk_bytes": _count_json(volume.disk),
        "room_bytes": volume.room_bytes,
        "days": _count_json(volume.days),
        "points": [
            {
                "point": each.point,
                "mode": each.mode.value,
                "readings": _count_json(each.readings),
                "bytes": each.wire_bytes,
            }
            for each in volume.points
        ],
    }


def _count_json(count: Count) -> dict[str, float | None]:
    return {
        "least": _finite(count.least),
        "guess": _finite(count.guess),
        "most": _finite(count.most),
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
