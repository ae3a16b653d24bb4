"""The contacts of a GPIO chip, each looked at once."""

from __future__ import annotations

import asyncio

from agent.cli.hardware import said
from agent.cli.taken import Round, Taken, bad_reading
from drivers.clock import Clock
from drivers.errors import DriverError, PortUnavailable
from drivers.gpio.inputs import ContactFilter, Trouble
from drivers.gpio.pins import InputPin, OpenPins, Pins
from drivers.gpio.spec import GpioBusSpec, InputSpec
from drivers.modbus.opening import BlockingCall
from drivers.reading import Quality, Reading

OPEN_CHIP_S = 5.0
"""Opening a chip is some file and ioctl calls; longer means the kernel hangs on it."""
PULL_SETTLES_S = 0.02
"""A 50 kOhm pull charges 100 nF of cable in 5 ms (RC); four times that before the level counts."""
LOOK_S = 0.005
"""How often a level is looked at while it is watched for rest."""


async def read_contacts(spec: GpioBusSpec, clock: Clock, open_pins: OpenPins) -> Round:
    """Return the contacts of a chip. Only inputs are claimed: outputs keep whatever level they have."""
    taken = Round()
    if not spec.inputs:
        return taken
    opening = BlockingCall(f"{spec.id} open", open_pins, lambda pins: pins.close())
    try:
        pins = await opening.result(OPEN_CHIP_S)
    except (PortUnavailable, TimeoutError) as error:
        opening.abandon()
        why = said(error) if isinstance(error, PortUnavailable) else "opening the chip hangs"
        taken.troubles.append(f"bus {spec.id}: {why}")
        at = clock.stamp()
        taken.taken += [
            Taken(
                bus=spec.id,
                device="",
                raw="",
                reading=bad_reading(each.point, "", "port", at),
                took_ms=None,
            )
            for each in spec.inputs
        ]
        return taken
    try:
        for each in spec.inputs:
            taken.taken.append(await _contact(spec.id, each, pins, clock))
    finally:
        pins.close()
    return taken


async def _contact(bus: str, spec: InputSpec, pins: Pins, clock: Clock) -> Taken:
    """Return one contact; it is good only when it rested for the whole of its debounce time."""
    begun_s = clock.mono_s()
    raw, reason = "", ""
    value: bool | None = None
    claimed: list[InputPin] = []
    try:
        numbers = [each for each in (spec.pin, spec.pair_pin) if each is not None]
        claimed.extend(pins.claim_input(each, spec.pull) for each in numbers)
        await asyncio.sleep(PULL_SETTLES_S)
        levels = [pin.is_high() for pin in claimed]
        rested_s = clock.mono_s() + spec.debounce_s
        is_steady = True
        while clock.mono_s() < rested_s and is_steady:
            await asyncio.sleep(LOOK_S)
            is_steady = [pin.is_high() for pin in claimed] == levels
        raw = " ".join("high" if level else "low" for level in levels)
        contact = ContactFilter(spec)
        contact.look(levels[0], levels[1] if len(levels) > 1 else None, begun_s)
        if not is_steady:
            reason = Trouble.UNSTEADY.value
        elif isinstance(contact.state, Trouble):
            reason = contact.state.value
        else:
            value = contact.state
    except PortUnavailable:
        reason = "port"
    except DriverError as error:
        reason = "in use" if error.message == "in use" else "wiring"
    finally:
        for pin in claimed:
            pin.release()
    at = clock.stamp()
    reading = Reading(
        point=spec.point,
        value=value,
        quality=Quality.BAD if value is None else Quality.GOOD,
        unit="",
        at=at,
        reason=reason,
    )
    took_ms = 1000 * (at.mono_s - begun_s) if raw else None
    return Taken(bus=bus, device="", raw=raw, reading=reading, took_ms=took_ms)
