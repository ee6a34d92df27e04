"""What all pages share: templates, and how they write numbers, shares and places."""

import re
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from curate.base.phrases import cell, code, fenced, reasons, remark, size, word
from curate.base.redact import bare_url
from curate.release.typed_lock import Shown

LONGEST_PLACE = 100


@cache
def environment() -> jinja2.Environment:
    """Templates of the release's pages. What is not in the lock is an error, never an empty cell."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=jinja2.select_autoescape(["html.jinja", "svg.jinja"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    numbers = {
        "count": "{:,}".format,
        "number": number,
        "size": size,
        "share": "{:.1%}".format,
        "exact_share": "{:.3%}".format,
        "reasons": reasons,
    }
    made.filters |= numbers | {
        "place": place,
        "cell": cell,
        "remark": remark,
        "word": word,
        "code": code,
        "fenced": fenced,
        "prose": prose,
    }
    return made


def prose(text: str) -> Markup:
    """A sentence with `code` in it, in HTML."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def number(value: float) -> str:
    """`1,234` or `0.0123`: a number of any kind."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:.3g}"


def place(document: Shown) -> str:
    """Where a document was: its address without what may follow `?` or `#`, which can name people, or its file."""
    where = bare_url(document.url) if document.url else f"{document.path} at {document.position}"
    return cell(where if len(where) <= LONGEST_PLACE else where[: LONGEST_PLACE - 1] + "…")
