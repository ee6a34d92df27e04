"""Calibration sets from several releases by weights, from conversations, and what a set covers of its releases."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from calibrations import SMALL, files_of, pieces_of, plain, small, trained_rows  # noqa: F401
from chat_releases import manifest
from chat_templates import chat_tokenizer
from releases import curate, release
from safetensors.numpy import load_file
from small_tokenizers import small_tokenizer

from curate.calibration.calibrate import calibrate
from curate.calibration.distance import compare
from curate.calibration.shards import Pool, documents, open_shards, sample
from curate.errors import CurateError
from curate.models.tokenizer import load


@pytest.fixture(scope="module")
def talks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("talks")
    return folder, release(manifest(folder), folder / "work").path


def drawn_from(made):
    """{release: sequences}, by the names of sources."""
    found = {}
    for name, source in made.lock["sources"].items():
        of = name.partition("/")[0]
        found[of] = found.get(of, 0) + source["sequences"]
    return found


def test_releases_have_the_share_of_their_weights(small, plain, tmp_path):
    def draw(weights, **more):
        given = SMALL | {"tokenizer": small_tokenizer(), "weights": weights, "to": tmp_path / "set"} | more
        return calibrate([small, plain], "gptq", **given)

    made = draw([0.75, 0.25])
    assert abs(drawn_from(made)["small"] - 18) <= 1  # each source is within one sequence
    assert abs(drawn_from(draw([1, 3]))["small"] - 6) <= 1
    assert draw([3, 1]).lock["sources"] == made.lock["sources"]
    assert [one["weight"] for one in made.lock["releases"]] == [0.75, 0.25]
    assert made.lock["release"]["name"] == "small + plain"
    mine = {"small": {row["id"] for row in trained_rows(small)}, "plain": {row["id"] for row in trained_rows(plain)}}
    for piece in pieces_of(made.path):
        assert piece["id"] in mine[piece["source"].partition("/")[0]]
    again = calibrate(
        [small, plain], "gptq", **SMALL, tokenizer=small_tokenizer(), weights=[0.75, 0.25], to=tmp_path / "again"
    )
    assert files_of(again.path) == files_of(draw([0.75, 0.25]).path)


def test_without_weights_releases_are_one_pool(small, plain, tmp_path):
    made = calibrate([small, plain], "gptq", **SMALL, tokenizer=small_tokenizer(), to=tmp_path / "set")
    found = drawn_from(made)
    tokens = load(small_tokenizer())
    size = {
        "small": sum(tokens.count([row["text"] for row in trained_rows(small)])),
        "plain": sum(-(-len(row["text"].encode()) // 4) for row in trained_rows(plain)),
    }
    exact = SMALL["sequences"] * size["small"] / sum(size.values())
    assert abs(found["small"] - exact) < 3  # of six sources, each is within one sequence


def test_one_release_in_a_list_is_that_release(small, tmp_path):
    alone = calibrate(small, "gptq", **SMALL, to=tmp_path / "alone")
    listed = calibrate([small], "gptq", **SMALL, to=tmp_path / "listed")
    assert files_of(alone.path) == files_of(listed.path)


@pytest.mark.parametrize("weights", ["1", "1,2,3", "0,1", "-1,2", "nan,1", "1e999,1", "a,b"])
def test_weights_are_one_positive_number_for_each(small, plain, tmp_path, weights):
    done = curate(
        "calibrate", small, plain, "--weights", weights, "--tokenizer", small_tokenizer(), "--to", tmp_path / "set"
    )
    assert done.returncode == 2
    assert "one" in done.stderr
    assert "--weights" in done.stderr


def test_a_release_without_documents_cannot_have_a_weight(small, plain):
    empty = replace(open_shards(plain), train=[])
    with pytest.raises(CurateError, match="no documents to draw") as caught:
        documents(Pool([open_shards(small), empty], [0.5, 0.5]), 0)
    assert caught.value.where == str(plain)
    assert len(documents(Pool([open_shards(small), empty]), 0).sources) == 3


# Conversations


def rendered(folder, path):
    """{id: ids of its tokens} by `transformers` where it is installed, else as token shards have them."""
    transformers = pytest.importorskip("transformers", minversion="5", reason="transformers is not installed")
    (folder / "model" / "tokenizer.json").write_bytes(Path(chat_tokenizer()).read_bytes())
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(str(folder / "model"))
    found = {}
    for file in sorted((path / "data").iterdir()):
        for row in pq.read_table(file).to_pylist():
            if row["messages"]:
                found[row["id"]] = theirs.apply_chat_template(row["messages"])["input_ids"]
    return found


def test_conversations_are_rendered_before_windows_are_cut(talks, tmp_path):
    folder, path = talks
    given = {"sequences": 8, "length": 40, "chat_template": str(folder / "model"), "tokenizer": chat_tokenizer()}
    made = calibrate(path, "gptq", **given, to=tmp_path / "set")
    ids = load_file(made.path / "calibration.safetensors")["input_ids"]
    wanted, at, checked = rendered(folder, path), {}, 0
    for piece in pieces_of(made.path):
        begin = at.get(piece["sequence"], 0)
        at[piece["sequence"]] = begin + piece["stop"] - piece["start"]
        if piece["id"] in wanted:
            mine = wanted[piece["id"]]
            assert piece["n_tokens"] == len(mine)
            assert (
                ids[piece["sequence"], begin : at[piece["sequence"]]].tolist() == mine[piece["start"] : piece["stop"]]
            )
            checked += 1
    assert checked > 3
    assert set(at.values()) == {40}  # no token between conversations
    assert made.lock["options"]["chat_template"]["files"]["config"].startswith("sha256:")
    assert "rendered with a chat template" in (made.path / "README.md").read_text()
    assert calibrate(path, "gptq", **given, to=tmp_path / "set").changed is False
    plain = calibrate(path, "gptq", **given | {"chat_template": None}, to=tmp_path / "plain")
    assert plain.lock["fingerprint"] != made.lock["fingerprint"]


def test_a_template_needs_conversations(small, talks, tmp_path):
    folder, path = talks
    for given, words in (
        ({"chat_template": str(folder / "model")}, "no column `messages`"),
        ({"date": "2025-01-31"}, "--date needs a chat template"),
    ):
        with pytest.raises(CurateError, match=words):
            calibrate(small, "gptq", **SMALL, **given, to=tmp_path / "set")
    with pytest.raises(CurateError, match="is not a date"):
        calibrate(path, "gptq", **SMALL, chat_template=str(folder / "model"), date="soon", to=tmp_path / "set")


# Coverage


def test_coverage_is_what_the_set_has_of_the_release(small, tmp_path):
    made = calibrate(small, "gptq", **SMALL, to=tmp_path / "set")
    covered, tokenizer = made.lock["coverage"], load(small_tokenizer())
    rows = trained_rows(small)
    there = np.concatenate(tokenizer.encode([row["text"] for row in rows]))
    texts = {row["id"]: tokenizer.encode([row["text"]])[0] for row in rows}
    mine = np.concatenate([texts[one["id"]][one["start"] : one["stop"]] for one in pieces_of(made.path)])
    assert covered["sample"] == {"documents": len(rows), "tokens": len(there)}
    vocabulary = {"ids": tokenizer.ids, "release": len({*there.tolist()}), "set": len({*mine.tolist()})}
    both = len({*there.tolist()} & {*mine.tolist()})
    assert covered["vocabulary"] == vocabulary | {"share": round(both / vocabulary["release"], 6)}
    assert covered["mass"] == round(float(np.isin(there, mine).mean()), 6)
    assert covered["languages"] == {"unknown": {"release": 1, "set": 1}}
    assert covered["roles"] == {}
    length = np.sort(np.repeat([len(texts[row["id"]]) for row in rows], [len(texts[row["id"]]) for row in rows]))
    half = length[np.searchsorted(np.arange(1, len(length) + 1), len(length) / 2)]
    assert covered["lengths"]["release"]["p50"] == half
    assert "## Coverage" in (made.path / "README.md").read_text()


def test_roles_and_what_two_sets_cover_are_compared(talks, tmp_path):
    folder, path = talks
    given = {"length": 40, "chat_template": str(folder / "model"), "tokenizer": chat_tokenizer()}
    small_one = calibrate(path, "gptq", **given, sequences=2, to=tmp_path / "few").path
    large_one = calibrate(path, "gptq", **given, sequences=12, to=tmp_path / "many").path
    covered = json.loads((large_one / "lock.json").read_text())["coverage"]
    assert covered["roles"].keys() == {"assistant", "user", "system"}
    assert sum(one["set"] for one in covered["roles"].values()) == pytest.approx(1, abs=1e-5)
    found = compare(small_one, large_one)["coverage"]
    assert found["set"]["mass"] < found["other"]["mass"] == covered["mass"]
    done = curate("compare", small_one, large_one)
    assert "of its release" in done.stdout
    assert f"{covered['mass']:.2%}" in done.stdout
    assert "role assistant" in done.stdout
    other = curate("compare", small_one, path)
    assert "of its release" not in other.stdout


def test_the_sample_is_spread_over_the_shards(plain, small):
    for found in (open_shards(plain), open_shards(small, "main")):
        whole = sum(table.num_rows for table in sample(found, 1 << 30))
        assert whole == sum(pq.read_metadata(path).num_rows for path in found.train)
        size = sum(shard.text_bytes for shard in found.lock.shards)
        part = [len(text.encode()) for table in sample(found, size // 4) for text in table["text"].to_pylist()]
        assert 0 < len(part) < whole
        assert sum(part) < size // 2
