"""Calibration sets are drawn as a plain reference draws them, keep clear of what they must, and open in consumers."""

import json
import random
import re
import shutil
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from hypothesis import given
from hypothesis import strategies as st
from releases import curate, one_source, release, write_jsonl, write_manifest
from safetensors.numpy import load_file
from small_tokenizers import small_tokenizer
from texts import untimed

from curate.calibration import draw
from curate.calibration.calibrate import calibrate
from curate.calibration.distance import compare_sets
from curate.calibration.exclude import Exclusion
from curate.errors import CurateError
from curate.mix.hash_line import hash_line
from curate.models.resources import sha256
from curate.models.tokenizer import load
from curate.release.lock import digest_of

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"
SOURCES = {"news": (60, 40, 400), "code": (90, 10, 150), "chat": (150, 6, 40)}
"""Documents of each source, with the least and the most words of one."""
SMALL = {"sequences": 24, "length": 64}
QUESTION = "Which of the seven old bridges over the river was built before the great fire of that year?"


def prose(chance: random.Random, words: int) -> str:
    return " ".join("".join(chance.choices("abcdefghij", k=chance.randint(2, 7))) for _ in range(words))


def write_sources(folder: Path) -> dict:
    for number, (name, (count, least, most)) in enumerate(SOURCES.items()):
        chance = random.Random(number)
        texts = [prose(chance, chance.randint(least, most)) for _ in range(count)]
        write_jsonl(folder / f"{name}.jsonl", [{"text": text} for text in texts])
    return {"sources": {name: {"inputs": [f"{name}.jsonl"]} for name in SOURCES}}


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A release with counted tokens, documents held out, and two phases of which one sees documents again."""
    folder = tmp_path_factory.mktemp("small")
    mixture = {"validation": 0.1, "repeats": 2}
    mixture["phases"] = [
        {"name": "main", "budget": 30_000, "context": 32, "weights": {"news": 0.5, "code": 0.3, "chat": 0.2}},
        {"name": "late", "budget": 6_000, "weights": {"code": 1}},
    ]
    document = {"name": "small", "version": "1.0.0", "license": "cc0-1.0"} | write_sources(folder)
    document |= {"stages": [{"tokens": {"tokenizer": small_tokenizer()}}, "exact_dedup"], "mixture": mixture}
    return release(write_manifest(folder / "small.yaml", document | {"shards": {"size": "40KB"}}), folder / "work").path


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A release without tokens, phases and validation."""
    folder = tmp_path_factory.mktemp("plain")
    document = {"name": "plain", "version": "2.0.0", "license": "mine"} | write_sources(folder)
    return release(write_manifest(folder / "plain.yaml", document), folder / "work").path


def rows_of(path: Path, pattern: str) -> list[dict]:
    return [row for file in sorted((path / "data").glob(pattern)) for row in pq.read_table(file).to_pylist()]


def trained_rows(path: Path) -> list[dict]:
    held_out = held_out_ids(path)
    return [row for row in rows_of(path, "**/*.parquet") if row["id"] not in held_out]


def held_out_ids(path: Path) -> set[str]:
    return {row["id"] for row in rows_of(path, "validation/*.parquet")}


def pieces_of(path: Path) -> list[dict]:
    return pq.read_table(path / "documents.parquet").to_pylist()


def files_of(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


# The draw


def mixed(word: int) -> int:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        word = (word ^ word >> shift) * factor % 2**64
    return word ^ word >> 31


def reference_uniform(line: int, number: int) -> float:
    return (mixed(line ^ mixed(number + 1)) >> 11) / 2**53


def reference_quotas(weights: list[int], total: int) -> list[int]:
    exact = [Fraction(total * weight, sum(weights)) for weight in weights]
    whole = [int(part) for part in exact]
    by_rest = sorted(range(len(exact)), key=lambda place: whole[place] - exact[place])
    for place in by_rest[: total - sum(whole)]:
        whole[place] += 1
    return whole


def reference_order(docs: list[dict]) -> list[dict]:
    """Documents of one source, each with line, weight, gives and size, in the order of drawing, with their stratum."""
    total, before, drawn = sum(doc["weight"] for doc in docs), 0, []
    strata = [[] for _ in range(4)]
    for doc in sorted(docs, key=lambda doc: (doc["size"], doc["line"])):
        number = int(Fraction(2 * before + doc["weight"], 2 * total) * 4)
        strata[number].append(doc | {"stratum": number})
        before += doc["weight"]
    for stratum in strata:
        held, before = sum(doc["weight"] for doc in stratum), 0
        for doc in sorted(stratum, key=lambda doc: doc["line"]):
            drawn.append(doc | {"point": (before + reference_uniform(doc["line"], 0) * doc["gives"]) / held})
            before += doc["gives"]
    return sorted(drawn, key=lambda doc: (doc["point"], doc["line"]))


@untimed
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=9).filter(any), st.integers(0, 10**6))
def test_quotas_are_those_of_the_largest_remainder(weights, total):
    found = draw.quotas(np.array(weights, np.int64), total).tolist()
    assert found == reference_quotas(weights, total)
    assert sum(found) == total
    assert all(
        abs(one - Fraction(total * weight, sum(weights))) < 1 for one, weight in zip(found, weights, strict=True)
    )


@untimed
@given(
    st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2), st.integers(1, 9)), unique_by=lambda row: row[0]),
    st.randoms(),
)
def test_the_order_of_drawing_is_that_of_the_reference_whatever_the_order_of_the_rows(rows, chance):
    docs = [
        {"line": line, "source": source, "size": size, "weight": size, "gives": min(size, 4)}
        for line, source, size in rows
    ]
    expected = [doc for source in range(3) for doc in reference_order([doc for doc in docs if doc["source"] == source])]
    chance.shuffle(docs)
    columns = {
        name: np.array([doc[name] for doc in docs], kind)
        for name, kind in (
            ("line", np.uint64),
            ("source", np.int32),
            ("weight", np.int64),
            ("gives", np.int64),
            ("size", np.int64),
        )
    }
    found = draw.order(**columns, sources=3)
    assert [docs[row]["line"] for row in found.row] == [doc["line"] for doc in expected]
    assert [int(found.stratum[row]) for row in found.row] == [doc["stratum"] for doc in expected]
    assert found.start.tolist() == [sum(doc["source"] < source for doc in docs) for source in range(4)]


@given(st.integers(1, 30), st.integers(0, 99))
def test_strata_take_turns(count, seed):
    chance = np.random.default_rng(seed)
    line, size = chance.permutation(4 * count).astype(np.uint64), chance.integers(1, 99, 4 * count)
    one = np.ones(4 * count, np.int64)
    found = draw.order(line, np.zeros(4 * count, np.int32), one, one, size, 1)
    assert np.sort(found.stratum[found.row].reshape(-1, 4)).tolist() == [[0, 1, 2, 3]] * count
    largest = [size[found.stratum == stratum].max() for stratum in range(3)]
    assert all(most <= size[found.stratum > stratum].min() for stratum, most in enumerate(largest))


def reference_set(path: Path, total: int, length: int, seed: int, fill: bool) -> list[list[int]]:
    """The sequences of a set, from rows and with lists alone; no document of these releases resembles another one."""
    tokenizer, rows = load(small_tokenizer()).exact, trained_rows(path)
    ids = {row["id"]: tokenizer.encode(row["text"], add_special_tokens=False).ids for row in rows}
    lines = dict(zip(ids, hash_line(pa.chunked_array([list(ids)]), seed).tolist(), strict=True))
    made, by_source, weights = [], {}, []
    for source in sorted(SOURCES):
        mine = {row["id"]: row for row in rows if row["source"] == source}
        docs = []
        for id, row in mine.items():
            size = row.get("n_tokens") or -(-len(row["text"].encode()) // 4)
            weight, gives = (size, min(size, length)) if fill else (-(-size // length), 1)
            docs.append({"id": id, "line": lines[id], "size": size, "weight": weight, "gives": gives})
        weight_of = {doc["id"]: doc["weight"] for doc in docs}
        weights.append(sum(weight_of[row["id"]] for row in rows if row["source"] == source))
        by_source[source] = reference_order(docs)
    for quota, docs in zip(reference_quotas(weights, total), by_source.values(), strict=True):
        mine, open_one = [], None
        for doc in docs:
            tokens, at = ids[doc["id"]], reference_uniform(doc["line"], 1)
            order = reference_uniform(doc["line"], 2)
            if len(mine) == quota:
                break
            if not fill:
                start = int(at * -(-len(tokens) // length)) * length
                mine.append((order, tokens[start : start + length]))
            elif len(tokens) >= length:
                start = int(at * (len(tokens) - length + 1))
                mine.append((order, tokens[start : start + length]))
            else:
                open_one = open_one or (order, [])
                open_one[1].extend(tokens)
                if len(open_one[1]) >= length:
                    mine.append((open_one[0], open_one[1][:length]))
                    open_one = None
        made += mine
    return [tokens for _, tokens in sorted(made)]


@pytest.mark.parametrize("seed", [0, 7])
def test_a_set_is_the_one_that_a_plain_reference_draws(small, tmp_path, seed):
    made = calibrate(small, "gptq", **SMALL, seed=seed, to=tmp_path / "gptq")
    found = load_file(made.path / "calibration.safetensors")["input_ids"]
    assert found.tolist() == reference_set(small, 24, 64, seed, fill=True)
    made = calibrate(small, "kernel", sequences=20, seed=seed, to=tmp_path / "kernel")
    packed = load_file(made.path / "kernel.safetensors")
    found = [packed["input_ids"][start:stop].tolist() for start, stop in pairwise(packed["cu_seqlens"])]
    assert found == reference_set(small, 20, 32, seed, fill=False)  # 32 is the longest context of its phases


def test_sources_have_their_share_to_one_sequence_and_lengths_theirs(small, tmp_path):
    made = calibrate(small, "gptq", **SMALL, to=tmp_path / "set")
    rows = trained_rows(small)
    total = sum(row["n_tokens"] for row in rows)
    for name, source in made.lock["sources"].items():
        share = sum(row["n_tokens"] for row in rows if row["source"] == name) / total
        assert source["share"] == pytest.approx(share, abs=1e-6)
        assert abs(source["sequences"] - 24 * share) < 1
        assert source["tokens"] == 64 * source["sequences"]
    assert sum(stratum["documents"] for stratum in made.lock["strata"]) == made.lock["counts"]["documents"]
    assert len(made.lock["strata"]) == 4


def test_nothing_is_drawn_twice_nor_what_is_held_out(small, tmp_path):
    assert held_out_ids(small)
    pieces = pieces_of(calibrate(small, "kernel", sequences=40, to=tmp_path / "set").path)
    ids = [piece["id"] for piece in pieces]
    assert len(ids) == len(set(ids)) == 40
    assert not set(ids) & held_out_ids(small)
    known = {row["id"]: row for row in trained_rows(small)}
    for piece in pieces:
        assert (piece["source"], piece["n_tokens"]) == (known[piece["id"]]["source"], known[piece["id"]]["n_tokens"])
        assert 0 <= piece["start"] < piece["stop"] <= piece["n_tokens"]


def test_a_phase_is_drawn_from_alone(small, tmp_path):
    made = calibrate(small, "kernel", sequences=10, phase="late", to=tmp_path / "set")
    assert {piece["id"] for piece in pieces_of(made.path)} <= {row["id"] for row in rows_of(small, "late/*.parquet")}
    assert made.lock["options"]["length"] == 2048  # this phase names no context
    with pytest.raises(CurateError, match="no phase `lat`") as error:
        calibrate(small, phase="lat", to=tmp_path / "none")
    assert error.value.fix == "did you mean `late`?"


@pytest.mark.parametrize("end", ["<unk>", None])
def test_token_shards_say_which_tokenizer_context_and_end_of_text(tmp_path, end):
    texts = [{"text": prose(random.Random(row), 20)} for row in range(40)]
    tokens = {"tokenizer": small_tokenizer(), "context": 16, "eos": end}
    made = release(one_source(tmp_path, texts, [], tokens=tokens), tmp_path / "work").path
    options = calibrate(made, "kernel", sequences=9, to=tmp_path / "set").lock["options"]
    assert (options["length"], options["end"]) == (16, end)
    assert (
        calibrate(made, "awq", sequences=9, length=99, end="<s>", to=tmp_path / "other").lock["options"]["end"] == "<s>"
    )


def with_texts(path: Path, folder: Path, change) -> Path:
    """A copy of a release of one shard, with other rows."""
    shutil.copytree(path, folder)
    lock = json.loads((folder / "lock.json").read_text())
    (file,) = (folder / "data").glob("*.parquet")
    table = pq.read_table(file)
    rows, held_out = change(table.to_pylist())
    pq.write_table(pa.Table.from_pylist(rows, table.schema), file)
    if held_out:
        (folder / "data" / "validation").mkdir()
        name = "data/validation/validation-00000-of-00001.parquet"
        pq.write_table(pa.Table.from_pylist(held_out, table.schema), folder / name)
        size = (folder / name).stat().st_size
        lock["files"].append({"path": name, "bytes": size, "sha256": "0" * 64, "rows": 5, "text_bytes": 1})
    (folder / "lock.json").write_text(json.dumps(lock))
    return folder


def test_what_resembles_a_held_out_document_or_another_one_is_passed_over(plain, tmp_path):
    def change(rows):
        held_out = [row | {"id": f"{number:032x}"} for number, row in enumerate(rows[:5])]
        rows[1]["text"] = rows[1]["text"].upper().replace(" ", "\n")
        rows[2]["text"] += " and one more"
        copies = [row | {"id": f"{number:032x}"} for number, row in enumerate(rows[5:9], 1000)]
        return rows + copies, held_out

    changed = with_texts(plain, tmp_path / "changed", change)
    every = len(trained_rows(changed))
    with pytest.raises(CurateError, match=f"{every - 9} can be drawn"):
        calibrate(changed, "kernel", tokenizer=small_tokenizer(), sequences=every, to=tmp_path / "set")
    made = calibrate(changed, "kernel", tokenizer=small_tokenizer(), sequences=every - 9, to=tmp_path / "set")
    texts = {row["id"]: row["text"] for row in trained_rows(changed)}
    drawn = [texts[piece["id"]] for piece in pieces_of(made.path)]
    assert len(drawn) == len(set(drawn)) == every - 9
    assert made.lock["left_out"]["validation"] == made.lock["held_out"] == 5
    assert 0 < made.lock["left_out"]["repeat"] <= 4
    assert "compared with all 5" in (made.path / "README.md").read_text()


def test_questions_of_evaluation_sets_are_passed_over(plain, tmp_path):
    def change(rows):
        for row in rows[:3]:
            row["text"] += f" {QUESTION.upper()} "
        return rows, []

    changed = with_texts(plain, tmp_path / "changed", change)
    write_jsonl(tmp_path / "bridges.test.jsonl", [{"question": QUESTION, "answer": 3}])
    options = {"tokenizer": small_tokenizer(), "sequences": 297, "to": tmp_path / "set"}
    before = calibrate(changed, "kernel", **options)
    assert "Not decontaminated" in (before.path / "README.md").read_text()
    made = calibrate(changed, "kernel", **options, against=[str(tmp_path / "bridges.test.jsonl")])
    assert made.changed
    assert made.lock["left_out"] == {"evaluation": 3}
    assert made.lock["against"] == {
        "bridges": {"sha256": sha256(tmp_path / "bridges.test.jsonl"), "columns": ["question", "answer"]}
    }
    assert "Evaluation set bridges" in (made.path / "README.md").read_text()


def test_exclusion_looks_at_documents_as_they_are_not_as_they_lie():
    texts = ["a b c d e f g h", "A b, c d e f g -- h!", "", "quite another text of some more words than these"]
    exclusion = Exclusion([pa.chunked_array([texts[:1]])], {})
    keys, reasons = exclusion.look(pa.table({"id": list("wxyz"), "text": texts}))
    assert reasons == ["validation", "validation", None, None]
    assert [exclusion.repeats(key) for key in keys] == [False, True, False, False]


def test_a_source_that_lacks_documents_is_made_up_for_and_it_is_said(plain, tmp_path):
    made = calibrate(plain, "kernel", tokenizer=small_tokenizer(), sequences=280, to=tmp_path / "set", length=32)
    lacking = {name for name, source in made.lock["sources"].items() if source["sequences"] < source["asked"]}
    assert lacking == {"news"}  # its documents are long, and each gives but one chunk
    assert sum(source["sequences"] for source in made.lock["sources"].values()) == 280
    assert "news had too few documents" in (made.path / "README.md").read_text()


# The same bytes


def test_the_same_bytes_whatever_the_layout_and_unchanged_when_run_again(small, tmp_path):
    first = calibrate(small, "gptq", **SMALL, to=tmp_path / "first")
    assert first.changed
    assert not calibrate(small, "gptq", **SMALL, to=tmp_path / "first").changed
    moved = small.parents[1] / "moved" / "1.0.0"  # the work folder knows where the tokenizer is
    shutil.copytree(small, moved)
    lock = json.loads((moved / "lock.json").read_text())
    rows = pa.concat_tables(pq.read_table(file) for file in sorted((moved / "data").glob("[lm]*/*.parquet")))
    for folder in ("main", "late"):
        shutil.rmtree(moved / "data" / folder)
    (moved / "data" / "other").mkdir()
    order = np.random.default_rng(5).permutation(rows.num_rows)
    names = [f"data/other/{number}.parquet" for number in range(2)]
    for name, part in zip(names, np.array_split(order, 2), strict=True):
        pq.write_table(rows.take(pa.array(part)), moved / name, row_group_size=37)
    lock["files"] = [
        file for file in lock["files"] if "data/late" not in file["path"] and "data/main" not in file["path"]
    ]
    lock["files"] += [{"path": name, "bytes": 1, "sha256": "0" * 64, "rows": 1, "text_bytes": 1} for name in names]
    (moved / "lock.json").write_text(json.dumps(lock))
    assert files_of(calibrate(moved, "gptq", **SMALL, to=tmp_path / "second").path) == files_of(first.path)


@pytest.mark.parametrize("change", [{"seed": 1}, {"length": 63}, {"sequences": 23}, {"join": False}, {"end": "<s>"}])
def test_another_option_makes_another_set(small, tmp_path, change):
    first = calibrate(small, "gptq", **SMALL, to=tmp_path / "set").lock
    again = calibrate(small, "gptq", **SMALL | change, to=tmp_path / "set")
    assert again.changed
    assert again.lock["digest"] != first["digest"]


def test_a_damaged_set_is_made_again_and_a_lock_tells_no_place(small, tmp_path):
    made = calibrate(small, "imatrix", tokens=600, length=50, to=tmp_path / "set")
    before = files_of(made.path)
    (made.path / "calibration.txt").write_text("cut")
    again = calibrate(small, "imatrix", tokens=600, length=50, to=tmp_path / "set")
    assert again.changed
    assert files_of(again.path) == before
    assert str(tmp_path) not in json.dumps(made.lock)
    assert made.lock["files"] == {name: sha256(made.path / name) for name in sorted(before) if name != "lock.json"}
    assert made.lock["digest"] == digest_of(made.lock["files"].items())


def test_what_is_interrupted_leaves_nothing_and_what_was_there(small, tmp_path, monkeypatch):
    first = files_of(calibrate(small, "gptq", **SMALL, to=tmp_path / "set").path)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("curate.calibration.calibrate.card", stop)
    for folder in ("set", "new"):
        with pytest.raises(KeyboardInterrupt):
            calibrate(small, "gptq", **SMALL, seed=9, to=tmp_path / folder)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert files_of(tmp_path / "set") == first


def test_only_a_set_is_replaced(small, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(CurateError, match="output folder is not empty"):
        calibrate(small, "gptq", **SMALL, to=tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"
    made = calibrate(small, "gptq", **SMALL, to=tmp_path / "set").path
    (made / "model-4bit").mkdir()
    with pytest.raises(CurateError, match="output folder is not empty"):
        calibrate(small, "gptq", **SMALL, seed=9, to=made)
    assert (made / "model-4bit").is_dir()
    assert not calibrate(small, "gptq", **SMALL, to=made).changed


# What consumers get


def test_gptq_and_awq_open_as_tensors_and_as_a_dataset(small, tmp_path):
    tokenizer, texts = load(small_tokenizer()), {row["id"]: row["text"] for row in trained_rows(small)}
    for recipe in ("gptq", "awq"):
        made = calibrate(small, recipe, **SMALL, end="<unk>", to=tmp_path / recipe)
        tensors = load_file(made.path / "calibration.safetensors")
        assert {name: (one.shape, one.dtype) for name, one in tensors.items()} == {
            "input_ids": ((24, 64), np.int64),
            "attention_mask": ((24, 64), np.int64),
        }
        assert tensors["attention_mask"].all()
        rows = load_dataset("parquet", data_files=str(made.path / "calibration.parquet"), split="train")
        assert rows.column_names == ["text", "input_ids", "attention_mask", "source"]
        assert rows["input_ids"][:] == tensors["input_ids"].tolist()
        assert rows["attention_mask"][:] == tensors["attention_mask"].tolist()
        assert load_dataset(str(made.path), split="train")[:] == rows[:]  # the card says which file
        pieces = pieces_of(made.path)
        for number, row in enumerate(rows):
            mine = [piece for piece in pieces if piece["sequence"] == number]
            expected = []
            for piece in mine:
                expected += tokenizer.encode([texts[piece["id"]]])[0][piece["start"] : piece["stop"]].tolist()
                expected += [tokenizer.id_of("<unk>")] if len(expected) < 64 else []
            assert row["input_ids"] == expected
            assert row["text"] == tokenizer.decode(np.array(expected))
            assert {piece["source"] for piece in mine} == {row["source"]}


def test_without_joining_every_sequence_is_a_window_of_one_document(small, tmp_path):
    made = calibrate(small, "awq", sequences=24, length=100, join=False, to=tmp_path / "set")
    assert all(piece["stop"] - piece["start"] == 100 <= piece["n_tokens"] for piece in pieces_of(made.path))
    assert made.lock["left_out"]["too_short"] > 0


def test_imatrix_is_text_of_the_size_that_was_asked(small, tmp_path):
    made = calibrate(small, "imatrix", tokens=1000, length=100, to=tmp_path / "set")
    assert made.lock["counts"]["tokens"] == 1000
    texts = (made.path / "calibration.txt").read_text().removesuffix("\n").split("\n\n")
    pieces, known = pieces_of(made.path), {row["id"]: row["text"] for row in trained_rows(small)}
    assert len(texts) == len(pieces)
    for text, piece in zip(texts, pieces, strict=True):
        assert text in known[piece["id"]]
        assert piece["stop"] < piece["n_tokens"] or piece["start"] or text == known[piece["id"]]
    assert len(load(small_tokenizer()).encode(["\n\n".join(texts)])[0]) == pytest.approx(1000, abs=2 * len(pieces))


def test_kernel_holds_what_variable_length_attention_takes(small, tmp_path):
    made = calibrate(small, "kernel", sequences=40, length=50, to=tmp_path / "set")
    tensors = load_file(made.path / "kernel.safetensors")
    ids, lengths = tensors["input_ids"], np.diff(tensors["cu_seqlens"])
    assert {name: one.dtype for name, one in tensors.items()} == {
        "input_ids": np.int32,
        "cu_seqlens": np.int32,
        "max_seqlen": np.int32,
        "token_counts": np.int64,
        "length_edges": np.int64,
        "length_counts": np.int64,
    }
    assert tensors["cu_seqlens"][0] == 0
    assert tensors["cu_seqlens"][-1] == len(ids)
    assert (lengths > 0).all()
    assert tensors["max_seqlen"].shape == ()
    assert tensors["max_seqlen"] == lengths.max() <= 50
    assert tensors["token_counts"].tolist() == [(ids == token).sum() for token in range(load(small_tokenizer()).ids)]
    bins = list(pairwise(tensors["length_edges"].tolist()))
    assert tensors["length_counts"].tolist() == [((lengths >= a) & (lengths < b)).sum() for a, b in bins]
    assert tensors["length_counts"].sum() == 40
    assert [piece["stop"] - piece["start"] for piece in pieces_of(made.path)] == lengths.tolist()


def test_sets_open_in_pytorch(small, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its reading of the sets is not tried")
    from safetensors.torch import load_file as load_tensors

    gptq = load_tensors(calibrate(small, "gptq", **SMALL, to=tmp_path / "gptq").path / "calibration.safetensors")
    assert (gptq["input_ids"].shape, gptq["input_ids"].dtype) == ((24, 64), torch.int64)
    kernel = load_tensors(calibrate(small, "kernel", sequences=20, to=tmp_path / "kernel").path / "kernel.safetensors")
    table = torch.nn.Embedding(len(kernel["token_counts"]), 8)
    parts = torch.nested.nested_tensor_from_jagged(table(kernel["input_ids"]), kernel["cu_seqlens"].long())
    lengths = [len(part) for part in parts.unbind()]
    assert max(lengths) == kernel["max_seqlen"].item()
    assert len(lengths) == 20


def test_a_model_of_transformers_takes_a_batch_as_it_is(small, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: no model is run on a set")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: no model is run on a set")
    from safetensors.torch import load_file as load_tensors

    made = calibrate(small, "gptq", **SMALL, to=tmp_path / "set")
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.LlamaConfig(vocab_size=made.lock["tokenizer"]["ids"], **size, num_key_value_heads=2)
    batch = load_tensors(made.path / "calibration.safetensors")
    with torch.no_grad():
        logits = transformers.LlamaForCausalLM(config)(**batch).logits
    assert logits.shape == (24, 64, config.vocab_size)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(made.path / "tokenizer.json"))
    assert tokenizer.decode(batch["input_ids"][0]) == load(small_tokenizer()).decode(batch["input_ids"][0].numpy())


# Comparison


def test_a_set_is_at_no_distance_from_itself_and_distances_are_symmetric(small, plain, tmp_path):
    one = calibrate(small, "gptq", **SMALL, to=tmp_path / "one").path
    other = calibrate(plain, "kernel", tokenizer=small_tokenizer(), sequences=60, to=tmp_path / "other").path
    text = calibrate(small, "imatrix", tokens=900, length=90, to=tmp_path / "text").path
    for path in (one, other, text):
        same = compare_sets(path, path)
        assert same["distance"] == {"tokens": 0, "lengths": 0, "sources": 0}
        assert same["set"]["missing"] == 0
        assert same["largest"] == []
    there, back = compare_sets(one, other), compare_sets(other, one)
    assert there["distance"] == back["distance"]
    assert there["set"] == back["other"]
    assert all(0 < distance < 1 for distance in there["distance"].values())
    assert compare_sets(one, text)["distance"]["tokens"] > 0


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
    found = compare_sets(made.path, tmp_path / "generic.parquet")
    for name, distance in found["distance"].items():
        assert distance == pytest.approx(expected[name], abs=1e-6)
    assert found["set"]["missing"] == pytest.approx(expected["missing"], abs=1e-6)
    assert found["set"]["missing"] > 0
    whole = compare_sets(made.path, plain)
    assert whole["other"]["tokens"] == sum(
        len(ids) for ids in load(small_tokenizer()).encode([row["text"] for row in rows])
    )
    assert 0 < whole["distance"]["tokens"] < found["distance"]["tokens"]


def test_a_text_file_has_tokens_alone(small, tmp_path):
    made = calibrate(small, "gptq", **SMALL, to=tmp_path / "set")
    (tmp_path / "wiki.txt").write_text("= Heading =\n\nThe committee met on Tuesday.\n" * 20)
    found = compare_sets(made.path, tmp_path / "wiki.txt")
    assert found["distance"]["tokens"] > 0.5
    assert found["distance"]["lengths"] is None
    assert found["distance"]["sources"] is None
    assert found["largest"][0]["other"] != found["largest"][0]["set"]
    assert {source["other"] for source in found["sources"].values()} == {None}


# Mistakes


def mistake(*args, **options) -> str:
    with pytest.raises(CurateError) as error:
        calibrate(*args, **options)
    assert error.value.fix
    return str(error.value)


def test_mistakes_are_told_with_numbers_and_a_mend(small, plain, tmp_path):
    to = {"to": tmp_path / "none"}
    assert "no recipe `gtpq`" in mistake(small, "gtpq", **to)
    assert "did you mean `gptq`?" in mistake(small, "gtpq", **to)
    assert "`gptq` takes no --tokens" in mistake(small, "gptq", tokens=9, **to)
    assert "`imatrix` takes no --sequences" in mistake(small, "imatrix", sequences=9, **to)
    assert "no lock.json" in mistake(tmp_path, **to)
    assert "no token `<end>`" in mistake(small, end="<end>", **to)
    assert "it names no tokenizer" in mistake(plain, **to)
    assert "cu_seqlens" in mistake(small, "kernel", sequences=10**9, length=3, **to)
    for recipe, option in (("gptq", "sequences"), ("kernel", "sequences"), ("awq", "length"), ("imatrix", "tokens")):
        for value in (-1, 0, 10**20):
            assert f"--{option} {value} is out of range" in mistake(small, recipe, **{option: value}, **to)
    assert "can be drawn from" in mistake(small, "gptq", sequences=2**31 - 1, length=2**31 - 1, **to)
    (tmp_path / "tokenizer.json").write_text("{")
    assert "is not JSON" in mistake(small, tokenizer=str(tmp_path / "tokenizer.json"), **to)
    (tmp_path / "questions.jsonl").write_text("?")
    assert "cannot read the evaluation set" in mistake(small, against=[str(tmp_path / "questions.jsonl")], **to)
    (tmp_path / "none.jsonl").write_text("")
    assert "the evaluation set is empty" in mistake(small, against=[str(tmp_path / "none.jsonl")], **to)
    longest = max(row["n_tokens"] for row in trained_rows(small))
    said = mistake(small, "gptq", length=longest + 1, join=False, **to)
    assert f"the longest document has {longest:,} tokens, fewer than the {longest + 1:,} of a sequence" in said
    assert f"--length of at most {longest}" in said
    assert not (tmp_path / "none").exists()


def test_too_few_tokens_name_what_can_be_had_and_that_can_be_had(small, tmp_path):
    for recipe, option in (("gptq", "sequences"), ("kernel", "sequences"), ("imatrix", "tokens")):
        said = mistake(small, recipe, **{option: 10**6}, length=500, to=tmp_path / recipe)
        enough = int(re.search(rf"ask for fewer \(--{option} (\d+)\)", said)[1])
        assert f"{-(-(10**6) // 500) if recipe == 'imatrix' else 10**6:,} sequences of 500 tokens requested" in said
        made = calibrate(small, recipe, **{option: enough}, length=500, to=tmp_path / recipe)
        assert made.lock["counts"]["sequences"] > 10


def test_ids_that_do_not_fit_are_refused(small, tmp_path):
    spec = json.loads(Path(small_tokenizer()).read_text())
    spec["added_tokens"].append(spec["added_tokens"][0] | {"id": 3_000_000_000, "content": "<far>"})
    spec["model"]["vocab"]["<far>"] = 3_000_000_000
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    said = mistake(small, "kernel", tokenizer=str(tmp_path / "tokenizer.json"), to=tmp_path / "none")
    assert "highest id is 3,000,000,000; int32 holds up to 2,147,483,647" in said


def test_a_shard_that_is_gone_or_damaged_is_named(plain, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(plain, broken)
    (shard,) = (broken / "data").glob("*.parquet")
    whole = shard.read_bytes()
    middle = len(whole) // 3
    for damaged in (whole[:-9], whole[:4] + bytes(40) + whole[44:], whole[:middle] + b"?" + whole[middle + 1 :]):
        shard.write_bytes(damaged)
        assert "a shard cannot be read" in mistake(broken, tokenizer=small_tokenizer(), to=tmp_path / "none")
    shard.unlink()
    said = mistake(broken, tokenizer=small_tokenizer(), to=tmp_path / "none")
    assert shard.name in said
    assert "curate verify" in said


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
        (made.path, tmp_path / "a.parquet", "no column `text`; there are content"),
        (made.path, tmp_path / "numbers.parquet", "nothing to compare with"),
        (made.path, tmp_path / "nested.parquet", "nothing to compare with"),
        (made.path, tmp_path / "cut.parquet", "nothing to compare with"),
        (made.path, tmp_path / "gone", "a calibration set cannot be read"),
        (made.path, tmp_path / "unnamed", "a calibration set cannot be read"),
        (tmp_path / "short", made.path, "a calibration set cannot be read"),
    ):
        with pytest.raises(CurateError, match=said):
            compare_sets(one, other)


# The command


def test_the_command_draws_and_compares(small, tmp_path):
    said = curate("calibrate", small, "--recipe", "awq", "--sequences", "9", "--length", "40", "--to", tmp_path / "set")
    assert said.returncode == 0, said.stderr
    assert "9 sequences, 360 tokens" in said.stdout
    assert "not decontaminated" in said.stdout
    assert "(unchanged)" not in said.stdout
    options = ("--recipe", "awq", "--sequences", "9", "--length", "40", "--work", tmp_path)
    found = json.loads(curate("calibrate", small, *options, "--json").stdout)
    assert found["set"] == str(tmp_path / "calibration" / "small-1.0.0" / "awq")
    assert found["lock"]["digest"] in said.stdout
    said = curate("calibrate", tmp_path / "set", "--recipe", "compare", "--with", found["set"])
    assert [line.split()[:2] for line in said.stdout.splitlines() if "0.0000" in line] == [
        ["tokens", "0.0000"],
        ["lengths", "0.0000"],
        ["sources", "0.0000"],
    ]


@pytest.mark.skipif(not SHARED.is_dir(), reason="no real tokenizer and texts in ../shared/data")
def test_with_a_real_tokenizer_every_id_stands_where_the_documents_say(plain, tmp_path):
    tokenizer = str(SHARED / "tokenizers" / "gpt-neox-dolma.json")
    made = calibrate(plain, "gptq", tokenizer=tokenizer, sequences=12, length=128, to=tmp_path / "set")
    assert made.lock["options"]["end"] == "<|endoftext|>"
    ids = load_file(made.path / "calibration.safetensors")["input_ids"]
    end = load(tokenizer).id_of("<|endoftext|>")
    joined = [number for number in range(12) if sum(piece["sequence"] == number for piece in pieces_of(made.path)) > 1]
    assert joined
    assert {number for number in range(12) if end in ids[number]} == set(joined)
