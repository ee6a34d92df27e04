"""The report of a run, with texts: what rules took and nearly took, pairs as diffs, what changed since a version."""

import re
from collections import Counter

import pytest
from browser import CONTRAST, browser  # noqa: F401 (a fixture)
from releases import curate, release, resembling, rows, write_jsonl, write_manifest
from test_report import EVIL, Page

from curate.errors import CurateError
from curate.inspect.run_report import report

WORDS = "the town has a mill and a school that was built of brick by the people of the valley in the year of the flood "


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """(manifest, work folder, run) of documents with markup, of which some are short and some are near-duplicates."""
    folder = tmp_path_factory.mktemp("ran")
    plain = [{"text": WORDS * 4 + f"{EVIL} number {n} " * n, "url": f"https://w.example/{n}"} for n in range(12)]
    short = [{"text": f"{EVIL} only {n} words of the text", "url": f"https://s.example/{n}"} for n in range(5)]
    write_jsonl(folder / "a.jsonl", [*plain, *short, *resembling(3, plain[:6])])
    write_jsonl(folder / "b.jsonl", rows(4, 20))
    document = {
        "name": "local",
        "version": "1.0.0",
        "license": "mit",
        "sources": {"a": {"inputs": ["a.jsonl"]}, "b": {"inputs": ["b.jsonl"]}},
        "stages": ["length", {"gopher_quality": {"min_stop_words": 3}}, {"near_dedup": {"threshold": 0.6}}],
    }
    manifest = write_manifest(folder / "manifest.yaml", document)
    return manifest, folder / "work", release(manifest, folder / "work")


def test_it_shows_texts_and_the_published_one_does_not(ran):
    manifest, work, made = ran
    path = report(manifest, work)
    assert path == work / "reports/local-1.0.0.html"
    assert path.stat().st_mode & 0o077 == 0
    page, published = path.read_text(), (made.path / "report.html").read_text()
    assert "do not publish it" in page
    for text in ("only 3 words of the text", "has a mill and a school"):
        assert text in page
        assert text not in published
    parsed = Page(page)
    assert parsed.tags["script"] == 1
    assert not [name for name in parsed.attributes if name.startswith("on")]
    assert Page(page).tags["del"] + Page(page).tags["ins"] > 0


def test_signals_are_of_all_documents_with_examples_on_either_side(ran):
    manifest, work, made = ran
    page = report(manifest, work).read_text()
    read = sum(source.read.kept for source in made.typed.sources.values())
    words = re.search(r"<svg class=\"histogram\"[^>]*Documents by n_words.*?</svg>", page, re.DOTALL)[0]
    counts = Counter()
    for inside, outside in re.findall(r": ([\d,]+) kept, ([\d,]+) removed", words[: words.index('class="out"')]):
        counts.update(kept=int(inside), removed=int(outside))
    assert counts == {"kept": made.typed.documents, "removed": read - made.typed.documents}
    assert "Examples on either side of 50 (too_few_words)" in page
    assert "Documents by gopher_quality: n_stop_words" in page, (
        "gopher_quality keeps no columns: its signals are measured"
    )
    assert "Examples on either side of 0.8 (too_few_letters)" in page


def test_it_says_what_changed_since_an_earlier_version(ran, tmp_path):
    manifest, work, made = ran
    changed = manifest.with_name("changed.yaml")
    changed.write_text(manifest.read_text().replace("1.0.0", "1.1.0").replace("threshold: 0.6", "threshold: 0.99"))
    new = release(changed, work)
    added = new.typed.documents - made.typed.documents
    assert added > 0
    page = report(changed, work, compare=made.path).read_text()
    assert f"Since local 1.0.0: {added} documents added, 0 removed" in page
    told = curate("report", new.path, "--compare", made.path, "--work", tmp_path)
    assert (told.returncode, str(tmp_path / "reports/local-1.1.0.html") in told.stdout) == (0, True)
    compared = (tmp_path / "reports/local-1.1.0.html").read_text()
    assert f"{added} documents added" in compared
    assert "has a mill and a school" not in compared


def test_a_run_without_a_release_has_no_report(ran, tmp_path):
    with pytest.raises(CurateError, match="has no release yet"):
        report(ran[0], tmp_path)


@pytest.mark.browser
def test_it_is_readable_with_all_texts_open(browser, ran):
    page = report(*ran[:2])
    for width, scheme in ((390, "dark"), (1280, "light")):
        browser.show(width, scheme)
        browser.open(page)
        browser.run("document.querySelectorAll('details').forEach(item => item.open = true)")
        assert browser.errors == []
        assert browser.run("document.documentElement.scrollWidth") == width
        assert browser.run(CONTRAST) == []
