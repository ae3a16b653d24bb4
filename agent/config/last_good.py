"""Keeps the last site file that worked, so that a bad edit never leaves a plant room unwatched.

Under `<data>/last-good/<hash>/` stand a copy of the site file, of the profiles it names by path, and
a manifest; `<data>/last-good/current` names the folder in use. A folder is complete and on disk before
it is named, so a power cut leaves the old one or the new one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from agent.config.faults import ConfigError, ConfigFault
from agent.config.load import LoadedSite, load_site, read_bytes
from agent.config.model_site import PathsModel

_log = logging.getLogger(__name__)

_FOLDER = "last-good"
_CURRENT = "current"
_MANIFEST = "manifest.json"
_SITE = "site.yaml"


def load_or_last_good(
    path: Path,
    *,
    sets: Mapping[str, str] | None = None,
    data_dir: Path | None = None,
    run_dir: Path | None = None,
    env: Mapping[str, str] | None = None,
    credentials_dir: Path | None = None,
) -> tuple[LoadedSite, str | None]:
    """Return the site of `path`, or of the last file that worked with the text of what is wrong.

    Writes nothing: `keep` is for when the agent runs, and for a thread, since a hung disk must not hold
    up the start. Arguments as of `load_site`. A broken file is searched for its data folder
    as far as it can be read.

    Raises:
        ConfigError: the file is bad and there is no last good one that can be used.
    """
    try:
        site = load_site(
            path,
            sets=sets,
            data_dir=data_dir,
            run_dir=run_dir,
            env=env,
            credentials_dir=credentials_dir,
        )
    except ConfigError as error:
        root = _root(path, sets or {}, data_dir, env or {})
        try:
            kept = _load_kept(
                root,
                path,
                sets=sets,
                data_dir=data_dir,
                run_dir=run_dir,
                env=env,
                credentials_dir=credentials_dir,
            )
        except ConfigError as worse:
            raise ConfigError((*error.faults, *worse.faults)) from None
        return kept, str(error)
    return site, None


_DATA_LINE = re.compile(
    rb"^paths:[ \t]*(?:\{[^}\n]*?\b|(?:[ \t]*#[^\n]*)?\n(?:[ \t]+[^\n]*\n)*?[ \t]+)"
    rb"data:[ \t]*([^\s,}#]+)",
    re.MULTILINE,
)
"""`data` below `paths` in a file that is no YAML any more. A wrong guess does no harm: what is kept
there is checked by its sums."""


def _root(
    path: Path, sets: Mapping[str, str], data_dir: Path | None, env: Mapping[str, str]
) -> Path:
    """Return where the last good files are most likely kept."""
    named = data_dir or env.get("PLANTROOM_DATA") or sets.get("paths.data")
    if named:
        return Path(named) / _FOLDER
    try:
        found = _DATA_LINE.search(read_bytes(path))
    except ConfigError:
        found = None
    if found is not None:
        guess = Path(found[1].decode("utf-8", "replace").strip("'\"")) / _FOLDER
        if _named(guess):
            return guess
    return Path(PathsModel().data) / _FOLDER


def keep_or_warn(site: LoadedSite) -> None:
    """Keep a site's files; that they cannot be kept (disk full, read-only) is logged and stops nothing."""
    try:
        keep(site)
    except OSError as error:
        _log.warning("the configuration could not be kept as the last good one: %s", error.strerror)


def keep(site: LoadedSite) -> None:
    """Keep a site's files as the last good ones. Writes nothing when they are kept already.

    Raises:
        OSError: they could not be written; what was kept before still stands.
    """
    files = {_SITE: read_bytes(site.path)}
    names = {}
    for number, (written, file) in enumerate(sorted(site.profile_files.items())):
        names[written] = f"profile-{number}.yaml"
        files[names[written]] = read_bytes(file)
    manifest = {
        "folder": str(site.path.parent.absolute()),
        "profiles": names,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    files[_MANIFEST] = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False).encode()
    name = hashlib.sha256(files[_MANIFEST]).hexdigest()[:16]
    root = site.paths.data / _FOLDER
    if _named(root) == name and all((root / name / each).is_file() for each in files):
        return
    folder = root / name
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    for each, content in files.items():
        _write(folder / each, content)
    _sync_folder(folder)
    _write(root / f"{_CURRENT}.new", name.encode())
    (root / f"{_CURRENT}.new").replace(root / _CURRENT)
    _sync_folder(root)
    for other in root.iterdir():
        if other.is_dir() and other.name != name:
            shutil.rmtree(other, ignore_errors=True)


def _named(root: Path) -> str:
    try:
        return (root / _CURRENT).read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _load_kept(
    root: Path,
    path: Path,
    *,
    sets: Mapping[str, str] | None,
    data_dir: Path | None,
    run_dir: Path | None,
    env: Mapping[str, str] | None,
    credentials_dir: Path | None,
) -> LoadedSite:
    name = _named(root)
    folder = root / name
    if not name or not folder.is_dir():
        raise _none(root, "there is no last good configuration to fall back to")
    base, profiles = _checked(folder)
    return load_site(
        folder / _SITE,
        sets=sets,
        data_dir=data_dir,
        run_dir=run_dir,
        env=env,
        credentials_dir=credentials_dir,
        folder=base or path.parent,
        profile_files={written: folder / file for written, file in profiles.items()},
    )


def _checked(folder: Path) -> tuple[Path | None, dict[str, str]]:
    """Return where relative paths of the kept file began, and its profiles.

    Raises:
        ConfigError: a kept file is missing or not what was kept.
    """
    try:
        manifest = json.loads(read_bytes(folder / _MANIFEST))
        sums, profiles = dict(manifest["sha256"]), dict(manifest["profiles"])
        base = Path(manifest["folder"])
    except (ValueError, KeyError, TypeError):
        raise _none(folder, "the last good configuration is damaged") from None
    for name, expected in sums.items():
        if hashlib.sha256(read_bytes(folder / name)).hexdigest() != expected:
            raise _none(folder / name, "the last good configuration is damaged")
    return base, profiles


def _none(where: Path, message: str) -> ConfigError:
    return ConfigError([ConfigFault(file=str(where), line=0, column=0, path="", message=message)])
