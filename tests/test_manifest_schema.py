"""The schema of a manifest is the committed one, and it and the models agree with what `loads` refuses."""

import contextlib
import json
from pathlib import Path
from typing import Annotated, get_args

import jsonschema
import pydantic
import pytest
import yaml
from test_manifest import HOLDS

from curate.errors import ManifestError
from curate.manifest.call import Checks
from curate.manifest.library import library
from curate.manifest.manifest import loads
from curate.manifest.models import Spec
from curate.manifest.schema import json_schema
from curate.models.train import Recipe
from curate.stage_api import stage_homes

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "manifests" / "manifest.schema.json"


def test_schema_is_the_committed_one():
    """Made by `python tools/regenerate.py`."""
    assert json.loads(SCHEMA.read_text()) == json_schema()


def test_schema_accepts_what_comes_with_curate():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in library("manifests").glob("*.yaml"):
        validator.validate(yaml.safe_load(path.read_text()))
    for path in library("pipelines").glob("*.yaml"):
        document = yaml.safe_load(HOLDS)
        document["sources"]["a"]["pipeline"] = yaml.safe_load(path.read_text())["stages"]
        validator.validate(document)
    validator.validate(yaml.safe_load(HOLDS))


@pytest.mark.parametrize(
    "change", [{"nmae": "x"}, {"stages": [{"lenght": 3}]}, {"stages": [{"length": {"min_word": 3}}]}, {"sources": {}}]
)
def test_schema_refuses_what_curate_refuses(change):
    document = yaml.safe_load(HOLDS) | change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, json_schema())
    with pytest.raises(ManifestError):
        loads(yaml.safe_dump(document))


def test_every_stage_says_what_it_does():
    definitions = json.dumps(json_schema()["$defs"]["Stage"])
    for name in stage_homes():
        assert f'"title": "{name}"' in definitions


def models_in(kind) -> set[type[pydantic.BaseModel]]:
    """A model and all that its fields are made of."""
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        return {kind}.union(*(models_in(field.annotation) for field in kind.model_fields.values()))
    return set().union(*map(models_in, get_args(kind)))


def numbers_in(value) -> list:
    held = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
    return [one for one in held if isinstance(one, int | float) and not isinstance(one, bool)]


def shapes(value) -> list:
    return [value, [value], [value, value], {"a": value}]


def read_as(field, values: list) -> list:
    """The numbers that a field makes of the values, where it takes them."""
    adapter, found = pydantic.TypeAdapter(Annotated[field.annotation, field]), []
    for value in values:
        with contextlib.suppress(pydantic.ValidationError):
            found += numbers_in(adapter.validate_python(value))
    return found


FIELDS = {
    f"{model.__name__}.{name}": field
    for model in sorted(models_in(Spec) | models_in(Recipe) | {Checks}, key=lambda model: model.__name__)
    for name, field in model.model_fields.items()
}
NUMBERS = [name for name, field in FIELDS.items() if read_as(field, [*shapes(2), *shapes(0.25)])]


def test_the_fields_that_hold_numbers_are_found():
    wanted = {"Mixture.budget", "Mixture.weights", "Phase.context", "Tokens.context", "Parameters.lr", "Shards.size"}
    assert wanted | {"Sample.documents", "CommonCrawl.files", "Source.priority", "Spec.seed"} <= {*NUMBERS}


@pytest.mark.parametrize("name", NUMBERS)
def test_no_number_is_true_or_false(name):
    """YAML reads `yes`, `no`, `on` and `off` so."""
    assert not read_as(FIELDS[name], [*shapes(True), *shapes(False)])
