"""The report as Chromium shows it: no error, readable at any width and in the dark, sorted and filtered."""

import os
from pathlib import Path

import pytest
from browser import CONTRAST, browser  # noqa: F401 (a fixture)
from test_report import made  # noqa: F401 (a fixture)

pytestmark = pytest.mark.browser
ROWS = "[...document.querySelectorAll('{}')].filter(row => row.getClientRects().length)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_readable(browser, made, width, scheme, tmp_path):
    browser.show(width, scheme)
    browser.open(made.path / "report.html")
    folder = Path(os.environ.get("CURATE_SCREENSHOTS") or tmp_path)
    folder.mkdir(exist_ok=True)
    assert browser.picture(folder / f"report-{width}-{scheme}.png").stat().st_size > 10_000
    assert browser.errors == []
    assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.run(CONTRAST) == []
    dark = browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
    assert dark == (scheme == "dark")


def test_tables_are_sorted_by_their_headings(browser, made):
    browser.show(1280, "light")
    browser.open(made.path / "report.html")
    count = "[...document.querySelectorAll('#reasons ~ div tbody')][0].rows"
    numbers = f"[...{count}].map(row => Number(row.cells[3].dataset.v))"
    button = "document.querySelector('#reasons ~ div thead th:nth-child(4) button')"
    before = sorted(browser.run(numbers))
    browser.run(f"{button}.click()")
    assert browser.run(numbers) == before[::-1]
    browser.run(f"{button}.focus()")
    for kind in ("keyDown", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"
        )
    assert browser.run(numbers) == before
    assert browser.run(f"{button}.parentElement.ariaSort") == "ascending"


def test_one_source_is_shown_alone(browser, made):
    browser.show(1280, "light")
    browser.open(made.path / "report.html")
    shown = ROWS.format("#funnel ~ div tbody tr[data-source]") + ".map(row => row.dataset.source)"
    assert {*browser.run(shown)} == {"a", "b"}
    bars = "document.querySelector('.histogram .most').textContent"
    most = browser.run(bars)
    choose = "(c => {{ c.value = '{}'; c.dispatchEvent(new Event('change')) }})(document.querySelector('#source'))"
    browser.run(choose.format("b"))
    assert {*browser.run(shown)} == {"b"}
    assert browser.run(bars) != most
    found = browser.run("document.querySelector('.funnel .n').textContent")
    assert found == f"{made.typed.sources['b'].read.in_} (100.0%)"
    browser.run(choose.format(""))
    assert {*browser.run(shown)} == {"a", "b"}
    assert browser.run(bars) == most
    assert browser.errors == []


def test_no_script_but_its_own_runs(browser, made, tmp_path):
    page = (
        (made.path / "report.html").read_text().replace("</main>", "<script>document.title = 'owned'</script></main>")
    )
    (tmp_path / "page.html").write_text(page)
    browser.open(tmp_path / "page.html")
    assert browser.run("document.title") == "seen 1.0.0: report"
    assert len(browser.errors) == 1
    browser.errors.clear()
