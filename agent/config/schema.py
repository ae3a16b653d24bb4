"""The JSON Schema of the site file, for editors and `plantroom schema`."""

from __future__ import annotations

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from agent.config.model_site import SiteModel

SCHEMA_ID = "urn:plantroom:site-file:1"


def json_schema() -> dict[str, object]:
    """Return the schema (JSON Schema draft 2020-12) with the descriptions of every key."""
    made: JsonSchemaValue = SiteModel.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": SCHEMA_ID,
        "title": "Plantroom site file",
        **{key: value for key, value in made.items() if key != "title"},
    }
