"""Card text supplied by the user: Markdown without front matter, which the release writes."""

import re
from pathlib import Path

import yaml


def is_file(card: str) -> bool:
    """Whether a card is the path of one."""
    return card.endswith(".md") and "\n" not in card


def mistake(card: str, folder: Path) -> tuple[str, str] | None:
    """What is wrong with a card, Markdown or the path of a file below the folder, and the fix."""
    path = folder / card
    if is_file(card) and not path.is_file():
        return f"no file {card}", "use a Markdown file next to the manifest"
    text = path.read_bytes().decode("utf-8", "replace") if is_file(card) else card
    if front_matter(text):
        fix = "remove it: license, languages and tags come from the manifest and the data"
        return "the card already has front matter", fix
    return None


def front_matter(text: str) -> dict:
    """The front matter that a Markdown text begins with; empty where it has none."""
    text = text.removeprefix("\ufeff").lstrip().replace("\r\n", "\n")
    if not text.startswith("---\n"):
        return {}
    found = re.search(r"^(---|\.\.\.)[ \t]*$", text[4:], re.MULTILINE)
    try:
        fields = yaml.safe_load(text[4 : 4 + found.start()]) if found else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return {"": "not YAML"}
    return fields if isinstance(fields, dict) else {}
