"""From plain values to the site model, with every structural fault said in the file's own words.

Where something is wrong the smallest whole thing around it (a key, a device, a section) is left out
and the rest is validated again, so that one slip does not hide the faults of the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from agent.config.faults import ConfigFault, KeyPath, did_you_mean
from agent.config.model_base import PATTERN_WORDS
from agent.config.model_conditions import CONDITION_WORDS
from agent.config.model_site import SiteModel
from agent.config.positions import Document
from agent.config.templates import models
from agent.config.templates.known import TEMPLATES

_PLACEHOLDERS: Mapping[str, object] = {"version": 1, "site": "unnamed", "box": "unnamed"}
"""Stand in for required words that are missing, so that the rest can be judged."""

_ROUNDS = 6
"""A bad value is left out, then the key that needs it, then the item that needs the key: three rounds
follow one slip, and slips are handled side by side."""


@dataclass(slots=True)
class Validated:
    """What came of it."""

    model: SiteModel | None
    """The site without its broken parts; None when nothing can be made of it."""
    faults: list[ConfigFault]
    origin: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Per list section: the place in the file of each item that was kept."""
    left_out: set[str] = field(default_factory=set)
    """Ids of things that lack a part or are gone: what follows from that is not a second fault."""


def validate(document: Document) -> Validated:
    """Return the model of a document, and the structural faults."""
    faults = list(document.faults)
    if not isinstance(document.data, dict):
        message = "a site file is a mapping; start with `version: 1`"
        return Validated(None, [*faults, document.fault((), message)])
    data: dict[str | int, Any] = dict(document.data)
    origin = {
        str(key): tuple(range(len(value)))
        for key, value in data.items()
        if isinstance(value, tuple)
    }
    result = Validated(None, faults, origin)
    removed: set[KeyPath] = set()
    for _ in range(_ROUNDS):
        try:
            result.model = SiteModel.model_validate(data)
        except ValidationError as error:
            faults.extend(_leave_out(document, data, result, removed, error))
        else:
            break
    return result


def _leave_out(
    document: Document,
    data: dict[str | int, Any],
    result: Validated,
    removed: set[KeyPath],
    error: ValidationError,
) -> Iterator[ConfigFault]:
    """Yield the faults of one round and take what they are about out of `data`.

    `removed` holds the paths in the file taken out in earlier rounds: what is wrong now with those or
    around them only follows.
    """
    bad_items: dict[str, set[int]] = {}
    bad_sections: set[str | int] = set()
    bad_keys: list[KeyPath] = []
    for details in error.errors(include_url=False, include_input=False):
        path = _path(data, details["loc"])
        in_file = _in_file(path, result.origin)
        if details["type"] == "too_short" and _length(data, path):
            continue  # its items are the fault, and each is reported
        is_missing = details["type"] == "missing"
        if not any(each[: len(in_file)] == in_file for each in removed):
            yield _fault(document, data, in_file, path, details)
        if details["type"] in _ADDED:
            bad_keys.append(path)
        elif len(path) < 2 or not isinstance(path[1], int):
            bad_sections.update(path[:1])
        else:
            _note_id(data, path, result)
            smaller = _smaller(path, is_missing=is_missing)
            if smaller:
                bad_keys.append(smaller)
            else:
                bad_items.setdefault(str(path[0]), set()).add(path[1])
    removed.update(_in_file(path, result.origin) for path in bad_keys)
    for path in bad_keys:
        _remove(data, path)
    for section, indices in bad_items.items():
        items = data[section]
        kept = [index for index in range(len(items)) if index not in indices]
        data[section] = tuple(items[index] for index in kept)
        result.origin[section] = tuple(result.origin[section][index] for index in kept)
    for name in bad_sections:
        data.pop(name, None)
        if name in _PLACEHOLDERS:
            data[name] = _PLACEHOLDERS[str(name)]


_ADDED = ("extra_forbidden", "invalid_key")
"""Faults that go when the key goes, and harm nothing else."""


def _smaller(path: KeyPath, *, is_missing: bool) -> KeyPath:
    """Return the part of a list's item to leave out for a fault at `path`; empty for all of it."""
    whole_key = path[:3]
    if path[2:] == ("profile",):
        return ()  # what it would have given is missing with it
    if is_missing:
        return whole_key if len(path) > 3 else ()
    return whole_key if isinstance(path[-1], int) else path


def _note_id(data: dict[str | int, Any], path: KeyPath, result: Validated) -> None:
    item = _value_at(data, path[:2])
    if isinstance(item, dict) and isinstance(item.get("id"), str):
        result.left_out.add(item["id"])


def _remove(data: dict[str | int, Any], path: KeyPath) -> None:
    """Take one key out, copying the way to it: aliases share their mappings."""
    step = path[0]
    if len(path) == 1:
        data.pop(step, None)
        return
    inner = data.get(step)
    if isinstance(inner, tuple) and len(path) > 2:
        index = path[1]
        if isinstance(index, int) and index < len(inner) and isinstance(inner[index], dict):
            copy = dict(inner[index])
            _remove(copy, path[2:])
            data[step] = (*inner[:index], copy, *inner[index + 1 :])
    elif isinstance(inner, dict):
        copy = dict(inner)
        _remove(copy, path[1:])
        data[step] = copy


def _in_file(path: KeyPath, origin: Mapping[str, tuple[int, ...]]) -> KeyPath:
    """Return the path in the file of a path in data from which items were left out."""
    if len(path) > 1 and isinstance(path[1], int):
        kept = origin.get(str(path[0]), ())
        if path[1] < len(kept):
            return (path[0], kept[path[1]], *path[2:])
    return path


def _path(data: object, loc: tuple[str | int, ...]) -> KeyPath:
    """Return `loc` without the tags that unions put into it."""
    path: list[str | int] = []
    current: Any = data
    for number, step in enumerate(loc):
        is_there = (isinstance(current, dict) and step in current) or (
            isinstance(current, tuple) and isinstance(step, int) and step < len(current)
        )
        if is_there:
            current = current[step]
        elif number < len(loc) - 1 or (isinstance(step, str) and step[0] in "<["):
            continue  # a tag, not a step
        path.append(step)
    return tuple(path)


def _value_at(data: object, path: KeyPath) -> object:
    for step in path:
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, tuple) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def _length(data: object, path: KeyPath) -> int:
    value = _value_at(data, path)
    return len(value) if isinstance(value, tuple) else 0


def _fault(
    document: Document,
    data: dict[str | int, Any],
    path: KeyPath,
    data_path: KeyPath,
    details: ErrorDetails,
) -> ConfigFault:
    context = details.get("ctx", {})
    value = _value_at(data, data_path)
    match details["type"]:
        case "extra_forbidden":
            known = _known_keys(details["loc"])
            word = str(path[-1])
            if word in CONDITION_WORDS and "point" in known:
                message = "a condition has one of these only; put two into `all` or `any`"
            else:
                message = f"unknown key{did_you_mean(word, known)}"
            return document.fault(path, message, at_key=True)
        case "invalid_key":
            return document.fault(path, "unknown key; keys are words", at_key=True)
        case "missing":
            return document.fault(path, "is missing and must be given")
        case "union_tag_not_found":
            return document.fault((*path, "type"), _types(context))
        case "union_tag_invalid":
            word = str(context.get("tag", ""))
            return document.fault((*path, "type"), _types(context, word))
        case models.UNKNOWN:
            name = value.get("template") if isinstance(value, dict) else ""
            message = f"no template '{name}'{did_you_mean(str(name), TEMPLATES)}"
            return document.fault((*path, "template"), message)
        case "enum" | "literal_error":
            return document.fault(path, _choice(str(context.get("expected", "")), value))
        case "string_pattern_mismatch":
            message = f"must be {PATTERN_WORDS[str(context['pattern'])]}"
            return document.fault(path, message, at_key="[key]" in details["loc"])
        case "string_type" if isinstance(value, (int, float)):
            return document.fault(path, "must be text; put it in quotes")
    if value is None and details["type"].endswith("_type"):
        return document.fault(path, "is empty; give a value or leave the key out")
    return document.fault(path, _in_words(details))


def _types(context: Mapping[str, object], word: str = "") -> str:
    expected = str(context.get("expected_tags", "")).replace("'", "").split(", ")
    if not word:
        return "is missing; one of gpio, modbus-tcp, modbus-rtu, modbus-rtu-tcp"
    return f"unknown type '{word}'{did_you_mean(word, expected)}"


def _choice(expected: str, value: object) -> str:
    words = re.findall(r"'([^']*)'", expected)
    near = did_you_mean(value, words) if isinstance(value, str) else ""
    return f"must be {expected}" + (near if "mean" in near else "")


_INSTEAD = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "finite_number": "must be a finite number",
}
"""Pydantic's own words that say little to an installer."""


_LIMITS = {
    "ge": "must be {} or more",
    "le": "must be {} or less",
    "gt": "must be more than {}",
    "lt": "must be less than {}",
    "min_length": "must have {} or more (characters or items)",
    "max_length": "must have {} or fewer (characters or items)",
}


def _in_words(details: ErrorDetails) -> str:
    if details["type"] in _INSTEAD:
        return _INSTEAD[details["type"]]
    context = details.get("ctx", {})
    for limit, words in _LIMITS.items():
        if limit in context:
            return words.format(context[limit])
    message = details["msg"].removeprefix("Value error, ")
    return re.sub(r"^(Input|Value|String|Tuple|Dictionary) should (be|have)", r"must \2", message)


def _known_keys(loc: tuple[str | int, ...]) -> tuple[str, ...]:
    """Return the keys the model at a location (its last step left off) has."""
    current: object = SiteModel
    for step in loc[:-1]:
        current = _descend(current, step)
    if isinstance(current, type) and issubclass(current, BaseModel):
        return tuple(each.alias or name for name, each in current.model_fields.items())
    return ()


def _descend(annotation: object, step: str | int) -> object:
    """Return the annotation one step of a location further down; None where it does not go on."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, each in annotation.model_fields.items():
            if step in (name, each.alias):
                return each.annotation
        return None
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _descend(arguments[0], step)
    if origin is tuple:
        return _unwrapped(arguments[0])
    if origin is dict:
        return _unwrapped(arguments[1])
    if origin in (Union, UnionType):
        for member in arguments:
            if _is_tagged(member, step):
                return _unwrapped(member)
        for member in arguments:
            if (found := _descend(member, step)) is not None:
                return found
    return None


def _unwrapped(annotation: object) -> object:
    return (
        _unwrapped(get_args(annotation)[0]) if get_origin(annotation) is Annotated else annotation
    )


def _is_tagged(member: object, step: str | int) -> bool:
    """Return whether a member of a union is the one a tag in a location names."""
    if get_origin(member) is Annotated:
        return any(isinstance(each, Tag) and each.tag == step for each in get_args(member)[1:])
    if isinstance(member, type) and issubclass(member, BaseModel):
        kind = member.model_fields.get("type")
        return (
            kind is not None
            and get_origin(kind.annotation) is Literal
            and step in get_args(kind.annotation)
        )
    return False
