"""The site files that come with the agent load, agree with the schema, and teach nothing unwise."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from agent.config.load import LoadedSite, load_site
from agent.config.positions import parse
from agent.config.schema import json_schema

FOLDER = Path(__file__).parents[2] / "config"
EXAMPLES = ("demo", "pump-room", "charging-shed", "whole-building")


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    (tmp_path / "mqtt-password").write_text("x", "utf-8")
    return tmp_path


def load(name: str, credentials: Path) -> LoadedSite:
    return load_site(
        FOLDER / f"{name}.yaml", credentials_dir=credentials, env={"PROPERTY_MQTT_PASSWORD": "x"}
    )


def plain(value: object) -> object:
    """Return a value as JSON has it."""
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_loads(name: str, credentials: Path) -> None:
    site = load(name, credentials)
    assert site.spec.rules
    assert site.gpio_buses


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_agrees_with_the_schema(name: str) -> None:
    jsonschema.validate(
        plain(parse((FOLDER / f"{name}.yaml").read_bytes(), name).data),
        json_schema(),
        cls=jsonschema.Draft202012Validator,
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_names_the_schema_for_the_editor(name: str) -> None:
    first = (FOLDER / f"{name}.yaml").read_text("utf-8").splitlines()[0]
    marker, _, target = first.partition("$schema=")
    assert marker == "# yaml-language-server: "
    assert (FOLDER / target).is_file()


def test_the_schema_beside_the_examples_is_the_one_the_agent_prints() -> None:
    assert json.loads((FOLDER / "site.schema.json").read_text("utf-8")) == json_schema()


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_thing_in_an_example_has_a_name_in_both_languages(
    name: str, credentials: Path
) -> None:
    spec = load(name, credentials).spec
    named = [(rule.id, rule.label) for rule in spec.rules if not rule.id.startswith("fault.")]
    named += [(output.id, output.label) for output in spec.outputs]
    named += list(spec.labels.items())
    assert [thing for thing, label in named if not (label.en and label.zh)] == []


@pytest.mark.parametrize(
    ("name", "warned"),
    [
        ("demo", {"inputs[2].contact"}),
        ("pump-room", set()),
        ("charging-shed", set()),
        ("whole-building", {"linkage[2].id"}),
    ],
)
def test_an_example_is_warned_of_only_where_it_says_so_itself(
    name: str, warned: set[str], credentials: Path
) -> None:
    warnings = load(name, credentials).warnings
    assert {each.path for each in warnings if "nobody has confirmed" not in each.message} == warned


def test_the_demo_is_the_room_the_simulator_plays(credentials: Path) -> None:
    site = load("demo", credentials)
    units = {
        bus.id: {device.unit: device.id for device in bus.devices} for bus in site.modbus_buses
    }
    assert units == {
        "meters": {1: "hydrant", 2: "shed-meter", 3: "hall-air", 4: "gas-meter"},
        "rs485": {1: "shed-air", 2: "relays", 3: "sump"},
    }
    (pins,) = site.gpio_buses
    assert {each.point: each.pin for each in pins.inputs} == {
        "hall.smoke": 17,
        "pump-room.leak": 27,
        "hall.call-point": 22,
    }
    assert {each.output: each.pin for each in pins.outputs} == {
        "siren": 23,
        "buzzer": 24,
        "shed-cut-off": 25,
    }
    counters = {
        device.id: [(q.address, q.type.value) for q in device.quantities if q.name == "counter"]
        for bus in site.modbus_buses
        for device in bus.devices
    }
    assert counters.pop("relays") == []
    assert all(each == [(100, "u32")] for each in counters.values())


@pytest.mark.parametrize(
    "broken",
    [
        {"version": 2, "site": "a", "box": "b"},
        {"version": 1, "site": "A b", "box": "b"},
        {"version": 1, "site": "a", "box": "b", "extra": 1},
        {"version": 1, "site": "a", "box": "b", "uplinks": [{"id": "c", "host": "h", "password": "x"}]},
        {"version": 1, "site": "a", "box": "b", "rules": [{"id": "r", "class": "fires", "when": {"all": []}}]},
    ],
)  # fmt: skip
def test_the_schema_refuses_what_the_loader_refuses(broken: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, json_schema(), cls=jsonschema.Draft202012Validator)


def test_the_schema_tells_the_words_of_the_core() -> None:
    text = json.dumps(json_schema())
    for word in ("call-point", "residual-current", "supervisory", "cut-off", "normally-closed"):
        assert f'"{word}"' in text
    assert '"description"' in text
