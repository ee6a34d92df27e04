"""Main content by a model of blocks, with formulas in one form."""

from pathlib import Path

from resiliparse.parse.html import HTMLTree

from curate.models.main_content import SHIPPED_PATH
from curate.models.resources import locate
from curate.stages._formulas import write_formulas


def path_of(model: str | None) -> Path:
    """The file of a model: the one that comes with curate, where none is named."""
    return SHIPPED_PATH if model is None else locate(model)


def rewritten(tree: HTMLTree, selectors: tuple[str, ...]) -> bytes:
    """The page of a tree with its formulas as text, and without what CSS selectors name."""
    if tree.body is not None:
        write_formulas(tree, "")
        for element in tree.body.query_selector_all(",".join(selectors))[:] if selectors else ():
            element.remove()
    return tree.document.html.encode("utf-8", "replace")
