"""Loads a site file: from text to specs, or every fault at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from agent.config.catalogue import Catalogue, Findings, build_catalogue
from agent.config.check_derived import check_derived
from agent.config.check_links import check_links
from agent.config.check_needs import check_needs
from agent.config.check_outputs import check_outputs
from agent.config.check_reads import check_reads
from agent.config.check_rules import check_rules
from agent.config.check_switching import check_switching
from agent.config.check_wires import check_wires
from agent.config.faults import ConfigError, ConfigFault
from agent.config.model_site import SiteModel
from agent.config.overrides import apply_sets
from agent.config.positions import MOST_BYTES, parse
from agent.config.secrets import SecretMissing, read_secret
from agent.config.specs import (
    gpio_specs,
    line_buses,
    modbus_specs,
    site_spec,
    stop_states,
    uplink_spec,
)
from agent.config.templates.expand import Expanded, expand
from agent.config.validate import validate
from agent.core.spec import Label, SiteSpec
from agent.local.spec import LocalSpec
from agent.outbox.spec import OutboxSpec
from agent.outputs import StopState
from agent.uplink.spec import UplinkSpec
from drivers.gpio.spec import GpioBusSpec
from drivers.modbus.spec import ModbusBusSpec

SOCKET = "plantroom.sock"


class TimeSource(StrEnum):
    """How the agent learns that its clock was set."""

    AUTO = "auto"
    TIMESYNCD = "timesyncd"
    CHRONY = "chrony"
    ASSUME_SYNCED = "assume-synced"


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePaths:
    """Where the agent keeps its files."""

    data: Path
    run: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSite:
    """A site file as specs, ready to be wired."""

    path: Path
    spec: SiteSpec
    label: Label
    timezone: str
    """IANA name."""
    gpio_buses: tuple[GpioBusSpec, ...]
    modbus_buses: tuple[ModbusBusSpec, ...]
    line_of: Mapping[str, str]
    """Output id to the id of the bus it is switched through."""
    at_stop: Mapping[str, StopState]
    """Output id to what it is left in when the agent stops."""
    outbox: OutboxSpec
    uplinks: tuple[UplinkSpec, ...]
    local: LocalSpec
    time_source: TimeSource
    paths: SitePaths
    config_hash: str
    """SHA-256 (hex) over the file, its profile files and the options on top of it."""
    warnings: tuple[ConfigFault, ...]
    profile_files: Mapping[str, Path] = field(default_factory=dict)
    """Profiles given as a path, as written in the file, to where they were found."""
    templates: tuple[Expanded, ...] = ()
    """What ready-made rules became, in the order of the file."""


def load_site(
    path: Path,
    *,
    sets: Mapping[str, str] | None = None,
    data_dir: Path | None = None,
    run_dir: Path | None = None,
    env: Mapping[str, str] | None = None,
    credentials_dir: Path | None = None,
    folder: Path | None = None,
    profile_files: Mapping[str, Path] | None = None,
) -> LoadedSite:
    """Return the site of a file. Reads files, opens nothing else.

    Args:
        path: The site file.
        sets: Values on top of the file, by dotted name: `buses.meters.port` to `15020`.
        data_dir: Instead of `paths.data`; else PLANTROOM_DATA in `env` is.
        run_dir: Instead of `paths.run`; else PLANTROOM_RUN in `env` is.
        env: The environment, for these two and for secrets.
        credentials_dir: Where systemd put credentials; None: CREDENTIALS_DIRECTORY in `env`.
        folder: Where relative paths begin; None: the folder of the file.
        profile_files: Where profiles given as a path are kept instead, by the path as written.

    Raises:
        ConfigError: it cannot be used; holds every fault found.
    """
    sets = sets or {}
    env = env or {}
    folder = path.parent if folder is None else folder
    content = read_bytes(path)
    document = parse(content, str(path))
    apply_sets(document, sets)
    checked = validate(document)
    if checked.model is None:
        raise ConfigError(checked.faults)
    findings = Findings(document, checked.origin, faults=checked.faults)
    catalogue = build_catalogue(
        checked.model, findings, folder, checked.left_out, profile_files or {}
    )
    templates = expand(catalogue, findings)
    check_wires(catalogue, findings, folder)
    check_reads(catalogue, findings)
    check_outputs(catalogue, findings)
    check_derived(catalogue, findings)
    check_switching(catalogue, findings)
    check_rules(catalogue, findings)
    check_needs(catalogue, findings)
    passwords = _passwords(checked.model, findings, env, credentials_dir, folder)
    if findings.faults:
        raise ConfigError(findings.faults)
    paths = SitePaths(
        data=data_dir or Path(env.get("PLANTROOM_DATA") or checked.model.paths.data),
        run=run_dir or Path(env.get("PLANTROOM_RUN") or checked.model.paths.run),
    )
    loaded = _loaded(path, catalogue, findings, passwords, paths, folder, content, sets)
    check_links(loaded.spec, loaded.uplinks, findings)
    if findings.faults:
        raise ConfigError(findings.faults)
    warnings = tuple(sorted(set(findings.warnings)))
    return replace(loaded, templates=templates, warnings=warnings)


def read_bytes(path: Path) -> bytes:
    """Return a configuration file's bytes.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        fault = ConfigFault(
            file=str(path), line=0, column=0, path="", message=f"cannot be read: {reason}"
        )
        raise ConfigError([fault]) from None


def _passwords(
    site: SiteModel,
    findings: Findings,
    env: Mapping[str, str],
    credentials_dir: Path | None,
    folder: Path,
) -> dict[str, str]:
    """Return the passwords of the uplinks that have one; what is missing is noted."""
    found: dict[str, str] = {}
    for index, uplink in enumerate(site.uplinks):
        if uplink.password is None:
            continue
        try:
            found[uplink.id] = read_secret(
                uplink.password, env=env, credentials_dir=credentials_dir, folder=folder
            )
        except SecretMissing as missing:
            findings.fault(("uplinks", index, "password"), str(missing))
    return found


def _loaded(
    path: Path,
    catalogue: Catalogue,
    findings: Findings,
    passwords: Mapping[str, str],
    paths: SitePaths,
    folder: Path,
    content: bytes,
    sets: Mapping[str, str],
) -> LoadedSite:
    site = catalogue.site
    return LoadedSite(
        path=path,
        spec=site_spec(catalogue),
        label=site.label.spec(),
        timezone=site.timezone,
        gpio_buses=gpio_specs(catalogue),
        modbus_buses=modbus_specs(catalogue),
        line_of=line_buses(catalogue),
        at_stop=stop_states(catalogue),
        outbox=OutboxSpec(
            directory=paths.data / "outbox",
            max_bytes=site.outbox.max_mib * 1024 * 1024,
            commit_interval_s=site.outbox.commit_interval_s,
            replay_readings_s=site.outbox.replay_readings_s,
        ),
        uplinks=tuple(
            uplink_spec(each, site.box, passwords.get(each.id), folder) for each in site.uplinks
        ),
        local=LocalSpec(host=site.local.host, port=site.local.port, socket=paths.run / SOCKET),
        time_source=TimeSource(site.time.source),
        paths=paths,
        config_hash=_hash(content, catalogue.profile_files, sets),
        warnings=tuple(sorted(set(findings.warnings))),
        profile_files=dict(catalogue.profile_files),
    )


def _hash(content: bytes, profile_files: Mapping[str, Path], sets: Mapping[str, str]) -> str:
    whole = hashlib.sha256(content)
    for name, file in sorted(profile_files.items()):
        whole.update(json.dumps(["profile", name]).encode())
        whole.update(read_bytes(file))
    whole.update(json.dumps(sorted(sets.items())).encode())
    return whole.hexdigest()
