"""How rows become documents: by the layout that a manifest names, or by columns."""

from curate.errors import CurateError, did_you_mean
from curate.sources.conversations import RowLayout, RowMapping
from curate.sources.layouts import LAYOUTS, Mapping, text_mapping
from curate.sources.row_layouts import ROW_LAYOUTS

SEEN = "+"
"""What stands in the layout `curate` before the columns that a release has beside those of all documents."""


def known_layouts() -> dict[str, dict | RowLayout]:
    """All layouts by name."""
    return LAYOUTS | ROW_LAYOUTS


def mapping(layout: str | None = None, columns: dict | None = None) -> Mapping | RowMapping:
    """The mapping of a layout, with what `columns` says in place of it; without both, the columns' own names.

    columns  {text: place, url: place, ..., meta: [place, ...] or {key: place}}. Raises CurateError.
    """
    if layout in ROW_LAYOUTS:
        return RowMapping(ROW_LAYOUTS[layout])
    name, _, more = (layout or "").partition(SEEN)
    if layout is not None and name not in LAYOUTS:
        raise CurateError(f"unknown layout `{layout}`", fix=did_you_mean(layout, known_layouts()))
    return text_mapping(name or None, columns, tuple(more.split(",")) if more else ())


def released(more: list[str]) -> str:
    """The layout of a release whose shards have these columns of `curate.documents.MORE`."""
    return "curate" + (SEEN + ",".join(more) if more else "")
