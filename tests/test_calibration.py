"""Calibration sets are drawn as a plain reference draws them, keep clear of what they must, and open in consumers."""

import json
import random
import shutil
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from calibrations import SMALL, SOURCES, files_of, held_out_ids, pieces_of, plain, prose, rows_of, small, trained_rows  # noqa: F401
from hypothesis import given
from hypothesis import strategies as st
from releases import curate, one_source, release, write_jsonl
from safetensors.numpy import load_file
from small_tokenizers import small_tokenizer
from texts import untimed

from curate.calibration import draw
from curate.calibration.calibrate import calibrate
from curate.calibration.exclude import Exclusion
from curate.errors import CurateError
from curate.mix.hash_line import hash_line
from curate.models.resources import sha256
from curate.models.tokenizer import load
from curate.release.lock import digest_of

QUESTION = "Which of the seven old bridges over the river was built before the great fire of that year?"


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
    said = curate("compare", tmp_path / "set", found["set"])
    assert [line.split()[:2] for line in said.stdout.splitlines() if "0.0000" in line] == [
        ["tokens", "0.0000"],
        ["lengths", "0.0000"],
        ["sources", "0.0000"],
    ]
