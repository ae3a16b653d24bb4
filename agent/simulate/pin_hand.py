"""A hand at the pin door of a running agent: holds contacts at rest, or away from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from drivers.gpio.spec import ContactForm, CounterSpec, InputSpec, Pull

WAIT_S = 0.02
"""How often the door is looked for. However soon it is found, the agent may have looked at its contacts
before: a normally-closed one is open until somebody holds it."""
LOOK_S = 0.25
"""How often an open door is tried for life."""
ANSWER_S = 5.0

PULSES_HZ = 1.0
"""A meter in use; one that can make few pulses makes a quarter of its most."""
MOST_SHARE = 0.25


class DoorFailed(Exception):
    """The agent behind the door refused a pin; its words are the message."""


def levels(inputs: Iterable[InputSpec], active: Iterable[str] = ()) -> dict[int, bool]:
    """Return the level of every pin, True for high; points in `active` have left their rest."""
    away = frozenset(active)
    found: dict[int, bool] = {}
    for each in inputs:
        is_closed = (each.contact is ContactForm.NORMALLY_CLOSED) is not (each.point in away)
        found[each.pin] = is_closed is (each.pull is Pull.DOWN)
        if each.pair_pin is not None:
            found[each.pair_pin] = not found[each.pin]
    return found


@dataclass(slots=True, kw_only=True)
class _Meter:
    """A contact that pulses, as long on as off."""

    pin: int
    high: bool
    half_s: float
    due_s: float
    """When it moves next, on the loop's clock."""


def _meters(counters: Iterable[CounterSpec], now_s: float) -> list[_Meter]:
    """Return the meters at rest."""
    found = []
    for each in counters:
        half_s = 1 / (2 * min(PULSES_HZ, MOST_SHARE * each.max_hz))
        high = (each.contact is ContactForm.NORMALLY_CLOSED) is (each.pull is Pull.DOWN)
        found.append(_Meter(pin=each.pin, high=high, half_s=half_s, due_s=now_s + half_s))
    return found


async def hold_pins(
    door: Path,
    pins: dict[int, bool],
    on_change: Callable[[bool], None],
    counters: Iterable[CounterSpec] = (),
) -> None:
    """Drive the pins of every agent that opens the door, one after another, until cancelled.

    `counters` pulse as long as they are held, well below their fastest and never sooner than due.
    `on_change` is told True when an agent's pins are held, False when it has gone.

    Raises:
        DoorFailed: the agent has no such pin, or has it as an output.
    """
    counting = tuple(counters)
    clock_s = asyncio.get_running_loop().time
    while True:
        while not door.exists():  # noqa: ASYNC110, ASYNC240 - one stat(2); a socket tells nobody of its birth
            await asyncio.sleep(WAIT_S)
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_unix_connection(door)
        except (OSError, TimeoutError):
            await asyncio.sleep(
                WAIT_S
            )  # bound, not listened to yet; or left behind by a dead agent
            continue
        try:
            for pin, high in pins.items():
                await _ask(reader, writer, f"drive {pin} {int(high)}")
            meters = _meters(counting, clock_s())
            for meter in meters:
                await _ask(reader, writer, f"drive {meter.pin} {int(meter.high)}")
            on_change(True)
            while True:
                soonest_s = min((each.due_s for each in meters), default=clock_s() + LOOK_S)
                await asyncio.sleep(max(0.0, min(LOOK_S, soonest_s - clock_s())))
                for meter in meters:
                    if meter.due_s <= clock_s():
                        meter.high = not meter.high
                        await _ask(reader, writer, f"drive {meter.pin} {int(meter.high)}")
                        meter.due_s = clock_s() + meter.half_s
                await _ask(reader, writer, f"level {min(pins, default=2)}")
        except (OSError, TimeoutError):
            on_change(False)
        finally:
            writer.close()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: str) -> None:
    async with asyncio.timeout(ANSWER_S):
        writer.write(f"{line}\n".encode())
        await writer.drain()
        answer = (await reader.readline()).decode("ascii", "replace").strip()
    if not answer:
        raise ConnectionResetError("the door was closed")
    if answer.startswith("error"):
        raise DoorFailed(f"{line}: {answer}")
