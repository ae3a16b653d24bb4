"""The house of docs/design.md section 3: imports point down, each I/O library lives in one room."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "drivers.reading", "drivers.errors", "drivers.clock", "drivers.base", "drivers.backoff",
        "drivers.tasks",
    ),
    ("agent.core", "drivers.gpio", "drivers.modbus"),
    (
        "agent.pipeline", "agent.outputs", "agent.outbox", "agent.uplink", "agent.local",
        "agent.systemd", "agent.supervise", "agent.timekeeping", "agent.simulate",
        "agent.report",
    ),
    ("agent.config",),
    ("agent.app", "agent.cli", "agent.__main__"),
)  # fmt: skip

ROOMS: dict[str, tuple[str, ...]] = {
    "pymodbus": ("drivers.modbus",),
    "serial": ("drivers.modbus",),
    "gpiozero": ("drivers.gpio",),
    "lgpio": ("drivers.gpio",),
    "aiomqtt": ("agent.uplink",),
    "paho": ("agent.uplink",),
    "tinydb": ("agent.outbox",),
    "aiohttp": ("agent.local",),
    "prometheus_client": ("agent.local",),
    "amqtt": ("agent.simulate",),
    "ruamel": ("agent.config", "drivers.modbus"),
    "pydantic": ("agent.config", "drivers.modbus"),
    "typer": ("agent.cli",),
    "rich": ("agent.cli",),
}

PURE = ("asyncio", "time", "datetime", "logging", "threading", "socket", "os", "random", "pathlib")


def modules() -> Iterator[tuple[str, Path]]:
    for package in ("agent", "drivers"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def floor_of(module: str) -> int | None:
    for number, rooms in enumerate(FLOORS):
        if any(is_within(module, room) for room in rooms):
            return number
    return None


ALL = list(modules())


def test_the_tree_has_modules_to_look_at() -> None:
    assert len(ALL) > 20


@pytest.mark.parametrize(("module", "path"), ALL, ids=[name for name, _ in ALL])
def test_every_module_has_a_floor_and_imports_only_downwards(module: str, path: Path) -> None:
    if module in ("agent", "drivers"):
        return
    floor = floor_of(module)
    assert floor is not None, f"{module} is on no floor: add it to FLOORS and docs/design.md"
    for target in imports_of(path):
        other = floor_of(target)
        if other is not None:
            assert other <= floor, f"{module} (floor {floor}) imports {target} (floor {other})"
        if module.startswith("drivers"):
            assert not is_within(target, "agent"), (
                f"{module} imports {target}: drivers know no agent"
            )
    if is_within(module, "agent.core"):
        for target in imports_of(path):
            assert not is_within(target, "drivers.gpio")
            assert not is_within(target, "drivers.modbus")


@pytest.mark.parametrize(("module", "path"), ALL, ids=[name for name, _ in ALL])
def test_each_library_is_imported_in_its_own_room_only(module: str, path: Path) -> None:
    for target in imports_of(path):
        top = target.split(".")[0]
        if top in ROOMS:
            assert any(is_within(module, room) for room in ROOMS[top]), f"{module} imports {target}"


def test_the_core_is_pure() -> None:
    for module, path in ALL:
        if is_within(module, "agent.core"):
            for target in imports_of(path):
                assert target.split(".")[0] not in PURE, f"{module} imports {target}"


def test_floor_zero_needs_the_standard_library_only() -> None:
    for module, path in ALL:
        if floor_of(module) == 0:
            for target in imports_of(path):
                assert target.split(".")[0] not in ROOMS, f"{module} imports {target}"


def test_task_groups_are_the_ones_that_leave_their_parent_unmarked() -> None:
    """drivers.tasks says why CPython's own will not do."""
    for module, path in ALL:
        if module != "drivers.tasks":
            assert "asyncio.TaskGroup" not in path.read_text("utf-8"), f"{module}: drivers.tasks"
