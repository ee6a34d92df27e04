"""`curate explain --blocks`: the verdict on each block of a page, and the features that weigh most."""

import pytest
from releases import release, response, write_jsonl, write_manifest
from test_main_content import ARTICLE, PROSE

from curate.inspect.explain import explain
from curate.models.main_content import MainContent


def explained(tmp_path, extractor: str = "curate", page: str = ARTICLE, kind: str = "text/html", **params) -> dict:
    pages = [response("http://a/1", page, kind=kind), response("http://a/2", "<p>other")]
    (tmp_path / "in.warc").write_bytes(b"".join(pages))
    source = {"inputs": ["in.warc"], "pipeline": [{"extract": {"extractor": extractor} | params}]}
    document = {"name": "blocks", "version": "1.0.0", "license": "cc0-1.0", "sources": {"web": source}}
    manifest = write_manifest(tmp_path / "manifest.yaml", document)
    release(manifest, tmp_path / "work")
    [found] = explain(manifest, "http://a/1", tmp_path / "work", blocks=True)
    return found


def test_the_blocks_of_a_page_and_why(tmp_path):
    blocks = explained(tmp_path, "curate")["blocks"]
    kept = [block for block in blocks if block["kept"]]
    assert [block["text"] for block in kept].count(PROSE) == 2
    assert all(0 <= block["likely"] <= 1 and len(block["because"]) == 3 for block in blocks)
    assert min(block["likely"] for block in kept) > max(block["likely"] for block in blocks if not block["kept"])


def test_what_the_features_weigh_is_the_score_but_for_the_mean():
    model = MainContent.load()
    found = model.read(ARTICLE.encode())
    scores = [sum(model.because(row).values()) for row in found.features]
    assert [score for _, score in sorted(zip(found.likely, scores, strict=True))] == sorted(scores)


def test_another_extractor_judges_no_blocks(tmp_path):
    assert explained(tmp_path, "resiliparse")["blocks"] == []


COMMENT = "<div class=comment><p>I agree.</p></div>"


@pytest.mark.parametrize(
    ("params", "kept"),
    [({}, True), ({"comments": False}, False), ({"skip_elements": [".comment"]}, None)],
)
def test_the_blocks_are_those_that_the_text_was_made_of(tmp_path, params, kept):
    page = ARTICLE.replace("</article>", f"</article>{COMMENT}")
    found = explained(tmp_path, page=page, main_content=False, **params)
    verdicts = {block["text"]: block["kept"] for block in found["blocks"]}
    assert verdicts.get("I agree.") is kept


def test_a_document_that_is_no_page_has_no_blocks(tmp_path):
    assert explained(tmp_path, page="%PDF-1.4", kind="application/pdf")["blocks"] == []


def test_a_row_of_text_has_no_blocks(tmp_path):
    write_jsonl(tmp_path / "in.jsonl", [{"text": PROSE, "url": "http://a/1"}])
    source = {"inputs": ["in.jsonl"], "pipeline": [{"extract": {"extractor": "curate"}}]}
    document = {"name": "rows", "version": "1.0.0", "license": "cc0-1.0", "sources": {"rows": source}}
    manifest = write_manifest(tmp_path / "manifest.yaml", document)
    release(manifest, tmp_path / "work")
    assert explain(manifest, "http://a/1", tmp_path / "work", blocks=True)[0]["blocks"] == []
