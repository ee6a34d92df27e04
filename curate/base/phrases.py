"""Format counts, sizes, reasons and names for people, on a terminal and in Markdown."""

import re


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
