"""One copy of every passage stays, and exactly what stands in an earlier place goes."""

import json
import re
from bisect import bisect_left

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from releases import one_source, release

import curate
from curate.kernels import repeats
from curate.kernels.word_break import broken_words
from curate.stage_api import find_stage
from curate.testing import docs, run_group

SUBSTRING_DEDUP = find_stage("substring_dedup")
LENGTH = 32


def windows(text: bytes, length: int):
    """(start, stop) of each shortest run of whole characters that has at least so many bytes."""
    begins = [i for i in range(len(text)) if text[i] & 0xC0 != 0x80] + [len(text)]
    for start in begins[:-1]:
        at = bisect_left(begins, start + length)
        if at < len(begins):
            yield start, begins[at]


def reference(texts: list[bytes], length: int) -> list[tuple[list[bool], dict[int, tuple[int, int]]]]:
    """Of texts in keep order: which bytes are repeats, and {where a repeated window begins: its first place}."""
    seen, found = {}, []
    for number, text in enumerate(texts):
        repeated, places = [False] * len(text), {}
        for start, stop in windows(text, length):
            window = text[start:stop]
            if window in seen:
                places[start] = seen[window]
                repeated[start:stop] = [True] * (stop - start)
            else:
                seen[window] = number, start
        found.append((repeated, places))
    return found


def trimmed(text: bytes, repeated: list[bool], boundary: str) -> list[tuple[int, int]]:
    """The runs of repeated bytes, cut at boundaries inside them."""
    begins = {0, len(text), *(i + 1 for i, byte in enumerate(text) if byte == ord("\n"))}
    if boundary == "word":
        begins |= {*broken_words(np.frombuffer(text, np.uint8), np.array([0, len(text)]))[0].tolist()}
    if boundary == "character":
        begins = {i for i in range(len(text)) if text[i] & 0xC0 != 0x80} | {len(text)}
    runs = re.finditer(b"\1+", bytes(repeated))
    found = []
    for run in runs:
        inside = sorted(place for place in begins if run.start() <= place <= run.end())
        if len(inside) > 1:
            found.append((inside[0], inside[-1]))
    return found


def expected(texts: dict[str, str], order: list[str], boundary: str, max_share: float) -> dict[str, tuple]:
    """{id: (text, bytes removed, reason)}"""
    encoded = [texts[id].encode() for id in order]
    marked = reference(encoded, LENGTH)
    first = {number for mine, (_, places) in enumerate(marked) for number, _ in places.values() if number != mine}
    found = {}
    for number, id in enumerate(order):
        text, left, cuts = encoded[number], b"", trimmed(encoded[number], marked[number][0], boundary)
        before = 0
        for start, stop in [*cuts, (len(text), len(text))]:
            left += text[before:start]
            before = stop
        removed = len(text) - len(left)
        out = removed > 0 and (not left or (number not in first and removed > max_share * len(text)))
        found[id] = (texts[id] if out else left.decode(), removed, "mostly_repeated" if out else None)
    return found


PIECES = ["one two three four\n", "日本語の文章、", "-", "ab", "The quick brown fox jumps over.\n", "é"]
bits = st.builds(lambda piece, times: piece * times, st.sampled_from(PIECES), st.sampled_from([1, 1, 1, 2, 30]))
texts = st.lists(st.lists(bits, max_size=6).map("".join), min_size=1, max_size=5)


@given(texts, st.data())
def test_equals_the_sequential_rule_on_any_texts_in_any_partitions(texts, data):
    table = docs(*texts)
    boundary = data.draw(st.sampled_from(["line", "word", "character"]))
    share = data.draw(st.sampled_from([0.0, 0.5, 0.8, 1.0]))
    bins = data.draw(st.sampled_from([1, 4]))
    params = SUBSTRING_DEDUP.configure(
        {"min_bytes": LENGTH, "boundary": boundary, "max_share": share, "keep": ["-position"], "bins": bins}
    )
    cut = data.draw(st.integers(0, len(texts)))
    results = pa.concat_tables(run_group(SUBSTRING_DEDUP, [table.slice(0, cut), table.slice(cut)], params))
    order = sorted(table["id"].to_pylist(), key=lambda id: -table["id"].to_pylist().index(id))
    by_id = dict(zip(table["id"].to_pylist(), texts, strict=True))
    found = {row["id"]: (row["text"], row["n_bytes_repeated"], row["reject"]) for row in results.to_pylist()}
    assert found == expected(by_id, order, boundary, share)
    assert_one_copy_stays(results, by_id)


def assert_one_copy_stays(results: pa.Table, texts: dict[str, str]) -> None:
    """Every byte that went of a document that stays is, by the evidence, one of a document that stays."""
    rows = {row["id"]: row for row in results.to_pylist()}
    gone = {id: json.loads(row["repeated_passages"] or "[]") for id, row in rows.items()}
    for id, pieces in gone.items():
        for piece in pieces:
            passage = texts[id].encode()[piece["start"] : piece["stop"]]
            assert texts[piece["of"]].encode()[piece["at"] :].startswith(passage)
    before = {
        (id, piece["start"] + byte): (piece["of"], piece["at"] + byte)
        for id, pieces in gone.items()
        for piece in pieces
        for byte in range(piece["stop"] - piece["start"])
    }
    stays = {}

    def home(place: tuple[str, int]) -> str:
        passed = []
        while place in before and place not in stays:
            passed.append(place)
            place = before[place]
        found = stays.get(place, place[0])
        stays.update(dict.fromkeys(passed, found))
        return found

    for id, byte in before:
        if rows[id]["reject"] is None:
            assert rows[home((id, byte))]["reject"] is None, "a passage went whose first copy did not stay"


@pytest.mark.parametrize("length", [1, 3, 16, 33, 200])
@settings(max_examples=25)
@given(data=st.data())
def test_windows_are_those_of_a_suffix_array(length, data):
    divsufsort = pytest.importorskip("pydivsufsort", reason="pydivsufsort is not installed")
    parts = data.draw(texts)
    joined = b"".join(
        part.encode() + b"\xff" + bytes([number]) for number, part in enumerate(parts)
    )  # nothing spans two
    whole = np.frombuffer(joined, np.uint8).copy()
    order = divsufsort.divsufsort(whole)
    common = divsufsort.kasai(whole, order)
    ends = dict(windows_of_all(parts, length))
    expected = set()
    for rank, place in enumerate(order.tolist()):  # neighbors in the array share their longest beginning
        if place not in ends:
            continue
        size, head = ends[place] - place, place
        for before in range(rank - 1, -1, -1):
            if common[before] < size:
                break
            head = min(head, order[before])
        for after in range(rank, len(order) - 1):
            if common[after] < size:
                break
            head = min(head, order[after + 1])
        if head < place:
            expected |= {*range(place, ends[place])}
    assert repeated_bytes(parts, length) == expected


def windows_of_all(parts: list[str], length: int):
    before = 0
    for part in parts:
        yield from ((before + start, before + stop) for start, stop in windows(part.encode(), length))
        before += len(part.encode()) + 2


def repeated_bytes(parts: list[str], length: int) -> set[int]:
    """What the kernels find, as places in the texts with two bytes between them."""
    encoded = [part.encode() for part in parts]
    sizes = np.cumsum([0, *map(len, encoded)])
    data = np.frombuffer(b"".join(encoded), np.uint8)
    doc, start, last, stop, key = repeats.anchors(data, sizes, length)
    order = np.lexsort((start, doc, key))
    doc, start, last, stop, key = (column[order] for column in (doc, start, last, stop, key))
    groups = np.append(np.flatnonzero(np.append(True, key[1:] != key[:-1])[: len(key)]), len(key))
    bounds = np.append(0, np.cumsum(stop - start))
    held = repeats.slices(data, sizes[doc] + start, bounds)
    row, begin, end, _, _ = repeats.earlier_windows(held, bounds, groups, np.arange(len(doc)), last - start, length)
    shift = sizes[doc[row]] + 2 * doc[row] + start[row] - bounds[row]
    return {place for one, two in zip(begin + shift, end + shift, strict=True) for place in range(one, two)}


def test_a_release_has_one_copy_and_says_where_it_is(tmp_path):
    notice = " ".join(f"word{number} of the notice" for number in range(40))
    texts = [f"{' '.join(f'{page}x{word}' for word in range(60))}\n{notice}\n" for page in range(6)]
    path = one_source(tmp_path, [{"text": text} for text in texts], [], stages=["substring_dedup"])
    digests = set()
    for workers in (0, 2):
        made = release(path, tmp_path / f"work-{workers}", workers=workers)
        digests.add(made.lock["digest"])
    assert len(digests) == 1
    opened = curate.open_release(made.path)
    assert sum(notice in text for text in opened.documents().to_table()["text"].to_pylist()) == 1
    found = opened.query("select kept, repeated_passages from repeated_passages").to_pylist()
    assert [row["kept"] for row in found] == [True] * 5
    assert len({json.loads(row["repeated_passages"])[0]["of"] for row in found}) == 1
