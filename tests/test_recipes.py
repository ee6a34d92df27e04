"""Pages in docs/recipes say what the pipelines do: every step, every parameter, in order."""

import re
from pathlib import Path

import pytest
import yaml

from curate.manifest.manifest import Manifest, loads
from curate.testing import docs

ROOT = Path(__file__).resolve().parents[1]
PIPELINES = {path.stem for path in (ROOT / "pipelines").glob("*.yaml")}
PAGES = [page for page in sorted((ROOT / "docs" / "recipes").glob("*.md")) if page.stem in PIPELINES]
OURS = {"quickstart"}
"""Pipelines that are no one's recipe but the demo's."""
SECTION = re.compile(r"^### `(\w+)`\n(.*?)(?=^#)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(\w+)` \| `([^`]*)` \|", re.MULTILINE)


def manifest_with(pipeline: str) -> Manifest:
    source = f"{{inputs: [in.jsonl], pipeline: {pipeline}}}"
    return loads(f'name: r\nversion: "0.1.0"\nlicense: other\nsources:\n  web: {source}\n')


def pages_steps(page: Path) -> list[tuple[str, dict]]:
    sections = SECTION.findall(page.read_text(encoding="utf-8"))
    return [(name, {key: yaml.safe_load(value) for key, value in ROW.findall(body)}) for name, body in sections]


def test_every_recipe_has_a_page():
    assert {page.stem for page in PAGES} == PIPELINES - OURS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_its_pipeline_does(page):
    calls = manifest_with(page.stem).pipelines["web"]
    assert pages_steps(page) == [(call.stage.name, call.params) for call in calls]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_how_to_use_it_and_names_differences(page):
    text = page.read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    made = loads(f'name: r\nversion: "0.1.0"\nlicense: other\n{example}')
    assert made.spec.sources
    assert "## Known differences\n\n- " in text
    assert re.search(r"\]\(https://arxiv\.org/abs/", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_prose_passes_the_map_stages_of_a_recipe(page):
    lines = (
        "The committee of the town met on Tuesday with two guests, and it agreed that the work should go on.",
        "Nobody knew how long the second meeting would last, but most were ready to stay until supper.",
        "A report on the bridge, the roads and the school is to be read aloud before any vote is taken.",
        "Its authors have asked for more time, since the winter made it hard to reach half of the sites.",
        "In the end the chair promised to write to all who had come, and thanked them for their patience.",
    )
    table = docs("\n".join(lines), "Home\nLogin", None)
    calls = [call for call in manifest_with(page.stem).pipelines["web"] if call.stage.kind == "map"]
    if not calls:
        pytest.skip("no stage of it looks at one document alone")
    if any("messages" in call.reads for call in calls):
        pytest.skip("it is for rows that are more than text")
    for call in calls:
        if call.stage.resources_from is None:  # no model is at hand
            table = call.stage(table, **call.params)
    reasons = table["reject"].to_pylist()
    assert reasons[0] is None
    assert None not in reasons[1:]
