"""The service on a machine: its unit, user and device rule, and what it takes to install them.

Nothing is done here: the command line shows or carries out the plan.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

UNIT_NAME = "plantroom.service"
_SYSUSERS_NAME = "plantroom.sysusers"
_RULES_NAME = "60-plantroom.rules"

_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._+@-]+")
"""Needs no quoting in a unit file, where blanks, `%`, `$` and quotes have meanings."""

_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
"""The strict form of systemd's USER_NAMES document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallFile:
    """A file to write, as root."""

    path: Path
    text: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallPlan:
    """First the files, then the commands, in this order and as root. Doing it again harms nothing."""

    files: tuple[InstallFile, ...]
    commands: tuple[tuple[str, ...], ...]


def render_unit(program: Path, *, user: str = "plantroom", config: Path | None = None) -> str:
    """Return the unit file that runs `program` as `user`.

    `config`: None for the agent's default, /etc/plantroom/site.yaml.

    Raises:
        ValueError: a path is not absolute or not plain, or `user` is no user name.
    """
    command = f"{_plain(program)} run"
    if config is not None:
        command += f" --config {_plain(config)}"
    _check_user(user)
    text = _packaged(UNIT_NAME)
    for key, value in (("ExecStart", command), ("User", user), ("Group", user)):
        text = _replace(text, key, value)
    return text


def install_plan(
    program: Path,
    *,
    user: str = "plantroom",
    config: Path | None = None,
    root: Path = Path("/"),
) -> InstallPlan:
    """Return what installs the service; `root` is where the file system of the machine is.

    Raises:
        ValueError: as `render_unit`.
    """
    etc = root / "etc"
    unit = render_unit(program, user=user, config=config)
    sysusers = re.sub(r"\bplantroom\b(?= (-|gpio|dialout))", user, _packaged(_SYSUSERS_NAME))
    return InstallPlan(
        files=(
            InstallFile(path=etc / "sysusers.d" / "plantroom.conf", text=sysusers),
            InstallFile(path=etc / "udev/rules.d" / _RULES_NAME, text=_packaged(_RULES_NAME)),
            InstallFile(path=etc / "systemd/system" / UNIT_NAME, text=unit),
        ),
        commands=(
            ("systemd-sysusers", "plantroom.conf"),
            ("udevadm", "control", "--reload"),
            ("udevadm", "trigger", "--subsystem-match=gpio"),
            ("systemctl", "daemon-reload"),
            ("systemctl", "enable", UNIT_NAME),
            ("systemctl", "restart", UNIT_NAME),
        ),
    )


def _packaged(name: str) -> str:
    """Return a file of the folder systemd/: inside an installed package, or in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "data" / name
    path = installed if installed.exists() else package.parent / "systemd" / name
    return path.read_text("utf-8")


def _replace(text: str, key: str, value: str) -> str:
    replaced, count = re.subn(rf"(?m)^{key}=.*$", f"{key}={value}", text)
    if count != 1:
        raise ValueError(f"the unit file has {count} lines {key}=, not one")
    return replaced


def _plain(path: Path) -> str:
    text = str(path)
    if not _PLAIN_PATH.fullmatch(text):
        raise ValueError(f"{text!r} must be an absolute path of letters, digits and /._+@-")
    return text


def _check_user(user: str) -> None:
    if not _USER.fullmatch(user):
        raise ValueError(f"{user!r} is not a user name")
