"""Every template there is, by name."""

from __future__ import annotations

from collections.abc import Mapping

from agent.config.templates import air, fire, plant, shed, water
from agent.config.templates.spec import Template

TEMPLATES: Mapping[str, Template] = {
    each.name: each
    for each in (
        fire.SMOKE,
        fire.CALL_POINT,
        fire.HEAT,
        fire.HEAT_A1,
        fire.HEAT_A2,
        fire.SPRINKLER_FLOW,
        shed.CHARGING_SHED,
        air.GAS,
        air.CARBON_MONOXIDE,
        water.HYDRANT,
        water.SPRINKLER,
        water.VALVE_TAMPER,
        water.SLOW_LEAK,
        water.TANK_LEVEL,
        water.PUMP_START,
        water.LEAK,
        air.ROOM_TEMPERATURE,
        air.ROOM_HUMIDITY,
        plant.LIFT,
        plant.EXTINGUISHER,
        plant.POWER,
    )
}
