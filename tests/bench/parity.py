"""Share of equal decisions, rule by rule, of the stages and datatrove's filters on real documents.

    python tests/bench/parity.py [--limit BYTES] [--data FOLDER] [--json]

Each rule of datatrove's Gopher, C4 and FineWeb filters is run alone, at its default threshold, and so is the
same rule of the stage: with this project's words alone, with its words and marks, as the stages have it, and
with datatrove's own words (spaCy's) given, where nothing may differ. Needs the ``bench`` extra, spaCy, and the
documents in ``../shared/data``.
"""

import argparse
import gzip
import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.marks import word_and_mark_spans
from curate.kernels.words import word_spans
from curate.stage_api import find_stage

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


class Rule(NamedTuple):
    """One rule alone: of a datatrove filter, and of a stage, each with its parameters."""

    name: str
    theirs: str
    their_params: dict
    stage: str
    params: dict


def gopher_quality() -> Iterator[Rule]:
    # theirs, ours, the threshold
    rules = (
        ("min_doc_words", "min_words", 50),
        ("max_doc_words", "max_words", 100_000),
        ("min_avg_word_length", "min_mean_word_length", 3),
        ("max_avg_word_length", "max_mean_word_length", 10),
        ("max_symbol_word_ratio", "max_symbol_ratio", 0.1),
        ("max_bullet_lines_ratio", "max_bullet_lines", 0.9),
        ("max_ellipsis_lines_ratio", "max_ellipsis_lines", 0.3),
        ("max_non_alpha_words_ratio", "min_letter_words", 0.8),
        ("min_stop_words", "min_stop_words", 2),
    )
    their_off, off = (dict.fromkeys(names) for names in list(zip(*rules, strict=True))[:2])
    for theirs, ours, threshold in rules:
        name = f"gopher_quality.{theirs}"
        their_params = their_off | {theirs: threshold}
        yield Rule(name, "GopherQualityFilter", their_params, "gopher_quality", off | {ours: threshold})


def gopher_repetition() -> Iterator[Rule]:
    rules = (
        ("dup_line_frac", "max_duplicate_lines", 0.3),
        ("dup_para_frac", "max_duplicate_paragraphs", 0.3),
        ("dup_line_char_frac", "max_duplicate_line_characters", 0.2),
        ("dup_para_char_frac", "max_duplicate_paragraph_characters", 0.2),
    )
    their_off = dict.fromkeys([theirs for theirs, _, _ in rules]) | {"top_n_grams": (), "dup_n_grams": ()}
    grams = {"max_top_n_grams": [None] * 3, "max_duplicate_n_grams": [None] * 6}
    off = dict.fromkeys([ours for _, ours, _ in rules]) | grams

    def rule(name: str, theirs: dict, ours: dict) -> Rule:
        name = f"gopher_repetition.{name}"
        return Rule(name, "GopherRepetitionFilter", their_off | theirs, "gopher_repetition", off | ours)

    for theirs, ours, threshold in rules:
        yield rule(theirs, {theirs: threshold}, {ours: threshold})
    for name, theirs, ours, first, thresholds in (
        ("top", "top_n_grams", "max_top_n_grams", 2, (0.2, 0.18, 0.16)),
        ("dup", "dup_n_grams", "max_duplicate_n_grams", 5, (0.15, 0.14, 0.13, 0.12, 0.11, 0.10)),
    ):
        for place, threshold in enumerate(thresholds):
            alone = [threshold if other == place else None for other in range(len(thresholds))]
            n = first + place
            yield rule(f"{name}_{n}_gram", {theirs: ((n, threshold),)}, {ours: alone})


def c4() -> Iterator[Rule]:
    # their parameter, ours, switched off in theirs and in ours, and on
    rules = (
        ("lorem_ipsum", "filter_lorem_ipsum", "lorem_ipsum", False, False, True),
        ("curly_bracket", "filter_curly_bracket", "curly_bracket", False, False, True),
        ("too_few_sentences", "min_num_sentences", "min_sentences", -1, 0, 5),
    )
    for prefix, terminal in (("c4", True), ("c4_any_end", False)):
        their_off = {theirs: value for _, theirs, _, value, _, _ in rules} | {"filter_no_terminal_punct": terminal}
        off = {ours: value for _, _, ours, _, value, _ in rules} | {"terminal_punctuation": terminal}
        for name, theirs, ours, _, _, on in rules:
            yield Rule(f"{prefix}.{name}", "C4QualityFilter", their_off | {theirs: on}, "c4", off | {ours: on})


def fineweb() -> Iterator[Rule]:
    infinity = float("inf")
    rules = (
        ("line_punct_thr", "min_terminal_lines", -1.0, 0.12),
        ("short_line_thr", "max_short_lines", infinity, 0.67),
        ("char_duplicates_ratio", "max_duplicate_line_characters", infinity, 0.01),
        ("new_line_ratio", "max_newline_ratio", infinity, 0.3),
    )
    their_off = {theirs: value for theirs, _, value, _ in rules}
    off = dict.fromkeys([ours for _, ours, _, _ in rules])
    for theirs, ours, _, threshold in rules:
        their_params = their_off | {theirs: threshold}
        yield Rule(f"fineweb.{theirs}", "FineWebQualityFilter", their_params, "fineweb", off | {ours: threshold})


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


@contextmanager
def words_as(cut: Callable):
    """Let the stages take words from ``cut(data, offsets, classes)``."""
    modules = [importlib.import_module(f"curate.stages.{name}") for name in ("_signals", "c4")]
    usual = modules[0].word_and_mark_spans
    for module in modules:
        module.word_and_mark_spans = cut
    try:
        yield
    finally:
        for module in modules:
            module.word_and_mark_spans = usual


def compare(texts: list[str]) -> list[dict]:
    """One row a rule: documents datatrove rejects, and shares of equal decisions."""
    from datatrove.data import Document
    from datatrove.pipeline import filters

    rules = [*gopher_quality(), *gopher_repetition(), *c4(), *fineweb()]
    blocks = [getattr(filters, rule.theirs)(**rule.their_params) for rule in rules]
    rejected = np.zeros((len(rules), len(texts)), bool)
    for i, text in enumerate(texts):
        for r, block in enumerate(blocks):
            rejected[r, i] = block.filter(Document(text=text, id=str(i))) is not True

    given = datatrove_spans(texts, pack(texts)[1])
    cuts = {
        "words": lambda data, offsets, classes: word_spans(data, offsets),
        "words_and_marks": word_and_mark_spans,
        "given": lambda data, offsets, classes: given,
    }
    table = pa.table({"text": texts})
    rows = [{"rule": rule.name, "rejected": int(theirs.sum())} for rule, theirs in zip(rules, rejected, strict=True)]
    for name, cut in cuts.items():
        with words_as(cut):
            for rule, theirs, row in zip(rules, rejected, rows, strict=True):
                verdicts = find_stage(rule.stage)(table, **rule.params)["reject"]
                equal = verdicts.is_valid().to_numpy() == theirs
                row[name] = float(np.mean(equal))
                row["differ"] = np.flatnonzero(~equal).tolist()  # in the end, with the words given
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
