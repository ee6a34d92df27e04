"""Every setting says what it means, where people look: the schema that editors read, and the reference."""

import ast
import json
import sys
from pathlib import Path

import pytest

from curate.manifest.models import Spec
from curate.stage_api import find_stage, read_parameters

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import reference  # noqa: E402

STAGES = [stage.name for stage in reference.own_stages()]


@pytest.mark.parametrize("name", STAGES)
def test_every_parameter_says_what_it_means(name):
    fields = find_stage(name).params.model_fields
    assert [name for name, field in fields.items() if not field.description] == []


def test_the_docstring_is_where_it_says_so():
    doc = "Do.\n\n  a, b  one,\n        two\nc\n        three\nd  no parameter"
    assert read_parameters(doc.replace("  a, b", "a, b"), "abc") == {"a": "one, two", "b": "one, two", "c": "three"}


def test_every_file_of_the_map_says_in_one_line_what_is_in_it():
    for path in reference.PACKAGE.rglob("*.py"):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "In no map."
        first, _, rest = doc.partition("\n")
        assert first.endswith("."), path
        assert not rest.strip() or rest.startswith("\n"), f"{path}: its first line goes on in the second"
    for line in reference.file_map().splitlines():
        assert not line or len(line.split()) > 1, f"nothing is said of {line}"


def test_schema_and_reference_show_it():
    schema = json.loads((ROOT / "manifests" / "manifest.schema.json").read_text(encoding="utf-8"))
    entries = schema["$defs"]["Stage"]["anyOf"][1:]
    for name in STAGES:
        page = (ROOT / "docs" / "reference" / "stages" / f"{name}.md").read_text(encoding="utf-8")
        [inner] = [entry["properties"][name]["anyOf"][0] for entry in entries if name in entry["properties"]]
        for parameter, field in find_stage(name).params.model_fields.items():
            assert inner["properties"][parameter]["description"] == field.description
            assert field.description.replace("|", "\\|") in page


def test_every_key_of_a_manifest_says_what_it_is_for():
    waiting, silent = [("", Spec)], []
    for place, model in waiting:
        for name, field in model.model_fields.items():
            inner = reference._models(field.annotation)
            waiting += [(f"{place}.{name}", found) for found in inner]
            if not field.description and not all(found.__doc__ for found in inner or [None]):
                silent.append(f"{place}.{name}")
    assert silent == []


def test_a_paragraph_of_parameters_holds_nothing_else():
    """The reference leaves such paragraphs out, since its tables have what they say."""
    for name in STAGES:
        fields, doc = find_stage(name).params.model_fields, find_stage(name).function.__doc__
        for part in doc.split("\n\n"):
            lines = [line.strip() for line in part.strip().splitlines()]
            if read_parameters("\n".join(line[4:] for line in part.splitlines()), fields):
                assert lines[0].split()[0].rstrip(",") in fields, (name, lines[0])
