"""Check the final answers of reasoning traces."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.base.messages import answer
from curate.base.parameters import NotTruth
from curate.errors import CurateError
from curate.sources.layouts import as_string, find
from curate.stage_api import reject, set_column, stage
from curate.stages import _math_answers as answers
from curate.stages._math_process import DIFFERENT, EQUAL, compared

Seconds = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False), NotTruth]
Length = Annotated[int, Field(ge=1, le=5000), NotTruth]

_END = 20_000
"""Characters at the end of a text that a `regex` searches: RE2 may read all the rest of them for each match."""

_MARKS = ("\ufdd0", "\ufdd1")
"""Put around the matches of a `regex`: noncharacters, which Unicode reserves for internal use."""


@dataclass(frozen=True)
class Verdict:
    """The result for one trace. verified: None if nothing can be said, because of `problem`."""

    verified: bool | None
    final: str | None
    gold: str | None
    problem: str | None = None


def _packages(**_) -> tuple[str, ...]:
    if find_spec("math_verify") is None:
        raise CurateError("math-verify is not installed", fix='pip install "curate-corpus[math]"')
    return ("latex2sympy2_extended", "math-verify", "sympy")


def _columns(gold: str) -> list[str]:
    """The columns that hold the gold answer."""
    return list(dict.fromkeys(place.partition(".")[0] for place in gold.split("|")))


@stage(
    version=1,
    packages=_packages,
    reads_from=lambda gold, **_: tuple(dict.fromkeys(["text", "messages", *_columns(gold)])),
    dry=True,
)
def verify_math(
    docs: pa.Table,
    *,
    gold: Annotated[str, Field(min_length=1)] = "meta.answer",
    regex: Annotated[str, Field(min_length=1)] | None = None,
    mode: Literal["reject", "mark"] = "reject",
    max_seconds: Seconds = 5.0,
    max_chars: Length = 1000,
) -> pa.Table:
    """Check the final answers of reasoning traces against gold answers, and reject traces with a wrong one.

    gold         where the gold answer is: a column, or a field of one such as `meta.answer`. A number with or without a
                 unit, LaTeX, or a whole solution, from which the final answer is extracted too
    regex        finds the final answer instead of the rules below: an RE2 pattern. The last match in the last 20,000
                 characters counts, or its first group if it has one
    mode         `mark` adds the columns and keeps every document
    max_seconds  limit of CPU time for a comparison; a slower one is `unverifiable`
    max_chars    longest answer to compare; a longer one is `unverifiable`

    The final answer is looked for in the assistant's last message (or in the text, if there are no messages), outside
    of `<think>...</think>`: the last `\\boxed{}`, else what is announced last (`The answer is 5`, `Final Answer: 5`,
    `#### 5`, or `A: 5` on the last line), else the whole text if it is just a number or a formula.

    Currencies, units and thousands separators are ignored. Identical answers and plain numbers are compared directly,
    all others by math-verify (Hugging Face), by value: 1/2 equals 0.5, and 50% equals both 50 and 0.5. math-verify runs
    in a separate process with limits, so no answer can hang or crash a run.

    `verified` is null if `unverifiable` says why there is no verdict: no gold answer, or an answer that is too long,
    too deeply nested, too slow to compare, or not math. Answers in the columns are cut off after `max_chars`.

    Reads: text, messages, meta
    Adds: verified (bool), final_answer (string), gold_answer (string), unverifiable (string)
    Reasons: wrong_answer, no_final_answer, unverifiable
    """
    _packages()
    traces = [answers.without_thinking(text or "") for text in answer(docs).to_pylist()]
    finals = _matches(traces, regex) if regex else list(map(answers.final_answer, traces))
    golds = [_gold(find(row, gold)) for row in docs.select(_columns(gold)).to_pylist()]
    verdicts = [_verdict(*pair, max_seconds, max_chars) for pair in zip(golds, finals, strict=True)]
    columns = {
        "verified": pa.array([one.verified for one in verdicts], pa.bool_()),
        "final_answer": pa.array([_cut(one.final, max_chars) for one in verdicts], pa.string()),
        "gold_answer": pa.array([_cut(one.gold, max_chars) for one in verdicts], pa.string()),
        "unverifiable": pa.array([one.problem for one in verdicts], pa.string()),
    }
    for name, column in columns.items():
        docs = set_column(docs, name, column)
    if mode == "mark":
        return docs
    return reject(
        docs,
        unverifiable=columns["unverifiable"].is_valid(),
        no_final_answer=columns["final_answer"].is_null(),
        wrong_answer=pc.invert(columns["verified"]),
    )


def _verdict(gold: str | None, final: str | None, max_seconds: float, max_chars: int) -> Verdict:
    if gold is None:
        return Verdict(None, final, gold, "no gold answer")
    if final is None:
        return Verdict(False, final, gold)
    pair = {"gold": gold, "final": final}
    for name, text in pair.items():
        if len(text) > max_chars:
            return Verdict(None, final, gold, f"the {name} answer has more than {max_chars:,} characters")
        pair[name] = answers.reduced(text)
        depth = answers.depth(pair[name])
        if depth < 0:
            return Verdict(None, final, gold, f"the {name} answer has unbalanced braces")
        if depth > answers.MAX_DEPTH:
            return Verdict(None, final, gold, f"the {name} answer is nested more than {answers.MAX_DEPTH} levels deep")
    equal = answers.same(*pair.values())
    if equal is not None:
        return Verdict(equal, final, gold)
    found = compared(*pair.values(), max_seconds)
    return Verdict(found == EQUAL, final, gold) if found in (EQUAL, DIFFERENT) else Verdict(None, final, gold, found)


def _gold(value: Any) -> str | None:
    """The gold answer in a value: the final answer of a solution, else all of it. None if it is no text or number."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or isinstance(value, list | dict | bool | bytes):
        return None
    text = answers.without_thinking(as_string(value) or "")
    return answers.final_answer(text) or text.strip() or None


def _matches(texts: list[str], regex: str) -> list[str | None]:
    """The last match of a regex at the end of each text that is not blank, or None.

    Raises CurateError if it is not a pattern of RE2.
    """
    marked = pa.array(["", *(text[-_END:] for text in texts)], pa.string())  # without a text RE2 checks no pattern
    for mark in _MARKS:
        marked = pc.replace_substring(marked, mark, " ")
    for group in ("\\1", "\\0"):  # without a first group RE2 refuses the first of these
        try:
            marked = pc.replace_substring_regex(marked, regex, group.join(_MARKS))
            return list(map(_last_marked, marked.to_pylist()[1:]))
        except pa.ArrowInvalid as error:
            problem = str(error)
    raise CurateError(f"not a regular expression of RE2: {problem}", "regex", "see github.com/google/re2/wiki/Syntax")


def _last_marked(text: str) -> str | None:
    opening, closing = _MARKS
    end = len(text)
    while (end := text.rfind(closing, 0, end)) >= 0:
        if found := text[text.rfind(opening, 0, end) + 1 : end].strip():
            return found
    return None


def _cut(text: str | None, most: int) -> str | None:
    return text if text is None or len(text) <= most else text[:most] + "…"
