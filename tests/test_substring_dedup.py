"""One copy of every passage stays, and exactly what stands in an earlier place goes."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.kernels import repeats
from curate.stage_api import find_stage
from curate.testing import docs, run_group

SUBSTRING_DEDUP = find_stage("substring_dedup")
LENGTH = 32


def windows(text: bytes, length: int):
    """(start, stop) of each shortest run of whole characters that has at least so many bytes."""
    begins = [i for i in range(len(text)) if text[i] & 0xC0 != 0x80] + [len(text)]
    for start in begins[:-1]:
        stop = next((place for place in begins if place >= start + length), None)
        if stop is not None:
            yield start, stop


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
    if boundary == "line":
        begins = {0, len(text), *(i + 1 for i, byte in enumerate(text) if byte == ord("\n"))}
    else:
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


pieces = st.sampled_from(["one two three four\n", "日本語の文章、", "-", "ab", "The quick brown fox jumps over.\n", "é"])
bits = st.builds(lambda piece, times: piece * times, pieces, st.sampled_from([1, 1, 1, 2, 40]))
texts = st.lists(st.lists(bits, max_size=8).map("".join), min_size=1, max_size=7)


@given(texts, st.data())
def test_equals_the_sequential_rule_on_any_texts_in_any_partitions(texts, data):
    table = docs(*texts)
    boundary = data.draw(st.sampled_from(["line", "character"]))
    share = data.draw(st.sampled_from([0.0, 0.5, 0.8, 1.0]))
    bins = data.draw(st.sampled_from([1, 4]))
    params = SUBSTRING_DEDUP.configure(
        {"min_bytes": LENGTH, "boundary": boundary, "max_share": share, "keep": ["-position"], "bins": bins}
    )
    cut = data.draw(st.integers(0, len(texts)))
    results = pa.concat_tables(run_group(SUBSTRING_DEDUP, [table.slice(0, cut), table.slice(cut)], params))
    order = sorted(table["id"].to_pylist(), key=lambda id: -table["id"].to_pylist().index(id))
    by_id = dict(zip(table["id"].to_pylist(), texts, strict=True))
    found = {
        row["id"]: (row["text"], row["n_bytes_repeated"], row["reject"]) for row in results.to_pylist()
    }
    assert found == expected(by_id, order, boundary, share)
    for row in results.to_pylist():  # every byte that goes stands where the evidence says
        for gone in json.loads(row["repeated_passages"] or "[]"):
            passage = by_id[row["id"]].encode()[gone["start"] : gone["stop"]]
            assert by_id[gone["of"]].encode()[gone["at"] :].startswith(passage)
