"""Find documents that contain questions of evaluation sets."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from curate.base.parameters import Ngram, Positive, Share
from curate.documents import utf8
from curate.errors import CurateError, did_you_mean
from curate.kernels.items import find_items
from curate.kernels.ngrams import Ngrams, find_ngrams, index_ngrams, text_ngrams
from curate.models.resources import Name, locate, sha256
from curate.sources.layouts import find
from curate.sources.small_rows import all_rows
from curate.stage_api import reject, set_column, stage
from curate.stages._items import SOLUTION, Indexed, indexed, plain

OCCURRENCES = 1 << 21
"""Of n-grams in the sets that are looked at at a time: what many questions begin with may be in every document."""

SetName = Annotated[str, Field(pattern=r"^[\w-]+$")]


class EvaluationSet(BaseModel):
    """A file of questions.

    path     Parquet or JSONL, optionally compressed: a path or a URL such as `hf://datasets/...`
    columns  columns of the questions; `column.field` for a field of a struct; every value of a list is a text
    answer   column of the answer or the choices, for all rules but `ngrams`: an answer near a question supports it, and
             one of 20 words or more, such as a solution, is searched for as well
    id       column that identifies an item; without one, the row number from 0
    """

    model_config = ConfigDict(extra="forbid")
    path: Name
    columns: list[str] = Field(min_length=1)
    answer: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class Texts:
    """The texts of all evaluation sets, searchable.

    sets    name of the set of each text
    items   `SET/ITEM` of each text
    words   int64[texts], how many words it has
    ngrams  the distinct n-grams
    bounds  int64[ngrams + 1], which of the occurrences are of an n-gram
    text, place  int64[occurrences], the text and the first word there
    """

    sets: pa.Array
    items: pa.Array
    words: np.ndarray
    ngrams: Ngrams
    bounds: np.ndarray
    text: np.ndarray
    place: np.ndarray


def _resources(sets: dict[str, dict], **_) -> dict:
    return {"sets": {name: one | {"path": locate(one["path"], "evaluation set")} for name, one in sets.items()}}


def _notes(sets: dict[str, dict], rule: str, n: int | None, min_words: int | None, **_) -> list[str]:
    if rule == "ngrams":
        texts = load(sets, n, min_words)
        least = min(min_words or 8, n or 13)
        found, short = texts.sets.to_pylist(), texts.words < least
        why = f"have fewer than {least} words"
    else:
        items = load_items(sets, rule)
        found, short = items.sets.to_pylist(), ~items.searched
        why = "are too short to be told from other text"
    lines = []
    for name in sets:
        mine = np.array([one == name for one in found], bool)
        lines.append(f"{name}: {mine.sum():,} texts, of which {(mine & short).sum():,} {why} and are not searched for")
    return lines


@stage(version=3, dry=True, resources_from=_resources, notes_from=_notes, reasons_from=lambda sets, **_: tuple(sets))
def decontaminate(
    docs: pa.Table,
    *,
    sets: dict[SetName, EvaluationSet],
    rule: Literal["balanced", "strict", "ngrams"] = "balanced",
    n: Ngram | None = None,
    share: Share | None = None,
    min_words: Positive | None = None,
    mode: Literal["reject", "mark"] = "reject",
) -> pa.Table:
    """Reject or mark documents that contain items of evaluation sets.

    sets       evaluation sets, by name: `{path: ..., columns: [...], answer: ..., id: ...}`, see `EvaluationSet`
    rule       balanced: an item is found if 80% of it stands in one place of the document, by the weights of its
               5-grams, where rare ones weigh more; of items up to 20 words, all of it. With an answer near, 20 points
               less are enough. Items of fewer than 6 words, not counting numbers and single letters, are found only
               with an answer. strict: 60%, and from 5 words on. ngrams: one n-gram of words in common, anywhere in the
               document, or a share of them
    n          of `ngrams`: words per n-gram; default: 13. In scripts without spaces each letter is a word: for such
               a corpus, about 40 are as specific as 13 words
    share      of `ngrams`: minimum share of an item's words that must be in n-grams that the document contains too;
               default: 0, one n-gram is enough
    min_words  of `ngrams`: items of fewer than n words are searched for as a whole if they have at least this many
               words; default: 8. Shorter ones, such as the answers of multiple-choice questions, are not searched for
    mode       `mark` adds the columns and keeps the document

    Case, punctuation, symbols and white space are ignored by all rules. `balanced` and `strict` also ignore which
    numbers there are, soft hyphens and other characters that cannot be seen, and Unicode forms such as ligatures and
    full-width letters.

    `n: 13` is the rule of GPT-3 (Brown et al. 2020, appendix C, where the minimum n is 8 words), `n: 8` with
    `share: 0.7` is that of PaLM, and `n: 10` with `share: 0.8` is close to that of Llama 2 (Touvron et al. 2023,
    A.6), applied to one document at a time. GPT-3 ignored n-grams that occur in many documents; this stage does not.

    `contamination` is the item of which the document has most, `contamination_ngram` is the passage in the document, or
    of `ngrams` the first n-gram there, and `contamination_share` is how much of the item it has. The reason is the name
    of the set.

    Reads: text
    Adds: contamination (string, `SET/ITEM`), contamination_ngram (string),
        contamination_ngrams (int32, n-grams of the document that are in any set),
        contamination_share (float, share of that item, in [0, 1])

    Source: `balanced` is after decon of the Allen Institute for AI, which scores questions and answers by their
    n-grams' inverse document frequency.
    """
    given = {"n": n, "share": share, "min_words": min_words}
    if rule != "ngrams" and (unused := [name for name, value in given.items() if value is not None]):
        fix = f"set `rule: ngrams`, or remove `{unused[0]}`"
        raise CurateError(f"`{unused[0]}` has no effect with `rule: {rule}`", fix=fix)
    found = _by_ngrams(docs, load(sets, n, min_words)) if rule == "ngrams" else _by_items(docs, load_items(sets, rule))
    row = pa.array(_places(docs.num_rows, found.docs))
    columns = {
        "contamination": found.names.take(row),
        "contamination_ngram": pa.array(found.passages, pa.string()).take(row),
        "contamination_ngrams": pa.array(found.counts),
        "contamination_share": pc.fill_null(pa.array(found.shares.round(6).astype(np.float32)).take(row), 0),
    }
    for name, column in columns.items():
        docs = set_column(docs, name, column)
    if mode == "mark":
        return docs
    enough = pc.greater_equal(columns["contamination_share"], np.float32(round(share or 0, 6)))
    guilty = pc.if_else(enough, found.sets.take(row), None)
    return reject(docs, **{name: pc.equal(guilty, name) for name in sets})


class Found(NamedTuple):
    """What documents have in common with evaluation sets: rows of the documents (int64), the item of each and its set,
    a passage, the share of it; and how many n-grams of any item each document has (int32[documents])."""

    docs: np.ndarray
    names: pa.Array
    sets: pa.Array
    passages: list[str]
    shares: np.ndarray
    counts: np.ndarray


def _by_ngrams(docs: pa.Table, texts: Texts) -> Found:
    data, offsets = utf8(docs["text"])
    hits = find_ngrams(data, offsets, texts.ngrams)
    doc, start, end, text, covered = best_texts(texts, *hits)
    count = np.bincount(hits[0], minlength=docs.num_rows).astype(np.int32)
    shares = covered / np.maximum(texts.words[text], 1)
    text = pa.array(text)
    return Found(doc, texts.items.take(text), texts.sets.take(text), _cut(data, start, end), shares, count)


def _by_items(docs: pa.Table, indexed: Indexed) -> Found:
    data, offsets = utf8(plain(docs["text"]))
    doc, item, shares, start, end, counts = find_items(data, offsets, indexed.items)
    item = pa.array(item)
    passages = _cut(data, start, end)
    return Found(doc, indexed.names.take(item), indexed.sets.take(item), passages, shares, counts.astype(np.int32))


def _cut(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> list[str]:
    view = memoryview(data)
    return [bytes(view[start:end]).decode(errors="replace") for start, end in zip(starts, ends, strict=True)]


def best_texts(texts: Texts, docs, starts, ends, ngrams) -> tuple[np.ndarray, ...]:
    """Of each document with n-grams in common the text of which it has most, relative to its length.

    docs, starts, ends, ngrams  as `find_ngrams` gives them

    Returns (doc, start and end of the first n-gram in common with that text, text, words of it that are covered),
    all int64[documents with any].
    """
    _, first = np.unique(docs * np.int64(len(texts.bounds)) + ngrams, return_index=True)
    times = np.diff(texts.bounds)[ngrams[first]]
    begins = np.flatnonzero(np.diff(docs[first], prepend=-1))  # of each document
    share = (np.cumsum(times) - times)[begins] // OCCURRENCES
    cuts = begins[np.flatnonzero(np.diff(share, prepend=0))]
    parts = zip(np.split(first, cuts), np.split(times, cuts), strict=True)
    found = [_best_texts(texts, docs, starts, ends, ngrams, *part) for part in parts]
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def _best_texts(texts: Texts, docs, starts, ends, ngrams, first, times) -> tuple[np.ndarray, ...]:
    """The same of some documents, by the first of each of their n-grams, and how often that is in the sets."""
    hit = np.repeat(first, times)
    within = np.arange(len(hit)) - np.repeat(np.cumsum(times) - times, times)
    occurrence = texts.bounds[ngrams[hit]] + within
    doc, text, place = docs[hit], texts.text[occurrence], texts.place[occurrence]
    order = np.lexsort((place, text, doc))
    hit, doc, text, place = hit[order], doc[order], text[order], place[order]

    new = np.ones(len(doc), bool)
    new[1:] = (doc[1:] != doc[:-1]) | (text[1:] != text[:-1])
    covered = texts.ngrams.words[ngrams[hit]]
    covered[:-1] = np.where(new[1:], covered[:-1], np.minimum(covered[:-1], np.diff(place)))
    groups = np.flatnonzero(new)
    covered = np.add.reduceat(covered, groups) if len(groups) else covered
    hit = np.minimum.reduceat(hit, groups) if len(groups) else hit
    doc, text = doc[groups], text[groups]

    order = np.lexsort((text, -covered, -covered / np.maximum(texts.words[text], 1), doc))
    best = order[np.unique(doc[order], return_index=True)[1]]
    return doc[best], starts[hit[best]], ends[hit[best]], text[best], covered[best]


def load(sets: dict[str, dict], n: int | None, min_words: int | None) -> Texts:
    """The texts of evaluation sets, read once in a process. Raises CurateError for a set that cannot be read."""
    n, min_words = n or 13, min_words or 8
    return _load(_files(sets), n, min(min_words, n))


def _files(sets: dict[str, dict]) -> tuple:
    """What evaluation sets are read from, and which columns, as values that can be compared."""
    found = []
    for name, one in sets.items():
        path = locate(one["path"], "evaluation set")
        found.append((name, path, sha256(path), tuple(one["columns"]), one.get("answer"), one["id"]))
    return tuple(found)


def load_items(sets: dict[str, dict], rule: str) -> Indexed:
    """The items of evaluation sets, read once in a process. Raises CurateError for a set that cannot be read."""
    return _load_items(_files(sets), rule)


@lru_cache(maxsize=2)
def _load_items(files: tuple, rule: str) -> Indexed:
    rows = []
    for name, path, _, columns, answer, label in files:
        for item, text, said in _read(path, columns, label, answer):
            rows.append((name, f"{name}/{item}", text, said))
            rows += [(name, f"{name}/{item}", one, []) for one in said if len(one.split()) >= SOLUTION]
    return indexed(rows, rule)


@lru_cache(maxsize=2)
def _load(files: tuple, n: int, least: int) -> Texts:
    names, items, strings = [], [], []
    for name, path, _, columns, _, label in files:
        for item, text, _ in _read(path, columns, label):
            names.append(name)
            items.append(f"{name}/{item}")
            strings.append(text)
    data, offsets = utf8(pa.array(strings, pa.large_string()))
    hashes, tails, text, place, starts, ends, words, lengths = text_ngrams(data, offsets, n, least)
    distinct, first, which = np.unique(hashes, return_index=True, return_inverse=True)
    slots, bits = index_ngrams(distinct, tails[first])
    words = words[first]
    ngrams = Ngrams(data, distinct, starts[first], ends[first], words, slots, np.unique(words), least, bits)
    order = np.argsort(which, kind="stable")
    bounds = np.append(0, np.cumsum(np.bincount(which, minlength=len(distinct)))).astype(np.int64)
    sets = pa.array(names, pa.string())
    return Texts(sets, pa.array(items, pa.string()), lengths, ngrams, bounds, text[order], place[order])


def _read(
    path: Path, columns: tuple[str, ...], label: str | None, answer: str | None = None
) -> Iterator[tuple[str, str, list[str]]]:
    """(item, text, its answers) for all texts of an evaluation set."""
    wanted = [*columns, *filter(None, (answer, label))]
    try:
        rows = all_rows(path, [place.partition(".")[0] for place in wanted])
    except (pa.ArrowException, OSError, ValueError) as error:
        fix = "fetch it again, or use another file"
        raise CurateError(f"cannot read the evaluation set: {error}", str(path), fix) from error
    known = {name for row in rows[:100] for name in row}
    for place in wanted:
        if not any(find(row, place) is not None for row in rows):
            raise CurateError(f"no column `{place}` in the evaluation set", str(path), did_you_mean(place, known))
    for number, row in enumerate(rows):
        said = find(row, answer) if answer else None
        said = [*_strings(said)] if isinstance(said, str | list | dict) else [] if said is None else [str(said)]
        for column in columns:
            for text in _strings(find(row, column)):
                yield str(find(row, label) if label else number), text, said


def _strings(value: Any) -> Iterator[str]:
    """All strings in a value, a list or a struct."""
    if isinstance(value, str):
        yield value
    for child in value if isinstance(value, list) else value.values() if isinstance(value, dict) else ():
        yield from _strings(child)


def _places(rows: int, doc: np.ndarray) -> np.ma.MaskedArray:
    """For each row its place among the documents found, masked where it is none of them."""
    place = np.full(rows, -1)
    place[doc] = np.arange(len(doc))
    return np.ma.masked_less(place, 0)
