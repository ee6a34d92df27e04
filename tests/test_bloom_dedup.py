"""DCLM's deduplication by a Bloom filter against the same rule with an exact set, and the filter against its rate."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from releases import one_source, release, rows

from curate.errors import CurateError
from curate.kernels.bloom import filter_size, old_both
from curate.kernels.word_break import broken_words
from curate.manifest.manifest import load
from curate.stage_api import find_stage
from curate.testing import docs, run_group

BLOOM_DEDUP = find_stage("bloom_dedup")

# Every rule of the annex that a tokenizer may get wrong. `regex` itself departs from it for a lone regional indicator,
# for a mark at the start, and for a quote before a vowel: those do not stand here.
PIECES = [
    *("can't", "3.14", "1,234.5", "b.c", "b:c", "x_1", "'", '"', ".", ",", "…", "-", "z\u0301", 'א"ב', "א'"),
    *("👩\u200d👩\u200d👧", "🇩🇪🇫🇷", "❤\ufe0f", "カタカナ", "日本", "ไทย", "한국", "λ", "s\u00adt", "5", "b", "B"),
    *(" ", "  ", "\t", "\u00a0", "\u2003", "\r\n", "\n", "\u2028", "\x85"),
]


def words_of(text: str) -> list[str]:
    data = text.encode()
    starts, ends, _ = broken_words(np.frombuffer(data, np.uint8), np.array([0, len(data)]))
    return [data[start:end].decode() for start, end in zip(starts, ends, strict=True)]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map(lambda pieces: "b" + "".join(pieces)))
def test_words_are_those_between_the_boundaries_of_the_annex(text):
    regex = pytest.importorskip("regex")
    pieces = regex.split(r"(?wV1)\b", text)
    assert words_of(text) == [piece for piece in pieces if piece.strip()]


@settings(deadline=None)
@given(st.lists(st.integers(0, 255), max_size=40).map(bytes))
def test_any_bytes_are_cut_into_words_and_white_space(data):
    starts, ends, offsets = broken_words(np.frombuffer(data, np.uint8), np.array([0, len(data)]))
    assert offsets.tolist() == [0, len(starts)]
    assert (starts < ends).all()
    assert (ends[:-1] <= starts[1:]).all()
    assert (ends <= len(data)).all()


def reference(texts: list[str], n: int, threshold: float) -> list[tuple]:
    """(text, n-grams, of these known, whether it goes) of each, in order; what was seen is a set."""
    seen, found = set(), []
    for text in texts:
        stays, total, known = [], 0, 0
        for paragraph in text.split("\n"):
            words = words_of(paragraph)
            ngrams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
            contained = sum(ngram in seen for ngram in ngrams)
            total += len(ngrams)
            known += contained
            if ngrams and contained / len(ngrams) > threshold:
                continue
            stays.append(paragraph)
            seen.update(ngrams)
        out = total > 0 and known / total > threshold
        found.append((text if out else "\n".join(stays), total, known, out))
    return found


paragraph = st.lists(st.sampled_from(["red", "Red", "don't", "2.5", "中", ",", "the"]), max_size=8).map(" ".join)
texts = st.lists(st.lists(paragraph, max_size=5).map("\n".join), min_size=1, max_size=10)


@settings(max_examples=80, deadline=None)
@given(texts, st.data())
def test_equals_the_sequential_rule_on_any_texts_in_any_partitions(texts, data):
    table = docs(*texts)
    threshold = data.draw(st.sampled_from([0.3, 0.5, 0.8]))
    given_ = {"ngram": data.draw(st.integers(1, 3)), "threshold": threshold, "groups": data.draw(st.integers(1, 3))}
    # So rare are false positives then that a set is as good.
    params = BLOOM_DEDUP.configure(given_ | {"expected_ngrams": 1000, "false_positives": 1e-9})
    cut = data.draw(st.integers(0, len(texts)))
    priorities = data.draw(st.sampled_from([[0, 0], [1, 0]]))
    parts = [table.slice(0, cut), table.slice(cut)]
    found = pa.concat_tables(run_group(BLOOM_DEDUP, parts, params, priorities))
    of = dict(zip(table["id"].to_pylist(), texts, strict=True))
    place = {id: priorities[number] for number, part in enumerate(parts) for id in part["id"].to_pylist()}
    order = sorted(of, key=lambda id: (place[id], id))
    expected = {}
    for number in range(params["groups"]):
        ids = [id for id in order if int(id[:8], 16) % params["groups"] == number]
        outcome = reference([of[id] for id in ids], params["ngram"], threshold)
        expected |= dict(zip(ids, outcome, strict=True))
    for row in found.to_pylist():
        outcome = (row["text"], row["n_ngrams"], row["n_ngrams_known"], row["reject"] == "mostly_known")
        assert outcome == expected[row["id"]]


@pytest.mark.parametrize("rate", [0.2, 0.01, 0.001])
def test_a_full_filter_keeps_its_rate_of_false_positives(rate):
    count = 20_000
    words, numbers = filter_size(count, rate)
    bits = np.zeros(words, np.uint64)

    def read(first: int, last: int) -> tuple[int, int]:
        """A paragraph of words, each of which is an n-gram: how many were known, and the room left."""
        text = " ".join(f"w{number}" for number in range(first, last)).encode()
        data, offsets = np.frombuffer(text, np.uint8), np.array([0, len(text)])
        _, _, (ngrams,), (known,), room = old_both(data, offsets, 1, 0.9, bits, numbers, count)
        assert ngrams == last - first
        return known, room

    assert read(0, count)[0] == 0  # a paragraph is held against what was before it
    assert read(0, count)[0] == count
    known, _ = read(count, 11 * count)
    assert known <= 10 * count * rate + 4 * (10 * count * rate) ** 0.5


def test_the_run_stops_where_the_filter_would_lie():
    table = docs(*(" ".join(f"w{doc}x{word}" for word in range(40)) for doc in range(4)))
    room = 4 * 28
    run_group(BLOOM_DEDUP, [table], BLOOM_DEDUP.configure({"expected_ngrams": room, "false_positives": 1e-9}))
    with pytest.raises(CurateError, match="111 n-grams") as caught:
        run_group(BLOOM_DEDUP, [table], BLOOM_DEDUP.configure({"expected_ngrams": room - 1, "false_positives": 1e-9}))
    assert "expected_ngrams" in caught.value.fix


def test_a_filter_that_fits_no_machine_loads_and_is_refused_before_the_run(tmp_path):
    params = BLOOM_DEDUP.configure({"expected_ngrams": 10**15})
    assert BLOOM_DEDUP.memory(params) == pytest.approx(1.2e15, rel=0.01)
    (note,) = BLOOM_DEDUP.notes(BLOOM_DEDUP.configure({"expected_ngrams": 10**9}))
    assert "1,199 MB" in note
    stages = [{"bloom_dedup": {"expected_ngrams": 10**15}}]
    manifest = one_source(tmp_path, rows(1, 3), [], stages=stages)
    assert load(manifest).stages[0].params == params, "the workers may be on larger machines"
    with pytest.raises(CurateError, match="GB of memory in one worker") as caught:
        release(manifest, tmp_path / "work")
    assert "stages[0].bloom_dedup" in caught.value.where
    assert not list((tmp_path / "work" / "store").glob("*/*.parquet"))


def test_texts_without_words_stay():
    odd = [None, "", "\n\n", "\0", " \u2028 ", "x" * 1_000_000, "\u0301\u200d" * 50]
    (found,) = run_group(BLOOM_DEDUP, [docs(*odd)], BLOOM_DEDUP.configure({}))
    assert found["text"].to_pylist() == odd
    assert found["reject"].null_count == len(odd)
