"""Fills the `$` words of a template's condition (agent.config.templates.spec)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.config.templates.spec import Shape

Filled = str | float | int | list["Filled"] | dict[str, "Filled"]
"""A condition as a site file has it."""


class NotGiven(Exception):
    """The site did not give what a condition needs."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def fill(
    shape: Shape, points: Mapping[str, Sequence[str]], numbers: Mapping[str, float | None]
) -> Filled:
    """Return the condition with points and numbers in it.

    Raises:
        NotGiven: something it cannot do without is missing.
    """
    match shape:
        case str() if shape.startswith("$"):
            return _named(shape[1:], points, numbers)
        case str() | float() | int():
            return shape
        case Mapping():
            return _mapping(shape, points, numbers)
    raise TypeError(f"a list stands only under a word: {shape!r}")


def _named(
    name: str, points: Mapping[str, Sequence[str]], numbers: Mapping[str, float | None]
) -> Filled:
    if name in points:
        if not points[name]:
            raise NotGiven(name)
        return points[name][0]
    number = numbers[name]
    if number is None:
        raise NotGiven(name)
    return int(number) if float(number).is_integer() else number


def _mapping(
    shape: Mapping[str, Shape],
    points: Mapping[str, Sequence[str]],
    numbers: Mapping[str, float | None],
) -> Filled:
    if "$if" in shape:
        is_given = numbers[str(shape["$if"])] is not None
        return fill(shape["then" if is_given else "else"], points, numbers)
    if "$two" in shape:
        parts = _list(shape["$two"], points, numbers)
        if len(parts) < 2:
            raise NotGiven("a second signal")
        return {"all": parts} if len(parts) == 2 else {"at_least": 2, "of": parts}
    if "any" in shape:
        parts = _list(shape["any"], points, numbers)
        return parts[0] if len(parts) == 1 else {"any": parts}
    if "all" in shape:
        return {"all": [fill(part, points, numbers) for part in _sequence(shape["all"])]}
    return {key: fill(value, points, numbers) for key, value in shape.items()}


def _sequence(shape: Shape) -> Sequence[Shape]:
    if isinstance(shape, str | float | int | Mapping):
        raise TypeError(f"not a list: {shape!r}")
    return shape


def _list(
    shape: Shape, points: Mapping[str, Sequence[str]], numbers: Mapping[str, float | None]
) -> list[Filled]:
    """Return the parts that can be had."""
    parts: list[Filled] = []
    missing = ""
    for part in _sequence(shape):
        if isinstance(part, Mapping) and "$each" in part:
            name = str(part["$each"])
            rest = {key: value for key, value in part.items() if key != "$each"}
            given = points[name]
            missing = missing if given else name
            parts += [fill({"point": point, **rest}, points, numbers) for point in given]
            continue
        try:
            parts.append(fill(part, points, numbers))
        except NotGiven as error:
            missing = error.name
    if not parts:
        raise NotGiven(missing)
    return parts


def names_in(shape: Shape) -> frozenset[str]:
    """Return the points and parameters a condition names."""
    if isinstance(shape, str):
        return frozenset({shape[1:]} if shape.startswith("$") else ())
    if isinstance(shape, Mapping):
        own = {str(shape[key]) for key in ("$each", "$if") if key in shape}
        return frozenset(own.union(*(names_in(value) for value in shape.values())))
    if isinstance(shape, float | int):
        return frozenset()
    return frozenset().union(*(names_in(part) for part in shape))
