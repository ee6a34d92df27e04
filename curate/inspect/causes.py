"""What caused a verdict: places of the text and of the URL, and signals against their thresholds."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import partial
from typing import Any

import pyarrow as pa

from curate.errors import CurateError
from curate.inspect.repeated_spans import (
    Span,
    in_characters,
    joined,
    pieces,
    repeated,
    repeated_n_grams,
    top_n_gram,
    words,
)
from curate.kernels.characters import TERMINAL, character_classes
from curate.stages import url_filter
from curate.stages._bounds import MEASURED, bounds_of, held, measured
from curate.stages._personal_data import KINDS
from curate.stages._secrets import SECRET
from curate.stages.code import GENERATED
from curate.stages.filter import columns_of

MOST = 1_000_000
"""Characters of a text in which causes are looked for."""

_LINES, _PARAGRAPHS = r"\n+", r"\n{2,}"
Finder = Callable[[str, dict[str, Any], dict[str, Any]], list[Span]]


@dataclass(frozen=True)
class Causes:
    """What caused a verdict.

    marks    (start, stop) in characters of the text, in order, none within another
    url      the same of the URL
    signals  {"signal", "value", "op", "limit", "parameter", "caused"}: a document is out if the value stands in
             relation `op` to the limit; what caused the verdict comes first. The limit of a rule in SQL is the rule
    """

    marks: list[Span] = field(default_factory=list)
    url: list[Span] = field(default_factory=list)
    signals: list[dict] = field(default_factory=list)


def causes(
    text: str | None, stage: str, params: dict[str, Any], reason: str | None, evidence: dict[str, Any]
) -> Causes:
    """What made a stage give a reason.

    text      as the stage saw it; None where it is not at hand
    stage     its name, with its parameters
    reason    without the stage's label; None for a document that the stage kept, of which only signals are told
    evidence  columns of the document: what stages computed, `url`, and `kept_text`, that of the document it is a
              duplicate of

    Where a file that the stage needs is not at hand, what depends on it is left out.
    """
    text = text[:MOST] if text is not None else None
    found = Causes(signals=_signals(text, stage, params, reason, evidence))
    if reason is None:
        return found
    marks, url = [], []
    with suppress(CurateError):
        if text is not None and (finder := _FINDERS.get((stage, reason)) or _FINDERS.get((stage, ""))):
            marks = joined([span for span in finder(text, params, evidence | {"reason": reason}) if span[0] < span[1]])
        if evidence.get("url") and (stage == "url_filter" or reason == "duplicate_url"):
            url = _of_url(evidence["url"], params, reason)
    return Causes(marks, url, found.signals)


def _signals(text: str | None, stage: str, params: dict, reason: str | None, evidence: dict[str, Any]) -> list[dict]:
    bounds = bounds_of(stage, params)
    values = {} if stage in MEASURED else dict(evidence)  # another stage may have computed them otherwise
    missing = [bound for bound in bounds if bound.signal not in values]
    if missing and text is not None:
        values |= {name: value[0].as_py() for name, value in measured(_column(text), stage, params, missing).items()}
    told = held(bounds, params, values, reason)
    for signal, op, parameter in _SHARES.get(stage, ()):
        if evidence.get(signal) is not None and params.get(parameter) is not None:
            told.append(_told(signal, evidence[signal], op, params[parameter], parameter, True))
    if stage == "filter" and reason in params:
        with suppress(CurateError):
            columns = columns_of(**{reason: params[reason]})
            told += [_told(name, evidence.get(name), "in", params[reason], reason, True) for name in columns]
    return told


_SHARES = {"decontaminate": (("contamination_share", ">=", "share"),)}


def _told(signal: str, value: Any, op: str, limit: Any, parameter: str, caused: bool) -> dict:
    named = {"signal": signal, "value": value, "op": op, "limit": limit}
    return named | {"parameter": parameter, "caused": caused}


def _column(text: str) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([text], pa.string())])


def _pattern(pattern: str, flags: int = 0) -> Finder:
    compiled = re.compile(pattern, flags)
    return lambda text, params, evidence: [found.span() for found in compiled.finditer(text)]


def _lines(text: str, which: Callable[[str], bool]) -> list[Span]:
    return [span for span in pieces(text, r"\n") if which(text[span[0] : span[1]])]


def _is_terminal(line: str) -> bool:
    return bool(character_classes()[ord(line[-1])] & TERMINAL)


def _of_words(which: Callable[[str, dict], bool]) -> Finder:
    return lambda text, params, _: [span for span in words(text) if which(text[span[0] : span[1]], params)]


def _longer(word: str, params: dict) -> bool:
    return len(word) > params["max_mean_word_length"]


def _personal(text: str, params: dict, evidence: dict) -> list[Span]:
    kind = KINDS[evidence["reason"]]
    sizes = ((found.start(), getattr(kind, params["preset"])(found)) for found in kind.pattern.finditer(text))
    return [(start, start + size) for start, size in sizes if size]


def _passage(text: str, params: dict, evidence: dict) -> list[Span]:
    """Where the passage stands that an evaluation set has too: as it is, or else its words in their order."""
    passage = evidence.get("contamination_ngram") or ""
    at = text.find(passage) if passage else -1
    if at >= 0:
        return [(at, at + len(passage))]
    parts = re.findall(r"\w+", passage)
    found = re.search(r"\W+".join(map(re.escape, parts)), text, re.IGNORECASE) if parts else None
    return [found.span()] if found else []


def _shared(text: str, params: dict, evidence: dict) -> list[Span]:
    """The runs of two words and more that the kept document has too."""
    other = evidence.get("kept_text")
    if other is None:
        return []
    at = [found.span() for found in re.finditer(r"\S+", text)][:_COMPARED]
    mine = [text[start:stop] for start, stop in at]
    blocks = SequenceMatcher(None, mine, other.split()[:_COMPARED], autojunk=False).get_matching_blocks()
    return [(at[block.a][0], at[block.a + block.size - 1][1]) for block in blocks if block.size > 1]


_COMPARED = 2000
"""Words of two texts that are compared."""


def _passages(text: str, params: dict, evidence: dict) -> list[Span]:
    said = evidence.get("repeated_passages")
    return in_characters(text, [(one["start"], one["stop"]) for one in json.loads(said)]) if said else []


def _phrases(text: str, params: dict, evidence: dict) -> list[Span]:
    quoted = "|".join(re.escape(phrase).replace("'", "['’]") for phrase in params["phrases"])
    return [found.span() for found in re.finditer(quoted, text, re.IGNORECASE)] if quoted else []


def _longest_line(text: str, params: dict, evidence: dict) -> list[Span]:
    return [max(pieces(text, r"\n"), key=lambda span: span[1] - span[0], default=(0, 0))]


def _short(text: str, params: dict, evidence: dict) -> list[Span]:
    return _lines(text, lambda line: len(line) <= params["short_line"])


def _stop_words(text: str, params: dict, evidence: dict) -> list[Span]:
    return [span for span in words(text) if text[span[0] : span[1]] in params["stop_words"]]


def _of_url(url: str, params: dict, reason: str) -> list[Span]:
    if reason == "duplicate_url":
        return [(0, len(url))]
    found = url_filter.matched(url, reason, **params)
    spans = (re.search(re.escape(one), url, re.IGNORECASE) for one in found)
    return joined([span.span() for span in spans if span]) or [(0, len(url))]


def _finders() -> dict[tuple[str, str], Finder]:
    """{(stage, reason): what finds the places of the text}; "" for any reason of the stage."""
    found: dict[tuple[str, str], Finder] = {
        ("gopher_quality", "too_many_hashes"): _pattern("#"),
        ("gopher_quality", "too_many_ellipses"): _pattern(r"\.\.\.|…"),
        ("gopher_quality", "long_words"): _of_words(_longer),
        ("gopher_quality", "too_few_letters"): _of_words(lambda word, _: not any(map(str.isalpha, word))),
        ("gopher_quality", "too_few_stop_words"): _stop_words,
        ("dclm_heuristics", "too_many_symbols"): _pattern(r"#|\.\.\.|\. \. \.|…"),
        ("dclm_heuristics", "long_words"): _of_words(_longer),
        ("dclm_heuristics", "letterless_words"): _of_words(lambda word, _: not any(map(str.isalpha, word))),
        ("fineweb", "few_terminal_lines"): lambda text, *_: _lines(text, lambda line: not _is_terminal(line)),
        ("fineweb", "short_lines"): _short,
        ("fineweb", "duplicate_line_characters"): lambda text, *_: repeated(text, r"\n"),
        ("c4", "lorem_ipsum"): _pattern("lorem ipsum", re.IGNORECASE),
        ("c4", "curly_bracket"): _pattern("{"),
        ("code", "secret"): lambda text, *_: [one.span() for one in SECRET.finditer(text)],
        ("code", "generated"): lambda text, *_: [one.span() for one in [re.search(GENERATED, text)] if one],
        ("code", "long_line"): _longest_line,
        ("conversation", "phrase"): _phrases,
        ("conversation", "unbalanced_think"): _pattern("</?think>"),
        ("conversation", "cut_answer"): _pattern(r"(?m)^[ \t]*(?:```|~~~)"),
        ("decontaminate", ""): _passage,
        ("near_dedup", ""): _shared,
        ("substring_dedup", ""): _passages,
    }
    found |= {("pii", kind): _personal for kind in KINDS}
    for stage, copies in (("gopher_repetition", False), ("dclm_heuristics", True)):
        for name, separator in (("line", _LINES), ("paragraph", _PARAGRAPHS)):
            finder = partial(_repeated, separator=separator, copies=copies)
            found |= dict.fromkeys([(stage, f"duplicate_{name}s"), (stage, f"duplicate_{name}_characters")], finder)
        found |= {(stage, f"top_{n}_gram"): partial(_grams, find=top_n_gram, n=n) for n in (2, 3, 4)}
        found |= {(stage, f"duplicate_{n}_grams"): partial(_grams, find=repeated_n_grams, n=n) for n in range(5, 11)}
    for stage in ("gopher_quality", "dclm_heuristics"):
        found[stage, "bullet_lines"] = lambda text, *_: _lines(text, lambda line: line[0] in "•-●*")
        found[stage, "ellipsis_lines"] = lambda text, *_: _lines(
            text, lambda line: line.endswith(("...", "…", ". . ."))
        )
    return found


def _repeated(text: str, params: dict, evidence: dict, *, separator: str, copies: bool) -> list[Span]:
    return repeated(text, separator, copies)


def _grams(text: str, params: dict, evidence: dict, *, find: Callable[[str, int], list[Span]], n: int) -> list[Span]:
    return find(text, n)


_FINDERS = _finders()
