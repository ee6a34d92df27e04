"""Main content by `extract: {extractor: curate}`, beside Resiliparse, Trafilatura, jusText and readability-lxml.

    python tests/bench/main_content.py [--trees 600] [--peers] [--pages 1500] [--json]

Over the pages of ../shared/data whose main content people have marked: WCXB's development pages and scrapinghub's
articles by F1 of words, a mean of pages; web-a by F1 of marked parts. Ours is measured in five folds of sites: a page
is read by a model that has seen no page of its site. Milliseconds a page are processor time over WCXB's pages, in
turns, with the model that comes with curate. `--peers` adds the tables by kind of page, of all extractors that are
installed.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from curate.models.main_content import MainContent  # noqa: E402
from curate.models.marked_pages import marked_pages  # noqa: E402
from curate.models.train import load  # noqa: E402
from curate.models.train_main_content import Learned, in_folds, learned, metrics_of  # noqa: E402

DATA = ROOT.parent / "shared" / "data"
SETS = {
    "wcxb_dev": (DATA / "extraction" / "wcxb" / "dev.parquet", "parquet"),
    "web_a": (DATA / "crawl" / "web-a.warc.gz", "segments"),
    "scrapinghub": (DATA / "extraction" / "scrapinghub", "scrapinghub"),
}
TextOf = Callable[[str], str]


def resiliparse(page: str) -> str:
    return extract_plain_text(HTMLTree.parse(page), main_content=True)


def trafilatura(**options) -> TextOf:
    import trafilatura

    return lambda page: trafilatura.extract(page, **options) or ""


def justext(page: str) -> str:
    import justext

    paragraphs = justext.justext(page.encode(), justext.get_stoplist("English"))
    return "\n\n".join(paragraph.text for paragraph in paragraphs if not paragraph.is_boilerplate)


def readability(page: str) -> str:
    import lxml.html
    from readability import Document

    return lxml.html.fromstring(Document(page).summary()).text_content()


def others(every: bool) -> dict[str, TextOf]:
    """The extractors that are installed."""
    found = {"resiliparse": resiliparse, "trafilatura": trafilatura()}
    if every:
        found |= {
            "trafilatura_precision": trafilatura(favor_precision=True),
            "trafilatura_recall": trafilatura(favor_recall=True),
            "justext": justext,
            "readability": readability,
        }
    return found


def f1_of(found: dict) -> float:
    """F1 of words, or of marked parts."""
    if "f1" in found:
        return found["f1"]
    return found["parts_f1"]


def texts_of(pages: Iterable[Learned], text_of: TextOf) -> tuple[dict[str, str], float]:
    """({name: text}, processor seconds); a page that an extractor fails on has none."""
    texts, seconds = {}, 0.0
    for page in pages:
        source = page.page.html.decode("utf-8", "replace")
        start = time.process_time()
        try:
            texts[page.page.name] = text_of(source)
        except Exception:  # other libraries raise what they like
            texts[page.page.name] = ""
        seconds += time.process_time() - start
    return texts, seconds


def milliseconds(pages: list[Learned]) -> dict[str, float]:
    """Of a page, by extractor, in turns."""
    model = MainContent.load()
    of = {"curate": lambda page: model.read(page.encode()).text()} | others(every=False)
    seconds = dict.fromkeys(of, 0.0)
    for text_of in of.values():
        texts_of(pages[:3], text_of)  # what is loaded or compiled once
    for page in pages:
        for name, text_of in of.items():
            seconds[name] += texts_of([page], text_of)[1]
    return {name: round(1000 * value / len(pages), 3) for name, value in seconds.items()}


def measured(trees: int | None, every: bool, most: int) -> dict:
    sets = {name: [learned(page) for page in marked_pages(*where)] for name, where in SETS.items()}
    recipe = load("main-content").recipe
    boosting = recipe.boosting.model_copy(update={"num_iterations": trees} if trees else {})
    texts = {"curate": in_folds([page for pages in sets.values() for page in pages], boosting, recipe.seed)}
    for name, text_of in others(every).items():
        texts[name] = texts_of((page for pages in sets.values() for page in pages), text_of)[0]
    tables = {name: {one: metrics_of(pages, found) for one, pages in sets.items()} for name, found in texts.items()}
    took = milliseconds(sets["wcxb_dev"][:most])
    result = {f"{one}_f1": f1_of(tables["curate"][one]) for one in sets}
    result |= {f"trafilatura_{one}_f1": f1_of(tables["trafilatura"][one]) for one in sets}
    ours, theirs = (tables[name]["wcxb_dev"]["by_kind"] for name in ("curate", "trafilatura"))
    result["least_above_trafilatura"] = round(min(ours[kind] - theirs[kind] for kind in ours), 4)
    result |= {f"{name}_ms": value for name, value in took.items()}
    result["ms_ratio_to_resiliparse"] = round(took["curate"] / took["resiliparse"], 3)
    result["x_trafilatura_speed"] = round(took["trafilatura"] / took["curate"], 1)
    return result | ({"tables": tables} if every else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trees", type=int, help="of each model; default: as in the recipe")
    parser.add_argument("--peers", action="store_true", help="all extractors, and tables by kind")
    parser.add_argument("--pages", type=int, default=1500, help="pages whose time is taken")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    missing = [str(path) for path, _ in SETS.values() if not path.exists()]
    if missing:
        sys.exit(f"skipped: {', '.join(missing)} not there")
    result = measured(options.trees, options.peers, options.pages)
    if options.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:28} {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
