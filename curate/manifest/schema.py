"""The JSON Schema of a manifest, for editors: manifests/manifest.schema.json."""

import json

from curate.manifest.call import Checks
from curate.manifest.models import Spec
from curate.stage_api import find_stage, stage_homes


def json_schema() -> dict:
    """The JSON Schema of a manifest, with every stage and its parameters, for editors and for checking."""
    schema = Spec.model_json_schema()
    checks = Checks.model_json_schema()["properties"]
    entries = [{"type": "string", "enum": sorted(stage_homes())}]
    for name in sorted(stage_homes()):
        params = find_stage(name).params.model_json_schema()
        schema["$defs"] |= params.pop("$defs", {})
        params["properties"] = params.get("properties", {}) | checks
        params |= {"title": name, "description": find_stage(name).declared.summary}
        shorthand = {"type": ["string", "number", "boolean", "array", "null"]}
        entries.append(
            {
                "type": "object",
                "properties": {name: {"anyOf": [params, shorthand]}},
                "required": [name],
                "additionalProperties": False,
            }
        )
    schema["$defs"]["Stage"] = {"anyOf": entries}
    stages = {"type": "array", "items": {"$ref": "#/$defs/Stage"}}
    named = {"anyOf": [{"type": "string"}, stages]}
    schema["properties"]["stages"] |= named
    schema["$defs"]["Source"]["properties"]["pipeline"] |= named
    mixture = schema["properties"]["mixture"]
    mixture["anyOf"] = [{"const": "everything"}, {"$ref": mixture.pop("$ref")}]
    schema["patternProperties"] = {"^x-": {"description": "ignored; for your own use, such as anchors for merge keys"}}
    schema |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "curate manifest"}
    return json.loads(json.dumps(schema))
