"""examples/quickstart.ipynb runs from top to bottom, and shows what its text says."""

from pathlib import Path

import pytest
from package import python_path

nbclient = pytest.importorskip("nbclient", reason='nbclient is not installed: pip install ".[test]"')
nbformat = pytest.importorskip("nbformat", reason='nbformat is not installed: pip install ".[test]"')
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The cells of code with what they show, executed where nothing else is."""
    notebook = nbformat.read(ROOT / "examples" / "quickstart.ipynb", as_version=4)
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", python_path(), prepend=":")
        nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": folder}}).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cells, source: str) -> dict[str, str]:
    """What the cell that holds some text shows, by its type."""
    (cell,) = (cell for cell in cells if source in cell.source)
    return {kind: text for output in cell.outputs if "data" in output for kind, text in output.data.items()}


def test_the_release_shows_itself(cells):
    html = shown(cells, "curate.run")["text/html"]
    assert "quickstart-notebook 1.0.0" in html
    assert "3 documents" in html
    assert "<svg" in html
    assert shown(cells, "verify()")["text/plain"] == "[]"


def test_what_is_out_has_its_reason(cells):
    funnel = shown(cells, "release.funnel")["text/plain"]
    assert "too_few_words 1" in funnel
    assert "near_duplicate 1" in funnel
    rejected = shown(cells, "release.rejected")["text/plain"]
    assert "'https://news.example/menu'" in rejected
    assert "'stage': 'length'" in rejected
    assert "'stage': 'near_dedup'" in rejected
    assert "'similarity': 0.9" in shown(cells, "near_duplicates()")["text/plain"]


def test_queries_and_stages_answer(cells):
    assert "https://news.example/harvest" in shown(cells, "release.query")["text/plain"]
    tried = shown(cells, "apply_stages")["text/plain"]
    assert "length.too_few_words" in tried
    assert "jane.doe" not in tried


def test_it_is_kept_without_output_and_its_links_lead_somewhere():
    notebook = nbformat.read(ROOT / "examples" / "quickstart.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    text = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for link in text.split("](")[1:]:
        assert (ROOT / "examples" / link.split(")")[0]).is_file()
