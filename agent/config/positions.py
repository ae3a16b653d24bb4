"""YAML 1.2 with the place of every key and value.

The text is composed into nodes by ruamel.yaml and built into plain values here, so that every
duplicate key is found, an alias cannot blow the file up, and each value keeps its line and column.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from agent.config.faults import ConfigError, ConfigFault, KeyPath, written

MOST_BYTES = 1024 * 1024
"""A site of 1,000 points is about 150 KiB; more than this is some other file."""
MOST_NODES = 100_000
"""Values after aliases are expanded: ten lines of nested aliases can mean billions."""
MOST_DEPTH = 40
"""Levels of nesting; a site file has about ten."""

_TAG = "tag:yaml.org,2002:"
_OTHER_VERSION = re.compile(r"^%YAML[ \t]+(?!1\.2\s)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, both from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """A parsed file: plain values (dict, tuple, str, int, float, bool, None) and where they stand."""

    file: str
    data: object = None
    faults: list[ConfigFault] = field(default_factory=list)
    """Duplicate keys and the like, which leave the rest readable."""
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)
    overridden: set[KeyPath] = field(default_factory=set)
    """Paths whose value came from an option, not from the file."""

    def fault(self, path: KeyPath, message: str, *, at_key: bool = False) -> ConfigFault:
        """Return a fault at a path, or at the nearest place above it that the file has."""
        if any(path[: len(each)] == each for each in self.overridden):
            return ConfigFault(
                file=f"--set {written(path)}", line=0, column=0, path="", message=message
            )
        places = (self.keys, self.values) if at_key else (self.values, self.keys)
        for length in range(len(path), -1, -1):
            for index in places:
                if (place := index.get(path[:length])) is not None:
                    return self._fault(place, path, message)
        return self._fault(Place(1, 1), path, message)

    def _fault(self, place: Place, path: KeyPath, message: str) -> ConfigFault:
        return ConfigFault(
            file=self.file,
            line=place.line,
            column=place.column,
            path=written(path),
            message=message,
        )


def parse(content: bytes, file: str) -> Document:
    """Return the document in `content`.

    Raises:
        ConfigError: it is not YAML, not UTF-8, too large or too deep.
    """
    text = _decode(content, file)
    if other := _OTHER_VERSION.search(text):
        raise _error(file, text.count("\n", 0, other.start()) + 1, 1, "this file is YAML 1.2")
    # A fresh parser each time: it keeps state. Pure: the C parser knows only YAML 1.1.
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _error(file, line, column, _plain(error)) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        raise _error(
            file, line, column, "a control character; only printable text may stand here"
        ) from None
    except RecursionError:
        raise _error(file, 1, 1, f"nested deeper than {MOST_DEPTH} levels") from None
    except (YAMLError, ValueError, OverflowError, LookupError, TypeError, AttributeError):
        # What the parser itself trips over (an escape beyond Unicode, a broken directive).
        raise _error(file, 1, 1, "not YAML 1.2") from None
    if root is None:
        raise _error(file, 1, 1, "the file is empty; start with `version: 1`")
    document = Document(file=file)
    _Builder(document).build(root, ())
    return document


def _decode(content: bytes, file: str) -> str:
    if len(content) > MOST_BYTES:
        raise _error(file, 0, 0, f"{len(content)} bytes; a site file has at most {MOST_BYTES}")
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        raise _error(file, line, column, "not UTF-8; save the file as UTF-8") from None


def _plain(error: MarkedYAMLError) -> str:
    problem = error.problem or error.context or "not YAML"
    if "'\\t'" in problem:
        return "a tab; YAML is indented with spaces only"
    context = error.context_mark
    if context is not None and error.context:
        return f"not YAML: {problem}, {error.context} that began on line {context.line + 1}"
    return f"not YAML: {problem}"


def _error(file: str, line: int, column: int, message: str) -> ConfigError:
    return ConfigError([ConfigFault(file=file, line=line, column=column, path="", message=message)])


class _Builder:
    """Turns nodes into values, noting places."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: set[int] = set()
        self._nodes = 0

    def build(self, root: Node, path: KeyPath) -> None:
        self._document.data = self._value(root, path)

    def _refuse(self, node: Node, path: KeyPath, message: str) -> None:
        self._document.faults.append(self._document._fault(_place(node), path, message))  # noqa: SLF001

    def _value(self, node: Node, path: KeyPath) -> object:
        self._nodes += 1
        self._document.values[path] = _place(node)
        if self._nodes > MOST_NODES:
            place = _place(node)
            raise _error(
                self._document.file,
                place.line,
                place.column,
                f"more than {MOST_NODES} values once aliases are expanded",
            )
        if len(path) > MOST_DEPTH:
            place = _place(node)
            raise _error(
                self._document.file,
                place.line,
                place.column,
                f"nested deeper than {MOST_DEPTH} levels",
            )
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._refuse(node, path, "an alias inside the very thing it names")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
                return tuple(
                    self._value(item, (*path, index)) for index, item in enumerate(node.value)
                )
            if isinstance(node, MappingNode) and node.tag == _TAG + "map":
                return self._mapping(node, path)
        finally:
            self._open.discard(id(node))
        self._refuse(node, path, f"the tag {_written_tag(node)} is not known here; leave it out")
        return None

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str | int, object]:
        built: dict[str | int, object] = {}
        merges: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                merges.append(value_node)
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            inner = (*path, key)
            if key in built:
                first = self._document.keys[inner].line
                self._refuse(key_node, inner, f"stands twice; the first is on line {first}")
                continue
            self._document.keys[inner] = _place(key_node)
            built[key] = self._value(value_node, inner)
        for merge in merges:
            self._merge(merge, path, built)
        return built

    def _merge(self, node: Node, path: KeyPath, built: dict[str | int, object]) -> None:
        """Add what `<<` brings; keys of the mapping itself win (YAML 1.1 merge type)."""
        for source in node.value if isinstance(node, SequenceNode) else [node]:
            if not isinstance(source, MappingNode) or id(source) in self._open:
                self._refuse(source, path, "`<<` takes a mapping or a list of mappings")
                continue
            self._open.add(id(source))
            inherited = Document(file=self._document.file)
            below = _Builder(inherited)
            below._open, below._nodes = self._open, self._nodes
            try:
                brought = below._mapping(source, path)
            finally:
                self._open.discard(id(source))
            self._nodes = below._nodes
            self._document.faults.extend(inherited.faults)
            for key, value in brought.items():
                if key in built:
                    continue
                built[key] = value
                inner = (*path, key)
                for own, other in (
                    (self._document.keys, inherited.keys),
                    (self._document.values, inherited.values),
                ):
                    own.update(
                        (each, place)
                        for each, place in other.items()
                        if each[: len(inner)] == inner
                    )

    def _key(self, node: Node, path: KeyPath) -> str | int | None:
        if isinstance(node, ScalarNode):
            key = self._scalar(node, path)
            if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
                return key
        self._refuse(node, path, "a key must be a word; put it in quotes")
        return None

    def _scalar(self, node: ScalarNode, path: KeyPath) -> object:
        kind = str(node.tag).removeprefix(_TAG)
        text = str(node.value)
        match kind:
            case "str" | "timestamp" | "value":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" | "float":
                number = _number(text, kind)
                if number is None:
                    self._refuse(
                        node, path, "not a number that can be used; quote it if it is text"
                    )
                return number
        self._refuse(node, path, f"the tag {_written_tag(node)} is not known here; leave it out")
        return None


def _number(text: str, kind: str) -> int | float | None:
    plain = text.replace("_", "").lower()
    try:
        if kind == "float":
            sign = -1.0 if plain.startswith("-") else 1.0
            if plain.lstrip("+-") == ".inf":
                return sign * math.inf
            return math.nan if plain == ".nan" else float(plain)
        digits = plain.lstrip("+-")
        base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2], 10)
        number = int(digits[2:] if base != 10 else digits, base)
    except ValueError:
        return None
    return -number if plain.startswith("-") else number


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _written_tag(node: Node) -> str:
    return str(node.tag).replace(_TAG, "!!")[:40]
