"""Register maps as data: drivers/profiles/*.yaml, or a file of the user's."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from drivers.modbus.profile import Profile
from drivers.modbus.profile_file import ProfileModel, Where, faults_in

FOLDER = Path(__file__).parent.parent / "profiles"
"""Where the profiles stand that come with the agent."""

_LONGEST_FILE = 256 * 1024
"""A map of 500 quantities is about 60 KiB."""
_PARSER_TRIPS = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError
)  # fmt: skip
"""What ruamel.yaml 0.19 raises besides its own errors: on tags that do not fit, on deep nesting."""


class ProfileError(Exception):
    """A profile that cannot be used; the text is one fault per line, each with its place."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def list_profiles(folder: Path = FOLDER) -> tuple[str, ...]:
    """Return the names of the profiles that come with the agent, sorted."""
    return tuple(sorted(each.stem for each in folder.glob("*.yaml")))


def load_profile(name_or_path: str | Path) -> Profile:
    """Return a profile: one that comes with the agent by its name, any other by its path.

    Raises:
        ProfileError: there is none, or it has faults, each as `file:line: path: what is wrong`.
    """
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and "/" not in name_or_path and path.suffix == "":
        path = FOLDER / f"{name_or_path}.yaml"
        if not path.is_file():
            known = ", ".join(list_profiles())
            raise ProfileError(
                (f"profile {name_or_path}: there is none of this name; known: {known}",)
            )
    try:
        content = path.read_bytes()
        if len(content) > _LONGEST_FILE:
            raise ProfileError((f"{path}:1: larger than {_LONGEST_FILE} bytes: not a profile",))
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError((f"{path}:1: cannot be read: {error}",)) from error
    return parse_profile(text, str(path), path.stem)


def parse_profile(text: str, file: str, name: str) -> Profile:
    """Return the profile in `text`; `file` is named in faults.

    Raises:
        ProfileError: as `load_profile`.
    """
    yaml = YAML(typ="rt")
    yaml.composer.warn_double_anchors = False
    try:
        document = yaml.load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ProfileError((f"{file}:{line}: not YAML: {error.problem}",)) from error
    except (YAMLError, ValueError) as error:
        raise ProfileError((f"{file}:1: not YAML: {' '.join(str(error).split())}",)) from error
    except _PARSER_TRIPS as error:
        raise ProfileError(
            (f"{file}:1: not YAML for a profile: a tag (!!), or nested too deep",)
        ) from error
    if not isinstance(document, CommentedMap):
        raise ProfileError((f"{file}:1: a profile is a mapping: title, sources, quantities",))
    try:
        model = ProfileModel.model_validate(document, strict=False)
    except ValidationError as error:
        raise ProfileError(
            tuple(
                f"{file}:{_line(document, each['loc'])}: {_path(each['loc'])}: {_said(each['msg'])}"
                for each in error.errors(include_url=False)
            )
        ) from error
    faults = tuple(
        f"{file}:{_line(document, where)}: {_path(where)}: {what}"
        for where, what in faults_in(model)
    )
    if faults:
        raise ProfileError(faults)
    return model.profile(name)


def _line(document: CommentedMap, where: Where) -> int:
    """Return the line of a path, or of the nearest thing above it that the file has."""
    line = 1
    node: object = document
    for key in where:
        if isinstance(node, CommentedMap) and key in node:
            line = node.lc.key(key)[0] + 1
            node = node[key]
        elif isinstance(node, CommentedSeq) and isinstance(key, int) and key < len(node):
            line = node.lc.item(key)[0] + 1
            node = node[key]
        else:
            break
    return line


def _path(where: Where) -> str:
    keys = (f"[{key}]" if isinstance(key, int) else _printed(key) for key in where)
    return re.sub(r"\.\[", "[", ".".join(keys))


def _printed(key: str) -> str:
    """Return a key on one line; a broken file can have any."""
    return key if key.isprintable() else key.encode("unicode_escape").decode("ascii")


def _said(message: str) -> str:
    return message.removeprefix("Value error, ").replace(
        "Extra inputs are not permitted", "no such key here"
    )
