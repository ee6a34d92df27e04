"""`tokens:` of a manifest: what may be asked, and what is said of what may not."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from releases import curate, one_source, release, rows
from small_tokenizers import small_tokenizer
from token_readers import FORMATS, documents, from_mds, from_megatron, from_npy, manifest, shards

from curate.errors import CurateError, ManifestError
from curate.manifest.manifest import load
from curate.release.lock import read_lock, verify
from curate.release.make import run_events


def test_a_phase_may_have_a_dot_in_its_name(tmp_path):
    mixture = {"phases": [{"name": "stage-1.5", "context": 64}]}
    made = release(manifest(tmp_path, {"context": None, "formats": FORMATS}, mixture=mixture), tmp_path / "work")
    assert verify(made.path) == []
    for name, ids in shards(made.path, "stage-1.5/").items():
        assert documents(*from_npy(made.path, name), len(ids)) == ids


def test_megatron_alone_needs_no_context(tmp_path):
    path = release(manifest(tmp_path, {"formats": ["megatron"], "context": None}), tmp_path / "work").path
    for name, ids in shards(path).items():
        assert from_megatron(path, name) == ids
    assert {file.suffix for file in (path / "tokens").iterdir()} == {".bin", ".idx"}
    card = (path / "README.md").read_text()
    assert "sequences" not in card.partition("## Token shards")[2].partition("\n## ")[0]


def test_without_an_end_token_documents_meet(tmp_path):
    path = release(manifest(tmp_path, {"eos": None}), tmp_path / "work").path
    for name, ids in shards(path).items():
        tokens, pieces = from_npy(path, name)
        assert documents(tokens, pieces, len(ids)) == [document[:-1] for document in ids]
    assert read_lock(path)["tokens"]["eos"] is None


def word_level(path, vocabulary):
    """A tokenizer of whole words with the ids that are given."""
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}
    spec = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"}, "model": model}
    path.write_text(
        json.dumps(spec | dict.fromkeys(["truncation", "padding", "normalizer", "post_processor", "decoder"]))
    )
    return str(path)


@pytest.mark.parametrize(("highest", "dtype", "code"), [(65_535, "uint16", 8), (65_536, "uint32", 4)])
def test_ids_beyond_uint16_are_wider(tmp_path, highest, dtype, code):
    tokenizer = word_level(tmp_path / "words.json", {"<unk>": 0, "the": highest})
    given = {"tokenizer": tokenizer, "eos": None, "context": 50, "formats": FORMATS}
    made = release(manifest(tmp_path, given), tmp_path / "work")
    assert made.lock["tokens"]["dtype"] == dtype
    texts, arrays, documents = [], [], []
    for file in sorted((made.path / "data").iterdir()):
        texts += pq.read_table(file)["text"].to_pylist()
        arrays.append(from_npy(made.path, file.stem)[0])
        documents += from_megatron(made.path, file.stem)
        assert (made.path / "tokens" / f"{file.stem}.idx").read_bytes()[17] == code
    assert documents == [[highest if word == "the" else 0 for word in text.split()] for text in texts]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}
    assert sum(int((array == highest).sum()) for array in arrays) == sum(
        document.count(highest) for document in documents
    )
    assert np.array_equal(np.concatenate(arrays), [tokens for tokens, _ in from_mds(made.path / "tokens" / "mds")])


def test_a_context_longer_than_all_documents_joins_them(tmp_path):
    for pack in ("concat", "best-fit"):
        made = release(manifest(tmp_path, {"context": 2000, "pack": pack}), tmp_path / "work")
        (split,) = made.lock["tokens"]["splits"]
        share = split["padding"] / (split["sequences"] * 2000)
        assert split["longest"] < 2000 < split["tokens"]
        assert split["notes"] == [
            f"no document fills a sequence of 2,000 tokens: the longest has {split['longest']}",
            f"{share:.1%} of all positions are padding: larger shards or a shorter `context` would have less",
        ]
        assert f"- train: {split['notes'][1]}" in (made.path / "README.md").read_text()
    done = curate("run", tmp_path / "manifest.yaml", "--work", tmp_path / "work", "--workers", 0)
    assert split["notes"][1] in done.stdout


def test_a_context_that_nothing_fills_is_an_error_with_a_mend(tmp_path):
    with pytest.raises(CurateError, match="do not fill one sequence of 1,000,000") as caught:
        release(manifest(tmp_path, {"context": 1_000_000}), tmp_path / "work")
    assert caught.value.where == "tokens.context"
    most = int(caught.value.fix.removeprefix("lower `context` to ").split()[0].replace(",", ""))
    made = release(manifest(tmp_path, {"context": most}), tmp_path / "work")
    assert made.lock["tokens"]["splits"][0]["tokens"] == most
    with pytest.raises(CurateError):
        release(manifest(tmp_path, {"context": most + 1}), tmp_path / "work")


MISTAKES = {
    "no context": ({"context": None}, ["`tokens` has no `context`", "context:"]),
    "unknown key": ({"contex": 9}, ["unknown key `contex`", "did you mean `context`?"]),
    "unknown format": ({"formats": ["numpy"]}, ["'npy', 'megatron' or 'mds'", "numpy"]),
    "unknown way to pack": ({"pack": "bestfit"}, ["'concat' or 'best-fit'"]),
    "no formats": ({"formats": []}, ["must not be empty"]),
    "no tokenizer": ({"tokenizer": None}, ["`tokenizer` is missing"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_of_the_manifest(tmp_path, mistake):
    given, words = MISTAKES[mistake]
    path = manifest(tmp_path, given)
    with pytest.raises(ManifestError) as error:
        load(path)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert f"{path}:" in str(error.value)


def test_a_phase_without_a_context_is_named(tmp_path):
    mixture = {"phases": [{"name": "main", "context": 64, "budget": 2000}, {"name": "rest"}]}
    with pytest.raises(ManifestError, match="phase `rest` has no `context`"):
        load(manifest(tmp_path, {"context": None}, mixture=mixture))
    load(manifest(tmp_path, {"context": 32}, mixture=mixture))


@pytest.mark.parametrize(
    ("context", "what"),
    [(1, "phase `main` has a `context` of 1"), (1 << 40, "`context` must be at least 1")],
)
def test_a_phase_whose_context_no_sequence_can_have_is_named(tmp_path, context, what):
    mixture = {"phases": [{"name": "main", "context": context}]}
    with pytest.raises(ManifestError, match=what):
        load(manifest(tmp_path, {"context": None}, mixture=mixture))
    if context == 1:  # what the sequences of tokens have instead
        load(manifest(tmp_path, {"context": 32}, mixture=mixture))


def test_what_is_wrong_with_a_tokenizer_is_said_before_anything_runs(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    huge = word_level(tmp_path / "huge.json", {"<unk>": 0, "the": 3_000_000_000})
    for given, place, words in (
        ({"tokenizer": "broken.json"}, "tokenizer", ["not JSON", "use a tokenizer.json"]),
        ({"tokenizer": "./none.json"}, "tokenizer", ["no tokenizer", "none.json"]),
        ({"tokenizer": huge, "eos": None}, "tokenizer", ["up to 3,000,000,000", "up to 2,147,483,647", "without gaps"]),
        ({"eos": "</s>"}, "eos", ["no token `</s>`", "`<s>`", "leave out `eos`"]),
    ):
        path = manifest(tmp_path, given)
        with pytest.raises(ManifestError) as error:
            list(run_events(path, tmp_path / "work", workers=0))
        (problem,) = error.value.problems
        assert problem.where == f"{path}  tokens.{place}"
        assert all(word in str(problem) for word in words), str(problem)
    assert not (tmp_path / "work" / "store").exists()


def test_a_relative_tokenizer_is_beside_the_manifest(tmp_path):
    (tmp_path / "mine.json").write_bytes(Path(small_tokenizer()).read_bytes())
    made = release(manifest(tmp_path, {"tokenizer": "mine.json"}), tmp_path / "work")
    assert made.lock["tokens"]["tokenizer"]["name"] == "mine.json"


def test_without_the_block_there_are_none(tmp_path):
    path = release(one_source(tmp_path, rows(1, 20), []), tmp_path / "work").path
    assert read_lock(path)["tokens"] is None
    assert not (path / "tokens").exists()
    assert "Token shards" not in (path / "README.md").read_text()
