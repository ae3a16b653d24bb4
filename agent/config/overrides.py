"""Single values given as options: `buses.meters.port=15020` on top of the file."""

from __future__ import annotations

from collections.abc import Mapping

from agent.config.faults import ConfigError, ConfigFault, KeyPath, did_you_mean
from agent.config.positions import Document, parse


def apply_sets(document: Document, sets: Mapping[str, str]) -> None:
    """Put values into a document; members of a list are named by their id or position.

    Raises:
        ConfigError: an option leads nowhere, or its value is not YAML.
    """
    faults: list[ConfigFault] = []
    for dotted, text in sets.items():
        try:
            value = parse(text.encode(), f"--set {dotted}").data if text.strip() else None
        except ConfigError as error:
            faults.extend(error.faults)
            continue
        path, why = _find(document.data, dotted)
        if why:
            faults.append(
                ConfigFault(file=f"--set {dotted}", line=0, column=0, path="", message=why)
            )
            continue
        document.data = _with(document.data, path, value)
        document.overridden.add(path)
    if faults:
        raise ConfigError(faults)


def _find(data: object, dotted: str) -> tuple[KeyPath, str]:
    """Return the path a dotted name means, or why there is none. Ids may hold dots themselves."""
    path: list[str | int] = []
    words = dotted.split(".")
    while words:
        if isinstance(data, tuple):
            ids = {
                item["id"]: index
                for index, item in enumerate(data)
                if isinstance(item, dict) and isinstance(item.get("id"), str)
            }
            for length in range(len(words), 0, -1):
                name = ".".join(words[:length])
                index = ids.get(name, int(name) if name.isdecimal() else -1)
                if 0 <= index < len(data):
                    break
            else:
                return (), f"nothing is called '{words[0]}' there{did_you_mean(words[0], ids)}"
            path.append(index)
            data = data[index]
            words = words[length:]
        elif isinstance(data, dict):
            path.append(words[0])
            data = data.get(words[0], {} if len(words) > 1 else None)
            words = words[1:]
        else:
            return (), f"'{words[0]}' is below a single value"
    return tuple(path), ""


def _with(data: object, path: KeyPath, value: object) -> object:
    if not path:
        return value
    step = path[0]
    if isinstance(data, tuple) and isinstance(step, int):
        return (*data[:step], _with(data[step], path[1:], value), *data[step + 1 :])
    copy = dict(data) if isinstance(data, dict) else {}
    copy[step] = _with(copy.get(step, {}), path[1:], value)
    return copy
