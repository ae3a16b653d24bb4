"""Everything in a site that has a name, gathered from the models and the profiles they use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.config.faults import ConfigFault, KeyPath, did_you_mean
from agent.config.model_derived import CounterModel, DerivedModel
from agent.config.model_site import SiteModel
from agent.config.model_wires import DeviceModel, InputModel, PointModel, QuantityModel
from agent.config.positions import Document
from agent.core.spec import PointKind
from drivers.modbus.profile import Profile
from drivers.modbus.profiles import ProfileError, list_profiles, load_profile
from drivers.modbus.registers import faults_of
from drivers.modbus.spec import DataType, LoopSpec, QuantitySpec


@dataclass(slots=True)
class Findings:
    """Collects faults and warnings; knows where the items of a list stand in the file."""

    document: Document
    origin: Mapping[str, tuple[int, ...]]
    faults: list[ConfigFault] = field(default_factory=list)
    warnings: list[ConfigFault] = field(default_factory=list)
    _written: Mapping[int, frozenset[str]] = field(default_factory=dict)
    """By rule that a template made: the keys its entry in the file has."""

    def rules_became(self, origin: Sequence[int], written: Mapping[int, frozenset[str]]) -> None:
        """Take note that rules are no longer the entries of the file, one by one."""
        before = self.origin.get("rules", ())
        self.origin = {**self.origin, "rules": tuple(before[index] for index in origin)}
        self._written = written

    def fault(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        """Note a fault."""
        self.faults.append(self._made(path, message, at_key=at_key))

    def warn(self, path: KeyPath, message: str) -> None:
        """Note something to think about."""
        self.warnings.append(self._made(path, message))

    def line(self, path: KeyPath) -> int:
        """Return the line of a path."""
        return self._made(path, "").line

    def _made(self, path: KeyPath, message: str, *, at_key: bool = False) -> ConfigFault:
        if len(path) > 1 and isinstance(path[1], int):
            index = path[1]
            if path[0] == "rules" and index in self._written:
                path = _as_written(path, self._written[index])
            path = (path[0], self.origin[str(path[0])][index], *path[2:])
        return self.document.fault(path, message, at_key=at_key)


def _as_written(path: KeyPath, keys: frozenset[str]) -> KeyPath:
    """Return where to look in an entry of `template:` for what is wrong with a rule it became."""
    key = path[2] if path[2:] and path[2] in keys else "template"
    if path[-1] == "point" and "point" in keys:
        key = "point"
    return (*path[:2], key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One quantity of a device with what the site says about it."""

    point: str
    device: DeviceModel
    quantity: QuantitySpec
    settings: PointModel
    path: KeyPath

    @property
    def is_contact(self) -> bool:
        """Whether its values are true and false."""
        return bool_valued(self.quantity)

    @property
    def is_number(self) -> bool:
        """Whether its values can be compared with a limit."""
        quantity = self.quantity
        words = quantity.enum.values()
        return (
            not self.is_contact
            and quantity.type is not DataType.STRING
            and not any(isinstance(word, (str, bool)) for word in words)
        )


def bool_valued(quantity: QuantitySpec) -> bool:
    """Return whether a quantity reads true and false."""
    if quantity.enum:
        return all(isinstance(word, bool) for word in quantity.enum.values())
    return quantity.type is DataType.BOOL


@dataclass(slots=True)
class Catalogue:
    """What there is, by id."""

    site: SiteModel
    inputs: dict[str, InputModel] = field(default_factory=dict)
    measured: dict[str, Measured] = field(default_factory=dict)
    by_device: dict[str, list[Measured]] = field(default_factory=dict)
    counters: dict[str, CounterModel] = field(default_factory=dict)
    derived: dict[str, DerivedModel] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    """By device."""
    profile_files: dict[str, Path] = field(default_factory=dict)
    """Profiles given as a path, as written, to where they were found."""
    opaque: set[str] = field(default_factory=set)
    """Ids of things that are broken: what hangs on them is not a second fault."""

    @property
    def health_points(self) -> tuple[str, ...]:
        """The points of the agent's own parts and of its outputs."""
        return (
            *BOX_POINTS,
            *(f"box.uplink-{uplink.id}" for uplink in self.site.uplinks),
            *(f"box.certificate-{each.id}" for each in self.site.uplinks if each.tls is not None),
            *(f"{output.id}.health" for output in self.site.outputs),
            *(f"{each.id}.active" for each in self.site.outputs if each.feedback is not None),
        )

    @property
    def online_points(self) -> tuple[str, ...]:
        """The points that say whether a bus or device answers."""
        ids = (*(bus.id for bus in self.site.buses), *(each.id for each in self.site.devices))
        return tuple(f"{each}.online" for each in ids)

    @property
    def points(self) -> set[str]:
        """Every point id."""
        return {
            *self.inputs,
            *self.measured,
            *self.counters,
            *self.derived,
            *self.health_points,
            *self.online_points,
        }

    def is_contact(self, point: str) -> bool:
        """Return whether a known point reads true and false."""
        measured = self.measured.get(point)
        return measured.is_contact if measured else not self.is_number(point)

    def is_number(self, point: str) -> bool:
        """Return whether a known point can be compared with a limit and calculated with."""
        measured = self.measured.get(point)
        return measured.is_number if measured else point in self.derived or point in self.counters

    def unit_of(self, point: str) -> str | None:
        """Return the unit of a point that has numbers, empty when they have none; None: no such point."""
        if (measured := self.measured.get(point)) is not None:
            return measured.quantity.unit
        other = self.derived.get(point) or self.counters.get(point)
        return None if other is None else other.unit

    def kind_of(self, point: str) -> str:
        """Return the kind of a point that has numbers, a word of PointKind; else empty."""
        if (measured := self.measured.get(point)) is not None:
            return measured.quantity.kind
        other = self.derived.get(point) or self.counters.get(point)
        return "" if other is None else other.kind

    def roots(self, point: str) -> frozenset[str]:
        """Return the points a derived point comes from in the end; of any other, itself.

        A derived point that comes from itself is among its own roots.
        """
        if point not in self.derived:
            return frozenset({point})
        found: set[str] = set()
        passed: set[str] = set()
        left = list(self.derived[point].sources)
        while left:
            source = left.pop()
            if source not in self.derived or source == point:
                found.add(source)
            elif source not in passed:
                passed.add(source)
                left.extend(self.derived[source].sources)
        return frozenset(found)

    def is_opaque(self, point: str) -> bool:
        """Return whether a point may belong to something broken."""
        return point in self.opaque or any(point.startswith(f"{each}.") for each in self.opaque)

    def zone_of(self, point: str) -> str:
        """Return the zone of a point, empty when it has none."""
        if point in self.inputs:
            return self.inputs[point].zone or ""
        if point in self.counters:
            return self.counters[point].zone or ""
        if (measured := self.measured.get(point)) is not None:
            return measured.settings.zone or measured.device.zone or ""
        if (derived := self.derived.get(point)) is not None:
            found = (self.zone_of(root) for root in sorted(self.roots(point) - {point}))
            return derived.zone or next((zone for zone in found if zone), "")
        zones = {f"{device.id}.online": device.zone for device in self.site.devices}
        zones |= {f"{output.id}.health": output.zone for output in self.site.outputs}
        zones |= {f"{output.id}.active": output.zone for output in self.site.outputs}
        return zones.get(point) or ""


BOX_POINTS = ("box.pipeline", "box.outbox", "box.clock", "box.config", "box.page")
"""Health points every box has (docs/design.md section 3: a part that fails raises a fault)."""


def build_catalogue(
    site: SiteModel,
    findings: Findings,
    folder: Path,
    left_out: set[str],
    profile_files: Mapping[str, Path],
) -> Catalogue:
    """Return the catalogue; profiles that cannot be had are noted as faults.

    `folder` is where relative profile paths begin, `profile_files` says where some of them are kept
    instead.
    """
    catalogue = Catalogue(site=site, opaque=set(left_out))
    for each in site.inputs:
        catalogue.inputs.setdefault(each.id, each)
    for index, device in enumerate(site.devices):
        path: KeyPath = ("devices", index)
        measured = _measured(device, path, catalogue, findings, folder, profile_files)
        catalogue.by_device[device.id] = measured
        for item in measured:
            catalogue.measured.setdefault(item.point, item)
    for counter in site.counters:
        catalogue.counters.setdefault(counter.id, counter)
    for derived in site.derived:
        catalogue.derived.setdefault(derived.id, derived)
    return catalogue


def _measured(
    device: DeviceModel,
    path: KeyPath,
    catalogue: Catalogue,
    findings: Findings,
    folder: Path,
    profile_files: Mapping[str, Path],
) -> list[Measured]:
    found: list[Measured] = []
    known: dict[str, QuantitySpec] = {}
    if device.profile is not None:
        try:
            profile = load_profile(_where(device.profile, folder, profile_files, catalogue))
        except ProfileError as error:
            names = list_profiles()
            faults = error.faults
            if not _is_path(device.profile) and device.profile not in names:
                faults = (f"no profile '{device.profile}'{did_you_mean(device.profile, names)}",)
            for fault in faults:
                findings.fault((*path, "profile"), fault)
            catalogue.opaque.add(device.id)
            return []
        catalogue.profiles[device.id] = profile
        if profile.unverified:
            findings.warn(
                (*path, "profile"),
                f"nobody has confirmed '{device.profile}' on the device itself: compare each value "
                "with the device's own display",
            )
        known = {quantity.name: quantity for quantity in profile.quantities}
        _check_kinds(device.profile, profile, path, findings)
    for name in device.points:
        if name not in known:
            hint = did_you_mean(name, known) if known else "; name it under `quantities`"
            findings.fault((*path, "points", name), f"no such quantity{hint}", at_key=True)
    for name, quantity in known.items():
        settings = device.points.get(name, PointModel())
        if isinstance(settings, PointModel):
            at: KeyPath = (*path, "points", name)
            spec = _adjusted(quantity, settings, at, findings)
            point = f"{device.id}.{name}"
            found.append(
                Measured(point=point, device=device, quantity=spec, settings=settings, path=at)
            )
    for index, own in enumerate(device.quantities):
        at = (*path, "quantities", index)
        spec = _adjusted(_quantity(own), own, at, findings)
        found.append(
            Measured(
                point=f"{device.id}.{own.name}",
                device=device,
                quantity=spec,
                settings=own,
                path=at,
            )
        )
    return found


def _is_path(profile: str) -> bool:
    return "/" in profile or Path(profile).suffix != ""


def _where(
    profile: str, folder: Path, profile_files: Mapping[str, Path], catalogue: Catalogue
) -> str | Path:
    if not _is_path(profile):
        return profile
    path = profile_files.get(profile, folder / profile)
    catalogue.profile_files[profile] = path
    return path


def _adjusted(
    quantity: QuantitySpec, settings: PointModel, path: KeyPath, findings: Findings
) -> QuantitySpec:
    """Return a quantity with the site's own range, loop and poll class; note what makes no sense."""
    if settings.valid is not None:
        low, high = settings.valid.min, settings.valid.max
        quantity = replace(quantity, valid_min=low, valid_max=high)
    if settings.loop is not None:
        quantity = replace(quantity, loop=LoopSpec(low=settings.loop.low, high=settings.loop.high))
    for fault in faults_of(quantity):
        key = fault.replace(":", " ").split(" ")[0]
        findings.fault((*path, "bit" if key == "bits" else key), fault)
    if settings.poll is not None:
        quantity = replace(quantity, poll_class=settings.poll)
    return quantity


def _check_kinds(name: str, profile: Profile, path: KeyPath, findings: Findings) -> None:
    """Drivers only carry the kind; what it can be is known here."""
    for quantity in profile.quantities:
        if quantity.kind not in tuple(PointKind):
            hint = did_you_mean(quantity.kind, tuple(PointKind))
            findings.fault(
                (*path, "profile"),
                f"'{name}' gives {quantity.name} the unknown kind '{quantity.kind}'{hint}",
            )


def _quantity(own: QuantityModel) -> QuantitySpec:
    return QuantitySpec(
        name=own.name,
        area=own.area,
        address=own.address,
        type=own.type,
        unit=own.unit,
        kind=own.kind,
        word_order=own.word_order,
        byte_order=own.byte_order,
        scale=own.scale,
        offset=own.offset,
        bit=own.bit,
        bit_count=own.bit_count,
        length=own.length,
        sentinels=own.sentinels,
        enum=dict(own.enum),
    )
