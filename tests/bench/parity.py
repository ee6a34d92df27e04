"""Share of equal decisions, rule by rule, of the signals and datatrove's filters on real documents.

    python tests/bench/parity.py [--limit BYTES] [--data FOLDER] [--json]

Each rule of datatrove's Gopher, C4 and FineWeb filters is run alone, at its default threshold, and decided
from the signals three times: with this project's words alone, with its words and marks, and with datatrove's
own words (spaCy's) given, where nothing may differ. Needs the ``bench`` extra, spaCy, and the documents in
``../shared/data``.
"""

import argparse
import functools
import gzip
import json
import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from curate.kernels.characters import character_classes
from curate.kernels.marks import word_and_mark_spans
from curate.kernels.signals import signals, stop_word_hashes
from curate.kernels.words import word_spans

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

Values = dict[str, np.ndarray]


class Rule(NamedTuple):
    """A datatrove filter with one rule switched on, and the same decision, to reject, from the signals."""

    name: str
    make_filter: Callable
    rejects: Callable[[Values], np.ndarray]


def _compare(signal: str, compare: Callable, threshold: float) -> Callable[[Values], np.ndarray]:
    return lambda values: compare(values[signal], threshold)


def gopher_quality() -> Iterator[Rule]:
    from datatrove.pipeline.filters import GopherQualityFilter

    off = {
        "min_doc_words": None,
        "max_doc_words": None,
        "min_avg_word_length": None,
        "max_avg_word_length": None,
        "max_symbol_word_ratio": None,
        "max_bullet_lines_ratio": None,
        "max_ellipsis_lines_ratio": None,
        "max_non_alpha_words_ratio": None,
        "min_stop_words": None,
    }
    for parameter, threshold, signal, compare in (
        ("min_doc_words", 50, "n_words", operator.lt),
        ("max_doc_words", 100_000, "n_words", operator.gt),
        ("min_avg_word_length", 3, "mean_word_length", operator.lt),
        ("max_avg_word_length", 10, "mean_word_length", operator.gt),
        ("max_bullet_lines_ratio", 0.9, "bullet_line_share", operator.gt),
        ("max_ellipsis_lines_ratio", 0.3, "ellipsis_line_share", operator.gt),
        ("max_non_alpha_words_ratio", 0.8, "letter_word_share", operator.lt),
        ("min_stop_words", 2, "n_stop_words", operator.lt),
    ):
        make_filter = functools.partial(GopherQualityFilter, **off | {parameter: threshold})
        yield Rule(f"gopher_quality.{parameter}", make_filter, _compare(signal, compare, threshold))
    yield Rule(
        "gopher_quality.max_symbol_word_ratio",
        functools.partial(GopherQualityFilter, **off | {"max_symbol_word_ratio": 0.1}),
        lambda values: (values["hash_ratio"] > 0.1) | (values["ellipsis_ratio"] > 0.1),
    )


def gopher_repetition() -> Iterator[Rule]:
    from datatrove.pipeline.filters import GopherRepetitionFilter

    off = {
        "dup_line_frac": None,
        "dup_para_frac": None,
        "dup_line_char_frac": None,
        "dup_para_char_frac": None,
        "top_n_grams": (),
        "dup_n_grams": (),
    }

    def rule(name: str, switched_on: dict, signal: str, threshold: float) -> Rule:
        make_filter = functools.partial(GopherRepetitionFilter, **off | switched_on)
        return Rule(f"gopher_repetition.{name}", make_filter, _compare(signal, operator.gt, threshold))

    for name, signal, threshold in (
        ("dup_line_frac", "duplicate_line_share", 0.3),
        ("dup_para_frac", "duplicate_paragraph_share", 0.3),
        ("dup_line_char_frac", "duplicate_line_character_share", 0.2),
        ("dup_para_char_frac", "duplicate_paragraph_character_share", 0.2),
    ):
        yield rule(name, {name: threshold}, signal, threshold)
    for n, threshold in ((2, 0.2), (3, 0.18), (4, 0.16)):
        signal = f"top_{n}_gram_character_ratio"
        yield rule(f"top_{n}_gram", {"top_n_grams": ((n, threshold),)}, signal, threshold)
    for n, threshold in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)):
        signal = f"duplicate_{n}_gram_character_share"
        yield rule(f"dup_{n}_gram", {"dup_n_grams": ((n, threshold),)}, signal, threshold)


def c4() -> Iterator[Rule]:
    from datatrove.pipeline.filters import C4QualityFilter

    off = {"filter_lorem_ipsum": False, "filter_curly_bracket": False, "min_num_sentences": -1}
    for prefix, terminal in (("c4", True), ("c4_any_end", False)):
        base = off | {"filter_no_terminal_punct": terminal}
        for name, switched_on, signal, compare, threshold in (
            ("lorem_ipsum", {"filter_lorem_ipsum": True}, "n_lorem_ipsum_lines", operator.gt, 0),
            ("curly_bracket", {"filter_curly_bracket": True}, "n_curly_bracket_lines", operator.gt, 0),
            ("too_few_sentences", {"min_num_sentences": 5}, "n_sentences", operator.lt, 5),
        ):
            make_filter = functools.partial(C4QualityFilter, **base | switched_on)
            yield Rule(f"{prefix}.{name}", make_filter, _compare(f"{prefix}_{signal}", compare, threshold))


def fineweb() -> Iterator[Rule]:
    from datatrove.pipeline.filters import FineWebQualityFilter

    off = {
        "line_punct_thr": -1.0,
        "short_line_thr": float("inf"),
        "char_duplicates_ratio": float("inf"),
        "new_line_ratio": float("inf"),
    }
    for name, threshold, signal, compare in (
        ("line_punct_thr", 0.12, "terminal_line_share", operator.lt),
        ("short_line_thr", 0.67, "short_line_share", operator.gt),
        ("char_duplicates_ratio", 0.01, "duplicate_newline_line_character_share", operator.gt),
        ("new_line_ratio", 0.3, "newline_ratio", operator.gt),
    ):
        make_filter = functools.partial(FineWebQualityFilter, **off | {name: threshold})
        yield Rule(f"fineweb.{name}", make_filter, _compare(signal, compare, threshold))


def crawl_texts(path: Path) -> Iterator[str]:
    """Main content of the pages of a WARC."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import detect_encoding
    from resiliparse.parse.html import HTMLTree

    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            body = record.reader.read()
            tree = HTMLTree.parse_from_bytes(body, detect_encoding(body))
            yield extract_plain_text(tree, main_content=True)


def row_texts(path: Path) -> Iterator[str]:
    """Texts of a file of rows: its ``text`` or ``content``, or all its strings, one a line."""
    content = path.read_bytes()
    content = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    if path.suffix == ".txt":
        yield from content.split("\n\n\n")
        return
    rows = json.loads(content) if content.startswith("[") else map(json.loads, content.splitlines())
    for row in rows:
        text = row.get("text") or row.get("content")
        yield text if isinstance(text, str) else "\n".join(v for v in row.values() if isinstance(v, str))


def documents(data: Path, limit: int) -> list[str]:
    """Real texts, at most ``limit`` bytes of each file. Those without a letter or digit are left out: the
    mean length of no words is not a number to datatrove, which no threshold rejects, and 0 here."""
    texts = []
    rows = sorted(path for path in (data / "rows").rglob("*") if path.is_file())
    for path in [data / "crawl" / "web-a.warc.gz", *rows]:
        left = limit
        for text in crawl_texts(path) if ".warc" in path.name else row_texts(path):
            left -= len(text.encode())
            if left < 0:
                break
            if any(map(str.isalnum, text)):
                texts.append(text)
    return texts


def pack(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)])
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


def datatrove_spans(texts: list[str], offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Byte positions of datatrove's words, as ``word_spans`` gives its own."""
    from datatrove.utils.text import split_into_words

    starts, ends, counts = [], [], [0]
    for text, offset in zip(texts, offsets, strict=False):
        to_byte = offset + np.cumsum([0, *(len(character.encode()) for character in text)])
        position = 0
        words = split_into_words(text)
        for word in words:
            position = text.index(word, position)
            starts.append(to_byte[position])
            position += len(word)
            ends.append(to_byte[position])
        counts.append(len(words))
    return np.array(starts, np.int64), np.array(ends, np.int64), np.cumsum(counts)


def compare(texts: list[str]) -> list[dict]:
    """One row a rule: documents datatrove rejects, and shares of equal decisions."""
    from datatrove.data import Document

    data, offsets = pack(texts)
    cuts = {
        "words": word_spans(data, offsets),
        "words_and_marks": word_and_mark_spans(data, offsets, character_classes()),
        "given": datatrove_spans(texts, offsets),
    }
    stop_hashes = stop_word_hashes()
    values = {name: signals(data, offsets, *spans, stop_hashes) for name, spans in cuts.items()}

    rules = [*gopher_quality(), *gopher_repetition(), *c4(), *fineweb()]
    filters = [rule.make_filter() for rule in rules]
    rejected = np.zeros((len(rules), len(texts)), bool)
    for i, text in enumerate(texts):
        for r, block in enumerate(filters):
            rejected[r, i] = block.filter(Document(text=text, id=str(i))) is not True

    rows = []
    for rule, expected in zip(rules, rejected, strict=True):
        equal = {name: rule.rejects(value) == expected for name, value in values.items()}
        row = {"rule": rule.name, "rejected": int(expected.sum())}
        row |= {name: float(np.mean(of_rule)) for name, of_rule in equal.items()}
        rows.append(row | {"differ": np.flatnonzero(~equal["given"]).tolist()})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=200_000, help="most bytes of text of one file")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of real documents")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"no documents in {options.data}")

    texts = documents(options.data, options.limit)
    rows = compare(texts)
    size = sum(len(text.encode()) for text in texts)
    print(f"{len(texts)} documents, {size / 1e6:.1f} MB; share of equal decisions")
    print(f"{'rule':40}{'rejected':>9}{'words':>8}{'words and marks':>17}{'words given':>13}")
    for row in rows:
        shares = f"{row['words']:8.4f}{row['words_and_marks']:17.4f}{row['given']:13.4f}"
        print(f"{row['rule']:40}{row['rejected']:9}{shares}")
        if row["differ"]:
            print(f"    differs with words given: documents {row['differ']}")
    if options.json:
        result = {
            "documents": len(texts),
            "bytes": size,
            "agreement": {row["rule"]: row["words_and_marks"] for row in rows},
            "agreement_words_alone": {row["rule"]: row["words"] for row in rows},
            "agreement_words_given": {row["rule"]: row["given"] for row in rows},
        }
        print(json.dumps(result))


if __name__ == "__main__":
    main()
