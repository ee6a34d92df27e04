"""Planted questions are found and named; paraphrases are not; what is said of n-grams equals a plain reference."""

import gzip
import json
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import columns, documents, fold, reference_words, untimed

from curate.errors import CurateError
from curate.kernels.ngrams import Ngrams, find_ngrams, index_ngrams, text_ngrams
from curate.stage_api import find_stage
from curate.stages import decontaminate as module
from curate.stages.decontaminate import decontaminate
from curate.testing import check, docs

EVAL = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "eval"
DECONTAMINATE = find_stage("decontaminate")
PROSE = (
    "The committee met on Tuesday to consider the report, and it agreed that the work should go on. "
    "A second meeting would be needed before the end of the year, the chair said afterwards. "
)
QUESTION = (
    "A train leaves the station at noon and travels north at sixty miles an hour for two and a half hours. How far?"
)
WORDS = len(QUESTION.split())
SHORT = "Which planet is the third from the Sun today?"
ROWS = [
    {"task": "t/0", "question": QUESTION, "choices": ["Mars", "Venus", "the Earth"], "answer": 2},
    {"task": "t/1", "question": SHORT, "choices": {"text": ["one"], "label": ["A"]}, "answer": 0},
    {"task": "t/2", "question": "Why?", "choices": [], "answer": 1},
]


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def search(path, *texts, columns=("question", "choices"), **params):
    sets = {"test": {"path": str(path), "columns": list(columns)} | params.pop("set", {})}
    params = DECONTAMINATE.configure({"sets": sets, "rule": "ngrams"} | params)
    check("decontaminate", docs(*texts), params)
    return DECONTAMINATE(docs(*texts), **params)


def test_a_planted_question_is_found_whatever_its_case_and_punctuation_and_named(questions):
    planted = QUESTION.upper().replace(" ", " - ").replace(".", "!\n")
    found = search(questions, PROSE + planted + PROSE, PROSE, QUESTION, set={"id": "task"})
    assert found["reject"].to_pylist() == ["test", None, "test"]
    assert found["contamination"].to_pylist() == ["test/t/0", None, "test/t/0"]
    assert found["contamination_ngram"].to_pylist()[2] == " ".join(QUESTION.split()[:13])
    assert found["contamination_ngram"].to_pylist()[0].startswith("A - TRAIN - LEAVES")
    assert found["contamination_ngrams"].to_pylist() == [WORDS - 12, 0, WORDS - 12]
    assert found["contamination_share"].to_pylist() == [1, 0, 1]


def test_twelve_words_in_common_are_not_enough_and_thirteen_are(questions):
    words = QUESTION.split()
    for first in range(len(words) - 13):
        less, enough = (" ".join(words[first : first + count]) for count in (12, 13))
        found = search(questions, f"{PROSE} {less} {PROSE}", f"{PROSE} {enough} {PROSE}")
        assert found["reject"].to_pylist() == [None, "test"]
        assert found["contamination_share"].to_pylist()[1] == pytest.approx(13 / WORDS, abs=1e-6)


def test_a_short_text_is_searched_for_as_a_whole_and_a_shorter_one_not_at_all(questions):
    found = search(questions, f"{PROSE} {SHORT}", f"{PROSE} {SHORT[:-7]}", "Why? the Earth")
    assert found["reject"].to_pylist() == ["test", None, None]
    assert found["contamination"].to_pylist()[0] == "test/1"
    assert search(questions, SHORT, min_words=10)["reject"].to_pylist() == [None]
    assert search(questions, "so, the Earth it is", min_words=2)["contamination"].to_pylist() == ["test/0"]


def test_a_share_of_a_question_decides_when_asked_for(questions):
    words = QUESTION.split()
    most, half = " ".join(words[:18]), " ".join(words[:11])
    found = search(questions, most, half, " ".join(words[:7]), n=8, share=0.7)
    assert found["reject"].to_pylist() == ["test", None, None]
    assert found["contamination_share"].to_pylist() == pytest.approx([18 / WORDS, 11 / WORDS, 0], abs=1e-6)
    exactly = search(questions, half, n=8, share=11 / WORDS)
    assert exactly["reject"].to_pylist() == ["test"]


def test_marking_keeps_the_document_and_the_evidence(questions):
    marked, rejected = (search(questions, QUESTION, PROSE, mode=mode) for mode in ("mark", "reject"))
    assert "reject" not in marked.column_names
    assert marked.equals(rejected.drop_columns("reject"))


def test_the_reason_is_the_set(questions, tmp_path):
    other = tmp_path / "other.jsonl.gz"
    other.write_bytes(gzip.compress(json.dumps({"text": PROSE}).encode() + b"\n\n", mtime=0))
    sets = {
        "trains": {"path": str(questions), "columns": ["question"]},
        "prose": {"path": str(other), "columns": ["text"]},
    }
    params = DECONTAMINATE.configure({"sets": sets, "rule": "ngrams"})
    found = DECONTAMINATE(docs(PROSE, QUESTION, "nothing"), **params)
    assert found["reject"].to_pylist() == ["prose", "trains", None]
    assert DECONTAMINATE.reasons(params) == ("trains", "prose")
    assert DECONTAMINATE.notes(params) == [
        "trains: 3 texts, of which 1 have fewer than 8 words and are not searched for",
        "prose: 1 texts, of which 0 have fewer than 8 words and are not searched for",
    ]


def test_an_array_and_lines_of_the_same_rows_find_the_same(questions, tmp_path):
    rows = [json.loads(line) for line in questions.read_text().splitlines()]
    array = tmp_path / "questions.json"
    array.write_text(json.dumps(rows, indent=1))
    text = f"{rows[0]['question']} and more"
    assert search(array, text)["reject"].to_pylist() == search(questions, text)["reject"].to_pylist()
    assert search(array, text)["reject"].to_pylist() != [None]


def test_parquet_and_jsonl_of_the_same_rows_find_the_same(questions, tmp_path):
    rows = [
        row | {"choices": {"text": row["choices"] if isinstance(row["choices"], list) else ["one"]}} for row in ROWS
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "questions.parquet")
    texts = (QUESTION, SHORT, PROSE)
    nested = search(tmp_path / "questions.parquet", *texts, columns=("question", "choices.text"))
    assert nested.equals(search(questions, *texts))


def test_where_the_sets_lie_has_no_bearing_but_their_content_has(questions, tmp_path):
    def identity(path):
        return DECONTAMINATE.identity(
            DECONTAMINATE.configure({"sets": {"a": {"path": str(path), "columns": ["question"]}}})
        )

    moved = tmp_path / "moved" / "elsewhere.jsonl"
    moved.parent.mkdir()
    moved.write_bytes(questions.read_bytes())
    assert identity(moved) == identity(questions)
    moved.write_bytes(questions.read_bytes().replace(b"noon", b"dusk"))
    assert identity(moved) != identity(questions)


@pytest.mark.parametrize(
    ("name", "content", "params", "said"),
    [
        ("a.jsonl", b'{"question": "x"}\n', {"columns": ["qestion"]}, "no column `qestion`"),
        ("a.jsonl", b'{"question": "x"}\n', {"set": {"id": "task"}}, "no column `choices`|no column `task`"),
        ("a.jsonl", b"[1]\n[2]\n", {}, "cannot read the evaluation set"),
        ("a.json", b"[\n1\n]", {}, "a row is not an object: 1"),
        ("a.jsonl", b"{nothing", {}, "cannot read the evaluation set"),
        ("a.parquet", b"PAR1 and no more", {}, "cannot read the evaluation set"),
        ("a.jsonl.gz", b"not gzip", {}, "cannot read the evaluation set"),
        ("a.jsonl", b"", {}, "no column `question`"),
    ],
)
def test_an_evaluation_set_that_cannot_be_used_is_named(tmp_path, name, content, params, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CurateError, match=said) as error:
        search(tmp_path / name, "text", **params)
    assert error.value.where == str(tmp_path / name)


# The kernel against a reference


def indexed(texts, n, least):
    data, offsets = columns(texts)
    hashes, tails, _, _, starts, ends, words, _ = text_ngrams(data, offsets, n, least)
    distinct, first = np.unique(hashes, return_index=True)
    slots, bits = index_ngrams(distinct, tails[first])
    words = words[first]
    return Ngrams(data, distinct, starts[first], ends[first], words, slots, np.unique(words), least, bits)


def folded(document):
    return tuple("".join(map(fold, word)) for word in reference_words(document))


def reference(texts, n, least):
    """The n-grams of texts, as tuples of folded words."""
    found = set()
    for words in map(folded, texts):
        size = min(n, len(words))
        if size >= least:
            found |= {words[i : i + size] for i in range(len(words) - size + 1)}
    return found


words = st.lists(st.sampled_from(["a", "B", "cé", "中文", "x\u0301"]), max_size=12).map(
    lambda some: " ".join(some).encode()
)
few = st.lists(words, max_size=4) | documents


@untimed
@given(few, few, st.integers(1, 5), st.data())
def test_ngrams_in_common_equal_the_reference(texts, documents, n, data):
    least = data.draw(st.integers(1, n))
    wanted = reference(texts, n, least)
    expected = []
    for number, document in enumerate(documents):
        have = folded(document)
        pieces = [have[end - size : end] for end in range(1, len(have) + 1) for size in range(1, min(n, end) + 1)]
        expected += [(number, piece) for piece in pieces if piece in wanted]
    bytes_, offsets = columns(documents)
    found = zip(*find_ngrams(bytes_, offsets, indexed(texts, n, least)), strict=True)
    assert [(doc, folded(bytes(bytes_[start:end]))) for doc, start, end, _ in found] == expected


def test_two_ngrams_of_one_hash_are_not_taken_for_each_other():
    ngrams = indexed([b"one two three four"], 4, 4)
    forged = ngrams._replace(data=np.frombuffer(b"padone two three five", np.uint8), ends=ngrams.ends)
    data, offsets = columns([b"one two three four"])
    assert len(find_ngrams(data, offsets, ngrams)[0]) == 1
    assert len(find_ngrams(data, offsets, forged)[0]) == 0


def test_long_texts_without_spaces_and_no_texts_at_all():
    data, offsets = columns([b"x" * 5_000_000, b"", "中".encode() * 100_000])
    assert len(find_ngrams(data, offsets, indexed([], 13, 8))[0]) == 0
    found = find_ngrams(data, offsets, indexed(["中".encode() * 13], 13, 8))
    assert set(found[0]) == {2}
    assert len(found[0]) == 100_000 - 12


# Real evaluation sets

REAL = {
    "gsm8k_test": ["question", "answer"],
    "math500": ["problem", "solution"],
    "humaneval": ["prompt", "canonical_solution"],
    "mmlu_test": ["question", "choices"],
    "arc_challenge": ["question", "choices.text"],
}


@pytest.mark.skipif(not EVAL.exists(), reason="needs shared/data/eval")
@pytest.mark.parametrize("name", REAL)
def test_every_planted_item_of_a_real_set_is_found_and_named(name):
    path = EVAL / f"{name}.parquet"
    column = REAL[name][0]
    items = pq.read_table(path)[column].to_pylist()
    long = [row for row, text in enumerate(items) if len(reference_words(text.encode())) >= 8]
    chosen = random.Random(0).sample(long, min(100, len(long)))
    planted = [PROSE + items[row].upper() + "\n\n" + PROSE for row in chosen]
    sets = {name: {"path": str(path), "columns": REAL[name]}}
    found = DECONTAMINATE(docs(*planted, PROSE), **DECONTAMINATE.configure({"sets": sets, "rule": "ngrams"}))
    assert found["reject"].to_pylist() == [name] * len(chosen) + [None]
    twins = {}
    for row, text in enumerate(items):
        twins.setdefault(folded(text.encode()), []).append(f"{name}/{row}")
    assert found["contamination_share"].to_pylist() == [1] * len(chosen) + [0]
    named = [
        said in twins[folded(items[row].encode())]
        for row, said in zip(chosen, found["contamination"].to_pylist(), strict=False)
    ]
    assert sum(named) >= 0.95 * len(named)  # the others hold the whole of a shorter item as well


@pytest.mark.skipif(not EVAL.exists(), reason="needs shared/data/eval")
def test_questions_with_every_eighth_word_changed_are_not_found():
    path = EVAL / "gsm8k_test.parquet"
    questions = pq.read_table(path)["question"].to_pylist()[:100]
    texts = [
        " ".join("other" if i % 8 == 7 else word for i, word in enumerate(q.replace("-", "").split()))
        for q in questions
    ]
    sets = {"gsm8k": {"path": str(path), "columns": ["question"]}}
    longest = [max((len(a) for a in _shared_runs(t, q)), default=0) for t, q in zip(texts, questions, strict=True)]
    found = DECONTAMINATE(docs(*texts), **DECONTAMINATE.configure({"sets": sets, "rule": "ngrams"}))
    kept = [reject is None for reject, run in zip(found["reject"].to_pylist(), longest, strict=True) if run < 13]
    assert len(kept) > 90
    assert all(kept)


def _shared_runs(text, question):
    """Runs of words between the changed ones."""
    cuts = [-1, *(i for i, word in enumerate(folded(text.encode())) if word == "other"), len(folded(text.encode()))]
    return [folded(text.encode())[a + 1 : b] for a, b in pairwise(cuts)]


def test_what_many_questions_have_in_common_is_looked_at_in_parts(tmp_path, monkeypatch):
    path, questions = tmp_path / "set.jsonl", [f"which of these five words are in all texts {n}" for n in range(9)]
    path.write_text("".join(json.dumps({"q": question}) + "\n" for question in questions))
    params = {"sets": {"a": {"path": str(path), "columns": ["q"], "id": None}}, "rule": "ngrams", "n": 4}
    table = docs(*(f"a {question}" for question in questions[:4]), "no")
    whole = decontaminate(table, **params)
    monkeypatch.setattr(module, "OCCURRENCES", 10)
    assert decontaminate(table, **params).equals(whole)
    assert whole["contamination"].to_pylist() == ["a/0", "a/1", "a/2", "a/3", None]
