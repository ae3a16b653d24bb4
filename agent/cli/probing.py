"""Looking for devices on a line nobody knows: one short question per unit id, then their profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from drivers.clock import Clock
from drivers.errors import BadReply, DriverError, NoReply, PortUnavailable, Refused
from drivers.modbus.plan import Request, plan_reads, words_of
from drivers.modbus.profile import Profile
from drivers.modbus.registers import Decoder
from drivers.modbus.spec import Area, SerialPort, TcpPort
from drivers.modbus.transport import Link
from drivers.reading import Quality, Value

UNITS = range(1, 248)
"""Unit ids of devices; 0 is broadcast (Modbus over serial line 1.02, section 2.2)."""
PAUSE_S = 0.02
"""Silence after an id that does not answer; late answers are told by their unit id."""
SETTLE_S = 0.5
"""The same while one device is asked several questions: nothing but time tells its late answers."""
PATIENCE = 3
"""How many times longer an id is waited for when something came that was no answer."""
LEAST_VERIFY_S = 0.3
"""A device that is known to be there gets this long at least."""
LEAST_ECHO = 8
"""When this many ids or more were asked on TCP and every one answers, it is one device that looks at
no unit id."""

_GATEWAY_CODES = frozenset({10, 11})
"""The gateway's own answer, not a device's (Application Protocol 1.1b3, section 7)."""

Port = SerialPort | TcpPort


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A profile whose verify block holds on a device."""

    profile: Profile
    values: dict[str, Value]
    """What the checked quantities read, in the profile's units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A device that answered."""

    unit: int
    port: Port
    """The settings it answered on."""
    ms: float
    probe: Request
    """The question it answered."""
    word: int | None
    """The register it was asked for; None when it refused the question."""
    refusal: int | None
    """Exception code of the refusal."""
    fits: tuple[Fit, ...] = ()
    """The profile with most checks first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One pass over the ids with one setting."""

    port: Port
    found: tuple[Found, ...]
    garbled: tuple[int, ...]
    """Ids at which something came, even after a second and longer wait, that is no answer."""
    is_echo: bool
    """Every id answered: one device that ignores the id. `found` holds the first only."""


async def scan_port(
    port: Port,
    units: Sequence[int],
    *,
    clock: Clock,
    timeout_s: float,
    profiles: Iterable[Profile] = (),
    areas: Sequence[Area] = (Area.HOLDING,),
    on_asked: Callable[[int], None] = lambda _: None,
) -> Pass:
    """Return who answers on a port.

    Args:
        port: with its settings.
        units: ids to ask, 1 to 247.
        clock: for durations.
        timeout_s: how long an id is waited for.
        profiles: what found devices are compared with, by their verify blocks.
        areas: register 0 of each is asked for until the id answers.
        on_asked: called with each id when it was asked.

    Raises:
        PortUnavailable: the port cannot be opened, or not any more.
        ValueError: an id is not 1 to 247.
    """
    if strange := [unit for unit in units if unit not in UNITS]:
        raise ValueError(f"unit {strange[0]}: 1 to 247")
    probes = [Request(area=area, address=0, count=1) for area in areas]
    asker = _Asker(port, clock, PAUSE_S)
    found: dict[int, Found] = {}
    doubtful: list[int] = []
    try:
        for unit in units:
            answer = await asker.first(unit, probes, timeout_s)
            if isinstance(answer, Found):
                found[unit] = answer
            elif answer:
                # An answer that came late is heard by the next id; so the one before is asked too.
                doubtful += [unit, *([unit - 1] if unit - 1 in units else [])]
            on_asked(unit)
        garbled: list[int] = []
        for unit in sorted({each for each in doubtful if each not in found}):
            answer = await asker.first(unit, probes, PATIENCE * timeout_s)
            if isinstance(answer, Found):
                found[unit] = answer
            elif answer:
                garbled.append(unit)
    finally:
        asker.close()
    everyone = tuple(found[unit] for unit in sorted(found))
    is_echo = (
        isinstance(port, TcpPort) and len(everyone) == len(set(units)) and len(units) >= LEAST_ECHO
    )
    if is_echo:
        everyone = everyone[:1]
    compared = [await _compared(each, clock, timeout_s, tuple(profiles)) for each in everyone]
    return Pass(port=port, found=tuple(compared), garbled=tuple(garbled), is_echo=is_echo)


class _Asker:
    """One open port and the questions put on it."""

    def __init__(self, port: Port, clock: Clock, settle_s: float) -> None:
        name = port.path if isinstance(port, SerialPort) else f"{port.host}:{port.port}"
        self._clock = clock
        self._port = port
        self._link = Link(name, port, clock, settle_s=settle_s, on_lost=lambda: None)
        self._is_tunnel = isinstance(port, TcpPort) and port.rtu

    def close(self) -> None:
        self._link.abandon()

    async def first(self, unit: int, probes: Sequence[Request], timeout_s: float) -> Found | bool:
        """Return the first answer of an id; else whether anything came that is none."""
        something = False
        for probe in probes:
            try:
                return await self._probe(unit, probe, timeout_s)
            except BadReply:
                something = True
            except (NoReply, Refused):
                continue
        return something

    async def _probe(self, unit: int, probe: Request, timeout_s: float) -> Found:
        begun_s = self._clock.mono_s()
        word = refusal = None
        try:
            word = (await self.read(unit, probe, timeout_s))[0]
        except Refused as error:
            if error.code in _GATEWAY_CODES:
                raise
            refusal = error.code
        return Found(
            unit=unit,
            port=self._port,
            ms=1000 * (self._clock.mono_s() - begun_s),
            probe=probe,
            word=word,
            refusal=refusal,
        )

    async def read(
        self, unit: int, request: Request, timeout_s: float, gap_s: float = 0.0
    ) -> list[int]:
        """Return the words of a read.

        Raises:
            PortUnavailable: the port does not open.
            NoReply: nothing came, or the connection was dropped instead.
            BadReply, Refused: as drivers.modbus.transport.Link.read.
        """
        if not self._link.is_open:
            await self._link.open()
        try:
            reply = await self._link.read(
                unit, request, source=f"unit {unit}", timeout_s=timeout_s, gap_s=gap_s
            )
        except PortUnavailable as error:
            # Some servers drop the connection for a unit they do not know: that is no answer either.
            # A port that is really gone does not open for the next question.
            self._link.close()
            raise NoReply(f"unit {unit}", error.message) from error
        except (NoReply, BadReply):
            if self._is_tunnel:
                self._link.close()  # frames without transaction ids: leave late ones behind
            raise
        return reply.words


async def _compared(
    found: Found, clock: Clock, timeout_s: float, profiles: Sequence[Profile]
) -> Found:
    """Return a device with the profiles whose verify blocks hold on it."""
    asker = _Asker(found.port, clock, SETTLE_S)
    heard: dict[tuple[Area, int, int], list[int] | None] = {}
    fits: list[Fit] = []
    try:
        for profile in profiles:
            if not profile.verify:
                continue
            values = await _verified(profile, found.unit, asker, timeout_s, heard)
            if values is not None:
                fits.append(Fit(profile=profile, values=values))
    finally:
        asker.close()
    fits.sort(key=lambda fit: (-len(fit.values), fit.profile.unverified, fit.profile.name))
    return replace(found, fits=tuple(fits))


async def _verified(
    profile: Profile,
    unit: int,
    asker: _Asker,
    timeout_s: float,
    heard: dict[tuple[Area, int, int], list[int] | None],
) -> dict[str, Value] | None:
    """Return what the checked quantities read if all are within their limits.

    A code nobody listed speaks against a profile, and zeros alone speak for none: many devices hold
    zeros where another keeps something.
    """
    limits = {each.quantity: each for each in profile.verify}
    wanted = [each for each in profile.quantities if each.name in limits or each.enum]
    wait_s = max(timeout_s, LEAST_VERIFY_S, profile.timeout_s or 0.0)
    values: dict[str, Value] = {}
    is_proven = False
    for request in plan_reads(wanted, max_registers=profile.max_registers, max_gap=0):
        place = (request.area, request.address, request.count)
        if place not in heard:
            try:
                heard[place] = await asker.read(unit, request, wait_s, profile.gap_s)
            except PortUnavailable:
                raise
            except DriverError:
                heard[place] = None
        words = heard[place]
        if words is None:
            return None
        is_proven |= any(words)
        for quantity in request.quantities:
            decoded = Decoder(quantity).decode(words_of(request, quantity, words))
            if decoded.quality is not Quality.GOOD or decoded.value is None:
                return None
            if quantity.name not in limits:
                continue
            check = limits[quantity.name]
            if isinstance(decoded.value, (str, bool)):
                return None
            if not check.min <= decoded.value <= check.max:
                return None
            values[quantity.name] = decoded.value
    return values if is_proven else None
