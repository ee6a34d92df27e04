"""The documents of `curate sample` as one page for the browser."""

from pathlib import Path
from typing import Any

from curate.base.terminal import shown
from curate.inspect.marked_text import pieces, signal_text
from curate.models.resources import write_text
from curate.release.pages import environment

LONGEST = 20_000
"""Characters of a text that are on the page."""


def write_page(path: Path, documents: list[dict], place: str, asked: dict[str, Any]) -> None:
    """Write a page that needs no other file: what is data in it is text, and nothing in it runs.

    asked  what was asked for, which the page states
    """
    said = ", ".join(name if value is True else f"{name} {value}" for name, value in asked.items() if value)
    page = environment().get_template("sample.html.jinja")
    shown_documents = [_shown(document) for document in documents]
    write_text(path, page.render(place=place, asked=said or "kept", documents=shown_documents))


def _shown(document: dict) -> dict:
    text, kept = document["text"], document.get("kept") or {}
    marks = [(start, min(stop, LONGEST)) for start, stop in document["marks"] if start < LONGEST]
    return document | {
        "url_pieces": _safe(pieces(document["url"] or "", document["url_marks"])),
        "pieces": None if text is None else _safe(pieces(text[:LONGEST], marks)),
        "more": max(len(text or "") - LONGEST, 0),
        "said": [(signal_text(signal), signal["caused"]) for signal in document["signals"]],
        "kept": kept | {"text": shown((kept.get("text") or "")[:LONGEST])} if kept else None,
    }


def _safe(found: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Pieces without what a browser obeys or cannot show: controls, marks that turn the direction of text."""
    return [(shown(text), marked) for text, marked in found]
