"""The thresholds of stages: which signal, held against which parameter, gives which reason."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import CurateError, did_you_mean
from curate.stage_api import find_stage
from curate.stages._signals import measure

Op = Literal["<", ">", ">="]
_COMPARE = {"<": pc.less, ">": pc.greater, ">=": pc.greater_equal}


class Bound(NamedTuple):
    """A document is out for `reason` if its signal stands in relation `op` to a parameter.

    parameter  its name; of a list `name.0`, by its place
    """

    reason: str
    signal: str
    op: Op
    parameter: str

    def limit(self, params: dict[str, Any]) -> float | None:
        """The value of the parameter; None where the rule is off."""
        name, _, place = self.parameter.partition(".")
        value = params.get(name)
        return value[int(place)] if place and isinstance(value, list | tuple) else value

    def broken(self, values: pa.Array | pa.ChunkedArray, limit: float | None) -> pa.Array | pa.ChunkedArray:
        """Which values are out: bool[values], false for null. A limit counts as the type of the values has it, as
        stages compare."""
        if limit is None:
            return pa.array(np.zeros(len(values), bool))
        if pa.types.is_floating(values.type):
            return pc.fill_null(_COMPARE[self.op](values, pa.scalar(limit, values.type)), False)
        return pc.fill_null(_COMPARE[self.op](values, pa.scalar(limit)), False)


def _each(*rows: tuple[str, str, Op, str]) -> tuple[Bound, ...]:
    return tuple(Bound(*row) for row in rows)


def _n_grams(prefix: str) -> tuple[Bound, ...]:
    """Of the most frequent 2- to 4-grams, and of repeated 5- to 10-grams."""
    tops = [(f"top_{n}_gram", f"{prefix}top_{n}_gram_character_ratio", n - 2) for n in (2, 3, 4)]
    repeats = [(f"duplicate_{n}_grams", f"{prefix}duplicate_{n}_gram_character_share", n - 5) for n in range(5, 11)]
    named = [("max_top_n_grams", one) for one in tops] + [("max_duplicate_n_grams", one) for one in repeats]
    return tuple(Bound(reason, signal, ">", f"{name}.{place}") for name, (reason, signal, place) in named)


_BOUNDS: dict[str, tuple[Bound, ...]] = {
    "length": _each(
        ("too_short", "n_chars", "<", "min_chars"),
        ("too_long", "n_chars", ">", "max_chars"),
        ("too_few_words", "n_words", "<", "min_words"),
        ("too_many_words", "n_words", ">", "max_words"),
    ),
    "gopher_quality": _each(
        ("too_few_words", "n_words", "<", "min_words"),
        ("too_many_words", "n_words", ">", "max_words"),
        ("short_words", "mean_word_length", "<", "min_mean_word_length"),
        ("long_words", "mean_word_length", ">", "max_mean_word_length"),
        ("too_many_hashes", "hash_ratio", ">", "max_symbol_ratio"),
        ("too_many_ellipses", "ellipsis_ratio", ">", "max_symbol_ratio"),
        ("bullet_lines", "bullet_line_share", ">", "max_bullet_lines"),
        ("ellipsis_lines", "ellipsis_line_share", ">", "max_ellipsis_lines"),
        ("too_few_letters", "letter_word_share", "<", "min_letter_words"),
        ("too_few_stop_words", "n_stop_words", "<", "min_stop_words"),
    ),
    "gopher_repetition": (
        *_each(
            ("duplicate_paragraphs", "duplicate_paragraph_share", ">", "max_duplicate_paragraphs"),
            (
                "duplicate_paragraph_characters",
                "duplicate_paragraph_character_share",
                ">",
                "max_duplicate_paragraph_characters",
            ),
            ("duplicate_lines", "duplicate_line_share", ">", "max_duplicate_lines"),
            ("duplicate_line_characters", "duplicate_line_character_share", ">", "max_duplicate_line_characters"),
        ),
        *_n_grams(""),
    ),
    "fineweb": _each(
        ("few_terminal_lines", "terminal_line_share", "<", "min_terminal_lines"),
        ("short_lines", "short_line_share", ">", "max_short_lines"),
        (
            "duplicate_line_characters",
            "duplicate_newline_line_character_share",
            ">",
            "max_duplicate_line_characters",
        ),
        ("list", "newline_ratio", ">", "max_newline_ratio"),
    ),
    "dclm_heuristics": (
        *_each(
            ("too_few_words", "previous_word_count", "<", "min_words"),
            ("too_many_words", "previous_word_count", ">", "max_words"),
            ("short_words", "dclm_mean_word_length", "<", "min_mean_word_length"),
            ("long_words", "dclm_mean_word_length", ">", "max_mean_word_length"),
            ("too_many_symbols", "dclm_symbol_ratio", ">", "max_symbol_ratio"),
            ("bullet_lines", "dclm_bullet_line_share", ">", "max_bullet_lines"),
            ("ellipsis_lines", "dclm_ellipsis_line_share", ">", "max_ellipsis_lines"),
            ("letterless_words", "dclm_letterless_word_share", ">", "max_letterless_words"),
            ("too_few_stop_words", "dclm_n_stop_words", "<", "min_stop_words"),
            ("duplicate_lines", "dclm_duplicate_line_share", ">", "max_duplicate_lines"),
            ("duplicate_paragraphs", "dclm_duplicate_paragraph_share", ">", "max_duplicate_paragraphs"),
            (
                "duplicate_line_characters",
                "dclm_duplicate_line_character_share",
                ">",
                "max_duplicate_line_characters",
            ),
            (
                "duplicate_paragraph_characters",
                "dclm_duplicate_paragraph_character_share",
                ">",
                "max_duplicate_paragraph_characters",
            ),
        ),
        *_n_grams("dclm_"),
    ),
    "code": _each(
        ("long_line", "max_line_length", ">", "max_line_length"),
        ("long_lines", "mean_line_length", ">", "max_mean_line_length"),
        ("few_alphanumeric", "alphanumeric_share", "<", "min_alphanumeric"),
    ),
    "conversation": _each(
        ("too_few_turns", "n_turns", "<", "min_turns"),
        ("too_many_turns", "n_turns", ">", "max_turns"),
        ("phrase", "n_phrases", ">", "max_phrases"),
    ),
    "language": _each(("low_score", "language_score", "<", "min_score")),
    "quality": _each(("low_quality", "quality", "<", "min_score")),
    "near_dedup": _each(("near_duplicate", "similarity", ">=", "threshold")),
}

MEASURED = {
    "gopher_quality": ("stop_words",),
    "gopher_repetition": (),
    "fineweb": ("short_line",),
    "dclm_heuristics": (),
}
"""{stage: parameters that affect its signals}, of stages that measure signals and keep none of them as columns."""


def bounds_of(stage: str, params: dict[str, Any]) -> tuple[Bound, ...]:
    """The thresholds of a stage, in the order in which they give reasons; none of a stage that has none."""
    found = _BOUNDS.get(stage, ())
    models = params.get("model")
    if stage == "quality" and isinstance(models, dict):
        return tuple(found[0]._replace(signal=column) for column in models)
    return found


def find_bound(labels: dict[str, tuple[str, dict]], asked: str) -> tuple[str, Bound]:
    """The label of a stage and its threshold, of `STAGE.PARAMETER`.

    labels  {label: (stage, parameters)} of all stages that there are

    Raises CurateError for what is no threshold of these stages.
    """
    known = {
        f"{label}.{bound.parameter}": (label, bound)
        for label, (stage, params) in labels.items()
        for bound in bounds_of(stage, params)
    }
    by_reason = {f"{label}.{bound.reason}": (label, bound) for label, bound in known.values()}
    if asked not in known and asked not in by_reason:
        fix = did_you_mean(asked, known) if known else "none of these stages has a threshold"
        raise CurateError(f"`{asked}` is not a threshold of these stages", fix=fix)
    return known.get(asked) or by_reason[asked]


def measured(text: pa.ChunkedArray, stage: str, params: dict[str, Any], only: Iterable[Bound] = ()) -> dict[str, Any]:
    """{signal: values} that a stage holds against its thresholds, of texts as it saw them; of those that take nothing
    but the text.

    only  thresholds whose signals are wanted; none: all
    """
    wanted = {bound.signal for bound in only or bounds_of(stage, params)}
    if stage == "length" or (stage == "dclm_heuristics" and "previous_word_count" in wanted):
        docs = find_stage(stage).function(pa.table({"text": text}), **params)
        found = {name: docs[name] for name in wanted & {*docs.column_names}}
        wanted -= found.keys()
    else:
        found = {}
    if stage in MEASURED and wanted:
        if stage == "dclm_heuristics":
            most = params["max_newlines"]
            text = pc.replace_substring_regex(text, rf"\n{{{most + 1},}}", "\n" * most)
        found |= measure(text, wanted, **{name: params[name] for name in MEASURED[stage]})
    return found


def held(bounds: Sequence[Bound], params: dict[str, Any], values: dict[str, Any], reason: str | None) -> list[dict]:
    """One document's signals against their thresholds: {"signal", "value", "op", "limit", "parameter", "caused"}.

    values  {signal: its value}; reason: why the document is out, of the same stage. Only thresholds that are set and
            whose signal is known are returned, the one that was the cause first.
    """
    found = [
        {
            "signal": bound.signal,
            "value": values[bound.signal],
            "op": bound.op,
            "limit": bound.limit(params),
            "parameter": bound.parameter,
            "caused": bound.reason == reason,
        }
        for bound in bounds
        if values.get(bound.signal) is not None and bound.limit(params) is not None
    ]
    return sorted(found, key=lambda one: not one["caused"])
