"""Main content for `extract`: the block model, and formulas in one notation."""

from pathlib import Path

from resiliparse.parse.html import HTMLTree

from curate.models.main_content import SHIPPED_PATH, MainContent, Read
from curate.models.resources import locate
from curate.stages._formulas import write_formulas
from curate.stages._html_cost import looked_at, parsed


def path_of(model: str | None) -> Path:
    """The file of a model: the one that comes with curate, where none is named."""
    return SHIPPED_PATH if model is None else locate(model)


def read_page(
    model: MainContent, page: str, data: bytes, main_content: bool, comments: bool, skip_elements: tuple[str, ...]
) -> Read:
    """A page and the verdict on its blocks; `data` is its UTF-8.

    One with formulas, or elements to leave out, is parsed and read again. Raises RefusedError, TooManyBlocksError.
    """
    found = model.read(data, not main_content, comments)
    if found.has_formulas or skip_elements:
        again = _rewritten(parsed(page, looked_at(data)), skip_elements)
        found = model.read(again, not main_content, comments)
    return found


def _rewritten(tree: HTMLTree, selectors: tuple[str, ...]) -> bytes:
    """The page of a tree with its formulas as text, and without what CSS selectors name."""
    if tree.body is not None:
        write_formulas(tree, "")
        for element in tree.body.query_selector_all(",".join(selectors))[:] if selectors else ():
            element.remove()
    return tree.document.html.encode("utf-8", "replace")
