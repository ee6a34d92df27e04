"""Write a question with its options and answer as one text."""

import json
from typing import Literal

import pyarrow as pa

from curate.sources.layouts import whole
from curate.stage_api import reject, set_column, stage


@stage(version=1)
def multiple_choice(
    docs: pa.Table, *, form: Literal["answer", "ending", "blank"] = "answer", first: Literal[0, 1] = 0
) -> pa.Table:
    """Write a question with its options and the correct answer as one text.

    The source must put these fields into `meta`: `options`, a list (or `option1`, `option2` and so on), `answer`, a
    letter or a number, and, if `text` is a passage, `question`.

    form   answer: the passage, the question, its options A, B and so on, and the correct option again (ARC, RACE,
           OpenBookQA, MMLU). ending: the text followed by the correct option (HellaSwag). blank: the text with the
           correct option in place of its `_` (WinoGrande).
    first  number of the first option, if the answer is a number.

    Reads: text, meta
    Changes: text
    Reasons: no_answer
    """
    pairs = zip(docs["text"].to_pylist(), docs["meta"].to_pylist(), strict=True)
    made = [_write(text or "", meta, form, first) for text, meta in pairs]
    kept = [old if new is None else whole(new) for new, old in zip(made, docs["text"].to_pylist(), strict=True)]
    docs = set_column(docs, "text", pa.array(kept, pa.string()))
    return reject(docs, no_answer=pa.array([new is None for new in made], pa.bool_()))


def _write(text: str, meta: str | None, form: str, first: int) -> str | None:
    fields = _object(meta)
    options = fields.get("options") or [fields[name] for name in sorted(fields) if name.startswith("option")]
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        return None
    place = _place(fields.get("answer"), first)
    if place is None or not 0 <= place < len(options):
        return None
    right = options[place].strip()
    if form == "ending":
        return f"{text.rstrip()} {right}"
    if form == "blank":
        return text.replace("_", right, 1)
    question = fields.get("question")
    lines = [text.strip(), *([question.strip()] if isinstance(question, str) else []), ""]
    lines += [f"{chr(ord('A') + number)}. {option.strip()}" for number, option in enumerate(options)]
    return "\n".join([*lines, "", f"Answer: {chr(ord('A') + place)}. {right}"])


def _object(meta: str | None) -> dict:
    try:
        found = json.loads(meta or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _place(answer, first: int) -> int | None:
    """The place of the right option, from 0: of `B`, `b`, `2` or 2."""
    word = str(answer).strip()
    if word.isascii() and word.isdigit():
        return int(word[:9]) - first
    return ord(word.upper()) - ord("A") if len(word) == 1 and word.isascii() and word.isalpha() else None
