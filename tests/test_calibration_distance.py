"""How far two calibration sets differ, by the formulas, and what cannot be compared."""

import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from calibrations import SMALL, SOURCES, pieces_of, plain, small, trained_rows  # noqa: F401
from small_tokenizers import small_tokenizer

from curate.calibration.calibrate import calibrate
from curate.calibration.distance import compare
from curate.errors import CurateError
from curate.models.tokenizer import load

# Comparison


def test_a_set_is_at_no_distance_from_itself_and_distances_are_symmetric(small, plain, tmp_path):
    one = calibrate(small, "gptq", **SMALL, to=tmp_path / "one").path
    other = calibrate(plain, "kernel", tokenizer=small_tokenizer(), sequences=60, to=tmp_path / "other").path
    text = calibrate(small, "imatrix", tokens=900, length=90, to=tmp_path / "text").path
    for path in (one, other, text):
        same = compare(path, path)
        assert same["distance"] == {"tokens": 0, "lengths": 0, "sources": 0}
        assert same["set"]["missing"] == 0
        assert same["largest"] == []
    there, back = compare(one, other), compare(other, one)
    assert there["distance"] == back["distance"]
    assert there["set"] == back["other"]
    assert all(0 < distance < 1 for distance in there["distance"].values())
    assert compare(one, text)["distance"]["tokens"] > 0


def reference_distances(here: list[dict], there: list[dict], tokenizer) -> dict[str, float]:
    """Of texts with sources, by the formulas."""
    bags, lengths, sources = [], [], []
    for rows in (here, there):
        encoded = [tokenizer.encode([row["text"]])[0].tolist() for row in rows]
        total = sum(map(len, encoded))
        counts = Counter(token for ids in encoded for token in ids)
        bags.append({token: count / total for token, count in counts.items()})
        lengths.append([(len(ids), len(ids) / total) for ids in encoded])
        sources.append(
            {
                name: sum(len(ids) for ids, row in zip(encoded, rows, strict=True) if row["source"] == name) / total
                for name in SOURCES
            }
        )
    p, q = bags
    divergence = sum(
        part / 2 * np.log2(part / ((p.get(token, 0) + q.get(token, 0)) / 2))
        for one in bags
        for token, part in one.items()
    )
    points = {length for one in lengths for length, _ in one}
    below = [[sum(part for length, part in one if length <= point) for point in sorted(points)] for one in lengths]
    return {
        "tokens": divergence**0.5,
        "lengths": max(abs(a - b) for a, b in zip(*below, strict=True)),
        "sources": sum(abs(sources[0][name] - sources[1][name]) for name in SOURCES) / 2,
        "missing": sum(part for token, part in q.items() if token not in p),
    }


def test_distances_are_those_of_the_formulas(plain, tmp_path):
    rows = trained_rows(plain)
    longest = 10_000  # so that each document of the set is whole
    made = calibrate(plain, "kernel", tokenizer=small_tokenizer(), sequences=50, length=longest, to=tmp_path / "set")
    drawn = {piece["id"] for piece in pieces_of(made.path)}
    generic = [{"text": row["text"] + " 数据 QQ", "source": row["source"]} for row in rows if row["source"] != "chat"]
    pq.write_table(pa.Table.from_pylist(generic), tmp_path / "generic.parquet")
    expected = reference_distances([row for row in rows if row["id"] in drawn], generic, load(small_tokenizer()))
    found = compare(made.path, tmp_path / "generic.parquet")
    for name, distance in found["distance"].items():
        assert distance == pytest.approx(expected[name], abs=1e-6)
    assert found["set"]["missing"] == pytest.approx(expected["missing"], abs=1e-6)
    assert found["set"]["missing"] > 0
    whole = compare(made.path, plain)
    assert whole["other"]["tokens"] == sum(
        len(ids) for ids in load(small_tokenizer()).encode([row["text"] for row in rows])
    )
    assert 0 < whole["distance"]["tokens"] < found["distance"]["tokens"]


def test_a_text_file_has_tokens_alone(small, tmp_path):
    made = calibrate(small, "gptq", **SMALL, to=tmp_path / "set")
    (tmp_path / "wiki.txt").write_text("= Heading =\n\nThe committee met on Tuesday.\n" * 20)
    found = compare(made.path, tmp_path / "wiki.txt")
    assert found["distance"]["tokens"] > 0.5
    assert found["distance"]["lengths"] is None
    assert found["distance"]["sources"] is None
    assert found["largest"][0]["other"] != found["largest"][0]["set"]
    assert {source["other"] for source in found["sources"].values()} == {None}


def test_what_cannot_be_compared_is_refused(small, tmp_path):
    made = calibrate(small, "gptq", **SMALL, to=tmp_path / "set")
    shutil.copytree(made.path, tmp_path / "other")
    shutil.copy(small_tokenizer("unigram"), tmp_path / "other" / "tokenizer.json")
    pq.write_table(pa.table({"content": ["a"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": [1]}), tmp_path / "numbers.parquet")
    pq.write_table(pa.table({"text": ["a"], "source": [{"url": "b"}]}), tmp_path / "nested.parquet")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1" + bytes(99) + b"\x10\0\0\0PAR1")
    for broken, file in (("gone", "documents.parquet"), ("unnamed", "tokenizer.json")):
        shutil.copytree(made.path, tmp_path / broken)
        (tmp_path / broken / file).unlink()
    shutil.copytree(made.path, tmp_path / "short")
    (tmp_path / "short" / "calibration.safetensors").write_bytes(b"?")
    for one, other, said in (
        (small, made.path, "not a calibration set"),
        (made.path, tmp_path / "other", "different tokenizers"),
        (made.path, tmp_path / "nowhere.txt", "nothing to compare with"),
        (made.path, tmp_path / "a.parquet", "no column `text`; the columns are content"),
        (made.path, tmp_path / "numbers.parquet", "nothing to compare with"),
        (made.path, tmp_path / "nested.parquet", "nothing to compare with"),
        (made.path, tmp_path / "cut.parquet", "nothing to compare with"),
        (made.path, tmp_path / "gone", "a calibration set cannot be read"),
        (made.path, tmp_path / "unnamed", "a calibration set cannot be read"),
        (tmp_path / "short", made.path, "a calibration set cannot be read"),
    ):
        with pytest.raises(CurateError, match=said):
            compare(one, other)
