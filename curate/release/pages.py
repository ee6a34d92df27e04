"""What the pages of a release have in common: where their templates are, and how they write numbers and places."""

import re
from functools import cache
from pathlib import Path

import jinja2

from curate.redact import bare_url

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
    }
    return made


def counted(count: int, noun: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size(count: int) -> str:
    """`1.5 MB` of bytes."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def reasons(counts: dict[str, int]) -> str:
    """`too_short 12, duplicate_text 3`, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{word(reason)} {count:,}" for reason, count in ordered)


def place(document: dict) -> str:
    """Where a document was: its address without what may follow `?` or `#`, which can name people, or its file."""
    if url := document.get("url"):  # noqa: SIM108
        where = bare_url(url)
    else:
        where = f"{document['path']} at {document['position']}"
    return cell(where if len(where) <= LONGEST_PLACE else where[: LONGEST_PLACE - 1] + "…")


def cell(text: str) -> str:
    """Text from data as a cell of a Markdown table: on one line, and nothing in it is markup."""
    return "".join(f"&#{ord(sign)};" if sign in "|<>&`*_[]\\" else sign for sign in " ".join(text.split()))


def remark(text: str) -> str:
    """A sentence with code in it, on one line: no tag of HTML begins in it, and no link or picture."""
    return re.sub(r"<(?=[A-Za-z/!?])|\](?=[(\[:])", lambda found: f"&#{ord(found[0])};", " ".join(text.split()))


def code(text: str) -> str:
    """Text from data as code within a sentence, on one line."""
    text = " ".join(text.split())
    mark = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{mark} {text} {mark}" if len(mark) > 1 else f"{mark}{text}{mark}"


def fenced(text: str, language: str) -> str:
    """Lines of code as a block, which nothing in them ends."""
    mark = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{mark}{language}\n{text}\n{mark}"


def word(text: str) -> str:
    """A name in a cell of a table, such as `too_short`, written as it is."""
    return remark(text).replace("|", "&#124;")
