"""docs/asyncapi.yaml against AsyncAPI's own JSON schema (the npm package @asyncapi/specs), and against us."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from agent.uplink.codec import Schema
from tests.peers.conftest import NODE_MODULES, missing
from tests.uplink.contract import DOCS, RETAINED, hold
from tests.uplink.contract import load as load_schema

Document = dict[str, Any]


def load() -> Document:
    found: Document = YAML(typ="safe").load((DOCS / "asyncapi.yaml").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def official() -> Draft7Validator:
    """The schema of the version that the document names; it is one of draft 7."""
    folder = NODE_MODULES / "@asyncapi" / "specs" / "schemas"
    if not folder.is_dir():
        missing("the npm package @asyncapi/specs is not installed")
    return Draft7Validator(json.loads((folder / f"{load()['asyncapi']}.json").read_text("utf-8")))


def bundled(node: Any) -> Any:
    """Return the document with our schemas in the place of the references to their files."""
    if isinstance(node, list):
        return [bundled(each) for each in node]
    if not isinstance(node, dict):
        return node
    reference = str(node.get("$ref", ""))
    if reference.startswith("./"):
        found = json.loads((DOCS / reference).read_text("utf-8"))
        return {name: each for name, each in found.items() if name not in ("$id", "$schema")}
    return {name: bundled(each) for name, each in node.items()}


def faults(official: Draft7Validator, document: Document) -> list[str]:
    return [f"{list(each.path)}: {each.message:.200}" for each in official.iter_errors(document)]


def test_the_document_keeps_the_official_schema(official: Draft7Validator) -> None:
    assert not faults(official, load())


def test_it_keeps_it_with_our_schemas_in_place_too(official: Draft7Validator) -> None:
    assert not faults(official, bundled(load()))


def misspelt(document: Document) -> None:
    document["operations"]["showState"]["action"] = "publish"  # the word of AsyncAPI 2


def unknown(document: Document) -> None:
    document["channels"]["state"]["topic"] = "plantroom"


def without_title(document: Document) -> None:
    del document["info"]["title"]


def third_quality(document: Document) -> None:
    document["operations"]["showState"]["bindings"]["mqtt"]["qos"] = 3


def no_schema(document: Document) -> None:
    document["components"]["messages"]["cmd"]["payload"]["properties"]["args"]["type"] = "thing"


@pytest.mark.parametrize("spoil", [misspelt, unknown, without_title, third_quality, no_schema])
def test_the_official_schema_finds_what_is_wrong(
    official: Draft7Validator, spoil: Callable[[Document], None]
) -> None:
    document = copy.deepcopy(bundled(load()))
    spoil(document)
    assert faults(official, document)


def references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for each in node for found in references(each)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for each in node.values() for found in references(each)]


def test_every_reference_leads_somewhere() -> None:
    document = load()
    found = references(document)
    assert {each for each in found if each.startswith("./")} == {
        f"./schemas/{schema.file}" for schema in Schema
    }
    for each in found:
        if each.startswith("#/"):
            node: Any = document
            for part in each[2:].split("/"):
                node = node[part]


def test_every_channel_has_its_message_and_every_operation_its_retention() -> None:
    document = load()
    channels = document["channels"]
    assert set(channels) == {schema.split("/")[0] for schema in Schema}
    for name, channel in channels.items():
        assert channel["address"].split("/")[-2] == name
        (message,) = channel["messages"].values()
        assert message["$ref"] == f"#/components/messages/{name}"
        payload = document["components"]["messages"][name]["payload"]["$ref"]
        assert payload == f"./schemas/{name}-1.json"
        names = {part[1:-1] for part in channel["address"].split("/") if part.startswith("{")}
        assert set(channel["parameters"]) == names
    for operation in document["operations"].values():
        name = operation["channel"]["$ref"].rsplit("/", 1)[1]
        mqtt = operation["bindings"]["mqtt"]
        assert mqtt["qos"] == 1
        assert operation["action"] == ("receive" if name == "cmd" else "send")
        if name != "cmd":
            assert mqtt["retain"] is (name in RETAINED)


def test_the_will_in_it_is_one() -> None:
    will = load()["servers"]["broker"]["bindings"]["mqtt"]["lastWill"]
    assert hold(json.loads(will["message"])) is Schema.STATUS
    assert will["topic"].endswith("/status/box")
    assert will["retain"]


@pytest.mark.parametrize("schema", list(Schema))
def test_our_schemas_say_the_same_to_a_reader_of_draft_7(schema: Schema) -> None:
    """AsyncAPI reads schemas as draft 7 unless told otherwise; ours use no later word."""
    Draft7Validator.check_schema(load_schema(schema))
    later = {"$defs", "prefixItems", "unevaluatedProperties", "dependentRequired", "$anchor"}
    assert not later & words(load_schema(schema))


def words(node: Any) -> set[str]:
    if isinstance(node, list):
        return {found for each in node for found in words(each)}
    if not isinstance(node, dict):
        return set()
    return set(node) | {found for each in node.values() for found in words(each)}
