"""All heuristic signals of texts in one call, and the table that defines them.

Every value is finite and in its range for any bytes: a quotient over nothing is 0. *Words and marks* are the
spans that a caller gives; how they are cut decides what a word is. *Plain words* are those of ``str.split``,
*lines* those of ``str.splitlines``; *newline lines* lie between newlines and hold more than white space.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np

from curate.kernels.characters import character_classes
from curate.kernels.counts import COUNTS, SIGNS, count_characters, count_signs
from curate.kernels.hash_table import append
from curate.kernels.lines import LINES, PLAIN_LINES, count_lines
from curate.kernels.repetition import N_GRAMS, SEGMENTS, count_n_grams, count_segments

GOPHER_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
SHORT_LINE = 30  # characters: FineWeb's longest short line


class Signal(NamedTuple):
    """One column: ``count`` over ``over``, or ``count`` alone: names of counters, to be added up."""

    source: str
    name: str
    unit: str
    definition: str
    count: str
    over: str | None = None

    @property
    def dtype(self) -> np.dtype:
        """int64 for a number of things, float64 for a quotient."""
        return np.dtype(np.int64 if self.over is None else np.float64)

    @property
    def counters(self) -> list[str]:
        """Names of all counters that it is made of."""
        return [*self.count.split(), *([self.over] if self.over else [])]

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value; the largest of what has no bound is infinity."""
        return 0.0, 1.0 if self.unit.startswith("share of ") else np.inf


def _from(source: str, *rows: tuple[str, ...]) -> list[Signal]:
    return [Signal(source, *row) for row in rows]


_CHARACTERS, _SPANS, _LINES = "share of characters", "share of words and marks", "share of lines"
_NEWLINE_LINES, _PLAIN = "share of newline lines", "share of plain words"
_ALL = "signs.characters"

# fmt: off
SIGNALS: tuple[Signal, ...] = (
    *_from(
        "a plain count",
        ("n_characters", "characters", "code points; a malformed byte is one", _ALL),
        ("letter_share", _CHARACTERS, "str.isalpha", "text.letters", _ALL),
        ("digit_share", _CHARACTERS, "numbers of any script", "text.numerics", _ALL),
        ("upper_case_share", _CHARACTERS, "str.isupper", "text.upper", _ALL),
        ("punctuation_share", _CHARACTERS, "Unicode categories P", "text.punctuation", _ALL),
        ("white_space_share", _CHARACTERS, "str.isspace", "text.spaces", _ALL),
        ("n_lines", "lines", "of str.splitlines", "lines.lines"),
    ),
    *_from(
        "StarCoder (arXiv:2305.06161)",
        ("alphanumeric_share", _CHARACTERS, "str.isalnum", "text.alphanumerics", _ALL),
        ("max_line_length", "characters", "of the longest line", "lines.longest"),
        ("mean_line_length", "characters a line", "without line ends", "lines.characters", "lines.lines"),
    ),
    *_from(
        "Gopher (arXiv:2112.11446), as in datatrove",
        ("n_words", "words", "words and marks with a character that is no punctuation", "words.words"),
        ("n_words_and_marks", "words and marks", "all spans given", "words.spans"),
        ("mean_word_length", "characters a word", "of n_words", "words.word_characters", "words.words"),
        ("letter_word_share", _SPANS, "with a letter", "words.letter_spans", "words.spans"),
        ("n_stop_words", "stop words", "different ones present, as written", "words.stop_words"),
        ("hash_ratio", "signs a word or mark", "of #", "signs.hashes", "words.spans"),
        ("ellipsis_ratio", "signs a word or mark", "of ... and …", "signs.ellipses", "words.spans"),
        ("bullet_line_share", _LINES, "that begin with • or -", "lines.bullets", "lines.lines"),
        ("ellipsis_line_share", _LINES, "that end with ... or …", "lines.ellipses", "lines.lines"),
        ("n_paragraphs", "paragraphs", "between runs of newlines, not blank", "paragraphs.filled"),
        ("duplicate_line_share", _LINES, "between runs of newlines, equal to an earlier one",
         "newline_lines.repeats", "newline_lines.segments"),
        ("duplicate_line_character_share", _CHARACTERS, "in such lines equal to an earlier one",
         "newline_lines.repeat_characters", _ALL),
        ("duplicate_paragraph_share", "share of paragraphs", "equal to an earlier one",
         "paragraphs.repeats", "paragraphs.segments"),
        ("duplicate_paragraph_character_share", _CHARACTERS, "in paragraphs equal to an earlier one",
         "paragraphs.repeat_characters", _ALL),
        *((f"top_{n}_gram_character_ratio", "characters a character",
           f"length of the most frequent {n}-gram of words and marks, spaces between, the first of equals,"
           " times how often it comes, overlapping or not", f"words.top.{n - 2}", _ALL)
          for n in (2, 3, 4)),
        *((f"duplicate_{n}_gram_character_share", _CHARACTERS,
           f"in {n}-grams of words and marks that came before, taken from left to right without overlap",
           f"words.repeated.{n - 5}", _ALL)
          for n in range(5, 11)),
    ),
    *_from(
        "C4 (arXiv:1910.10683), as in datatrove",
        ("n_lorem_ipsum_lines", "lines", "with lorem ipsum", "lines.lorem_ipsum"),
        ("n_curly_bracket_lines", "lines", "with {", "lines.curly"),
        ("n_javascript_lines", "lines", "with javascript", "lines.javascript"),
        ("n_policy_lines", "lines", "with terms of use, privacy policy, cookie policy, uses cookies, use of"
         " cookies or use cookies", "lines.policy"),
        ("n_long_word_lines", "lines", "with a plain word of over 1000 characters", "lines.long_word"),
        ("n_few_word_lines", "lines", "of fewer than 3 plain words", "lines.few_words"),
        *((f"{prefix}_{name}", unit, f"{definition} after the line rules{rules}", f"lines.{kind}_{count}")
          for prefix, kind, rules in (("c4", "terminal", ""), ("c4_any_end", "any", " but that on line ends"))
          for name, unit, definition, count in (
              ("n_lines", "lines", "left", "kept"),
              ("n_sentences", "sentences", "in the lines left, ended by a terminal mark of any script, alone"
               " or between words, where a word follows, or by the line; abbreviations are not known",
               "sentences"),
              ("n_lorem_ipsum_lines", "lines", "with lorem ipsum, left", "lorem_ipsum"),
              ("n_curly_bracket_lines", "lines", "with {, left", "curly"))),
    ),
    *_from(
        "FineWeb (arXiv:2406.17557), as in datatrove",
        ("newline_ratio", "newlines a word or mark", "of \\n", "signs.newlines", "words.spans"),
        ("n_newline_lines", "newline lines", "between newlines, not blank", "newline_lines.filled"),
        ("terminal_line_share", _NEWLINE_LINES, "whose last character is a terminal mark of any script",
         "newline_lines.terminal", "newline_lines.filled"),
        ("short_line_share", _NEWLINE_LINES, f"of at most {SHORT_LINE} characters, unless set otherwise",
         "newline_lines.short", "newline_lines.filled"),
        ("duplicate_newline_line_character_share", "share of characters but newlines",
         "in newline lines equal to an earlier one", "newline_lines.filled_repeat_characters", "signs.inline"),
    ),
    *_from(
        "DCLM (arXiv:2406.11794), its content filters",
        ("dclm_n_words", "words", "words and marks that begin with a letter or digit", "words.dclm_words"),
        ("dclm_n_plain_words", "plain words", "of str.split", "text.plain_words"),
        ("dclm_mean_word_length", "characters a plain word", "of str.split",
         "text.plain_word_characters", "text.plain_words"),
        ("dclm_symbol_ratio", "signs a plain word", "of #, ..., . . . and …",
         "signs.hashes signs.ellipses signs.spaced_ellipses", "text.plain_words"),
        ("dclm_letterless_word_share", _PLAIN, "without a letter",
         "text.plain_letterless_words", "text.plain_words"),
        ("dclm_n_stop_words", "plain words", "that are stop words, ASCII's capitals made small, all counted",
         "text.plain_stop_words"),
        ("dclm_bullet_line_share", _NEWLINE_LINES, "that begin with one of ●•*-",
         "newline_lines.bullets", "newline_lines.filled"),
        ("dclm_ellipsis_line_share", _NEWLINE_LINES, "that end with ..., . . . or …",
         "newline_lines.ellipses", "newline_lines.filled"),
        *((f"dclm_duplicate_{name}_{what}", f"share of {of}{label}",
           "stripped, that have an equal, all copies counted", f"{group}.{count}", f"{group}.{over}")
          for name, group, label in (
              ("line", "newline_lines", "newline lines"), ("paragraph", "paragraphs", "paragraphs"))
          for what, of, count, over in (
              ("share", "", "copies", "filled"),
              ("character_share", "characters of ", "copy_characters", "characters"))),
        *((f"dclm_top_{n}_gram_character_ratio", "characters a character of dclm_n_words",
           f"length of the most frequent {n}-gram of these words, the longest of equals, times how often it"
           " comes; 0 if none comes twice", f"words.dclm_top.{n - 2}", "words.dclm_characters")
          for n in (2, 3, 4)),
        *((f"dclm_duplicate_{n}_gram_character_share", "share of characters of dclm_n_words",
           f"of words in an {n}-gram that comes twice or more",
           f"words.dclm_covered.{n - 5}", "words.dclm_characters")
          for n in range(5, 11)),
    ),
)
# fmt: on
"""The definition of every column of ``signals``, in its order."""


def stop_word_hashes(words: Iterable[str] = GOPHER_STOP_WORDS) -> np.ndarray:
    """Hashes of stop words for ``signals``: uint64[number of different words]."""
    encoded = (np.frombuffer(word.encode(), np.uint8) for word in sorted(set(words)))
    return np.array([append(np.uint64(0), word, 0, len(word)) for word in encoded], np.uint64)


def signals(
    data: np.ndarray,
    offsets: np.ndarray,
    word_starts: np.ndarray,
    word_ends: np.ndarray,
    word_offsets: np.ndarray,
    stop_hashes: np.ndarray,
    *,
    short_line: int = SHORT_LINE,
    only: Collection[str] | None = None,
) -> dict[str, np.ndarray]:
    """Signals of every document: name -> int64 or float64[docs], as ``SIGNALS`` says and in its order.

    ``data`` and ``offsets`` are the texts; the words of document ``i`` are the bytes ``word_starts[k]`` to
    ``word_ends[k]`` of ``data`` for ``k`` from ``word_offsets[i]`` to ``word_offsets[i + 1]``, in the order
    of the text, apart from each other and inside it, whatever a word may be. ``stop_hashes`` comes from
    ``stop_word_hashes``. ``only`` names the signals wanted: what these do not need is not counted. Linear in
    the bytes.
    """
    docs = len(offsets) - 1
    classes = character_classes()
    wanted = [signal for signal in SIGNALS if only is None or signal.name in only]
    needed = {tuple(path.split(".")[:2]) for signal in wanted for path in signal.counters}
    groups = {group for group, _ in needed}
    counters = {
        "signs": np.zeros(docs, SIGNS),
        "text": np.zeros(docs, COUNTS),
        "words": np.zeros(docs, N_GRAMS),
        "lines": np.zeros(docs, LINES),
        "newline_lines": np.zeros(docs, SEGMENTS),
        "paragraphs": np.zeros(docs, SEGMENTS),
    }
    words = word_starts, word_ends, word_offsets
    if "signs" in groups:
        count_signs(data, offsets, counters["signs"])
    if "text" in groups:
        count_characters(data, offsets, stop_hashes, classes, counters["text"])
    if ("words", "spans") in needed:
        counters["words"]["spans"] = np.diff(word_offsets)
    if any(group == "words" for group, field in needed if field != "spans"):
        n_grams = ("words", "top") in needed or ("words", "repeated") in needed
        dclm = ("words", "dclm_top") in needed or ("words", "dclm_covered") in needed
        count_n_grams(data, *words, stop_hashes, classes, n_grams, dclm, counters["words"])
    if "lines" in groups:
        c4 = any(field not in PLAIN_LINES for group, field in needed if group == "lines")
        count_lines(data, offsets, *words, classes, c4, counters["lines"])
    if groups & {"newline_lines", "paragraphs"}:
        lines, paragraphs = counters["newline_lines"], counters["paragraphs"]
        count_segments(data, offsets, short_line, classes, lines, "paragraphs" in groups, paragraphs)
    return {signal.name: _value(signal, counters) for signal in wanted}


def _value(signal: Signal, counters: dict[str, np.ndarray]) -> np.ndarray:
    count = sum(_counter(path, counters) for path in signal.count.split())
    if signal.over is None:
        return count
    over = _counter(signal.over, counters)
    return np.divide(count, over, out=np.zeros(len(count)), where=over > 0)


def _counter(path: str, counters: dict[str, np.ndarray]) -> np.ndarray:
    """``words.top.0``: the first of the field ``top`` of the records ``words``."""
    group, field, *index = path.split(".")
    values = counters[group][field]
    return values[:, int(index[0])] if index else values.copy()
