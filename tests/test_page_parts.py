"""What was kept of pages by kind of block: counted by the stage, summed by the engine, shown in the report."""

import yaml
from releases import release, released_rows
from test_main_content import FOOTER, MENU, PROSE

PAGE = f"""<!doctype html><html><head><title>Sand</title></head><body>{MENU}<article><h1>Sand</h1><p>{PROSE}</p>
<blockquote><p>{PROSE}</p></blockquote><ul><li>{PROSE}</li><li>{PROSE}</li></ul><p>{PROSE}</p>
<table><tr><td>{PROSE}</td></tr></table><pre>{PROSE}</pre></article>{FOOTER}</body></html>"""
SIZE = len("".join(PROSE.split()))


def run(tmp_path, pages=3):
    folder = tmp_path / "pages"
    folder.mkdir(exist_ok=True)
    for number in range(pages):
        (folder / f"{number}.html").write_text(PAGE)
    (folder / "gone.html").write_text("<title>Page not found</title><body><h1>404</h1><p>The page was not found.</p>")
    manifest = tmp_path / "pages.yaml"
    source = {"inputs": ["pages"], "format": "html", "pipeline": [{"extract": {"extractor": "curate"}}]}
    manifest.write_text(
        yaml.safe_dump({"name": "pages", "version": "1.0.0", "license": "cc0-1.0", "sources": {"web": source}})
    )
    return release(manifest, tmp_path / "work")


def test_the_lock_has_what_was_found_and_kept_by_kind_of_block(tmp_path):
    found = run(tmp_path)
    (stage,) = found.lock["stages"]
    tally = stage["sources"]["web"]["tally"]
    assert stage["sources"]["web"]["kept"] == 3, "an error page counts for nothing"
    assert tally["quote_found"] == tally["code_found"] == tally["table_found"] == 3 * SIZE
    assert tally["list_found"] == 6 * SIZE
    assert tally["heading_found"] == 3 * len("Sand")
    assert tally["paragraph_found"] > 6 * SIZE, "the menu and the footer are blocks too"
    texts = [row["text"] for row in released_rows(found.path)]
    visible = sum(len("".join(text.replace("|", "").replace("- ", "").split())) for text in texts)
    kept = sum(size for name, size in tally.items() if name.endswith("_kept"))
    assert kept == visible < sum(size for name, size in tally.items() if name.endswith("_found"))


def test_the_report_shows_it(tmp_path):
    page = (run(tmp_path).path / "report.html").read_text()
    assert ">Main content: extract</h2>" in page
    assert "<td>quote</td>" in page
