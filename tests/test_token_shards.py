"""Token shards from the manifest to the trainer: each form is opened by a reader written after its layout, and by the
reader it is made for where that is installed.

Megatron-LM and MosaicML's streaming need other versions of libraries than curate does. CURATE_TEST_READERS names the
Python of an environment that has them, else this one is tried.
"""

import json
import os
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from hub import Hub
from releases import curate, one_source, release, rows, write_manifest
from small_tokenizers import small_tokenizer
from tokenizers import Tokenizer

from curate.engine.execute import Ended
from curate.errors import CurateError, ManifestError
from curate.hub.publish import publish
from curate.inspect.status import explain_plan
from curate.manifest.manifest import load
from curate.release.diff import diff
from curate.release.lock import read_lock, verify
from curate.release.make import run_events
from curate.release.takedown import remove

FORMATS = ["npy", "megatron", "mds"]
PIECE = ("sequence", "start", "stop", "document", "offset")


def manifest(folder, tokens, count=60, **more):
    """About 60 documents of 80 words in some shards. tokens: beside the tokenizer."""
    tokens = {"tokenizer": small_tokenizer(), "eos": "<s>", "context": 128} | tokens
    tokens = {name: value for name, value in tokens.items() if value is not None}
    return one_source(folder, rows(1, count), [], **({"shards": {"size": "8KB"}, "tokens": tokens} | more))


def phased(folder, **tokens):
    """Two phases with contexts of their own, and documents held out."""
    phases = [{"name": "main", "context": 64, "budget": 25}, {"name": "long", "context": 300}]
    mixture = {"unit": "documents", "validation": 0.2, "phases": phases}
    return manifest(folder, {"context": None} | tokens, mixture=mixture)


def shards(path, folder=""):
    """{name without ending: {row of the shard: its ids}} as `tokenizers` has them, the shards of a split."""
    lock, found = read_lock(path), {}
    oracle = Tokenizer.from_file(small_tokenizer())
    oracle.no_truncation()
    for file in lock["files"]:
        if file["path"].startswith(f"data/{folder}"):
            texts = pq.read_table(path / file["path"])["text"].to_pylist()
            ids = [[*oracle.encode(text, add_special_tokens=False).ids, oracle.token_to_id("<s>")] for text in texts]
            found[file["path"].removeprefix("data/").removesuffix(".parquet")] = ids
    return found


def from_npy(path, name):
    tokens = np.load(path / "tokens" / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    pieces = np.load(path / "tokens" / f"{name}-documents.npy", mmap_mode="r", allow_pickle=False)
    assert pieces.dtype.names == PIECE
    return tokens, pieces


def from_megatron(path, name):
    """The documents of a .bin/.idx, by the layout that Megatron-LM documents."""
    index = (path / "tokens" / f"{name}.idx").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    version, code, sequences, documents = struct.unpack("<QBQQ", index[9:34])
    assert version == 1
    dtype = {8: np.uint16, 4: np.int32}[code]
    lengths = np.frombuffer(index, np.int32, sequences, 34)
    pointers = np.frombuffer(index, np.int64, sequences, 34 + lengths.nbytes)
    ends = np.frombuffer(index, np.int64, documents, 34 + lengths.nbytes + pointers.nbytes)
    assert len(index) == 34 + lengths.nbytes + pointers.nbytes + ends.nbytes
    content = (path / "tokens" / f"{name}.bin").read_bytes()
    found = [np.frombuffer(content, dtype, size, begin).tolist() for size, begin in zip(lengths, pointers, strict=True)]
    assert [list(range(start, stop)) for start, stop in pairwise(ends)] == [[n] for n in range(sequences)]
    assert len(content) == sum(lengths) * np.dtype(dtype).itemsize
    return found


def from_mds(folder):
    """The samples of an MDS dataset of columns `pieces` (any shape) and `tokens` (one shape), in order."""
    for shard in json.loads((folder / "index.json").read_text())["shards"]:
        assert (shard["version"], shard["format"], shard["column_names"]) == (2, "mds", ["pieces", "tokens"])
        _, dtype, context = shard["column_encodings"][1].split(":")
        content = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert shard["raw_data"]["bytes"] == len(content)
        (count,) = struct.unpack_from("<I", content)
        assert count == shard["samples"]
        for start, stop in pairwise(np.frombuffer(content, np.uint32, count + 1, 4).tolist()):
            sample = content[start:stop]
            (size,) = struct.unpack_from("<I", sample)
            assert sample[4] == 2 << 2 | 2  # two axes, their lengths in uint32
            shape = struct.unpack_from("<II", sample, 5)
            pieces = np.frombuffer(sample[13 : 4 + size], np.int32).reshape(shape)
            tokens = np.frombuffer(sample[4 + size :], dtype)
            assert len(tokens) == int(context) == shard["column_sizes"][1] // tokens.itemsize
            yield tokens, pieces


def documents(tokens, pieces, count):
    """The ids of each document, put together from its pieces."""
    found = [[] for _ in range(count)]
    for sequence, start, stop, document, offset in sorted(pieces.tolist(), key=lambda piece: (piece[3], piece[4])):
        assert len(found[document]) == offset
        found[document] += tokens[sequence, start:stop].tolist()
    return found


@pytest.fixture(scope="module", params=["concat", "best-fit"])
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return release(phased(folder, pack=request.param, formats=FORMATS), folder / "work")


def test_arrays_hold_each_document_once(made):
    for folder, context in {"main/": 64, "long/": 300, "validation/": 64}.items():
        for name, ids in shards(made.path, folder).items():
            tokens, pieces = from_npy(made.path, name)
            assert (tokens.dtype, tokens.shape[1]) == (np.uint16, context)
            assert documents(tokens, pieces, len(ids)) == ids
    assert len(shards(made.path, "main/")) > 1


def test_padding_is_what_no_piece_covers(made):
    for split in made.lock["tokens"]["splits"]:
        padding = 0
        for name in shards(made.path, f"{split['phase'] or 'validation'}/"):
            tokens, pieces = from_npy(made.path, name)
            covered = np.zeros(tokens.shape, bool)
            for sequence, start, stop, _, _ in pieces.tolist():
                assert not covered[sequence, start:stop].any()
                covered[sequence, start:stop] = True
            assert (tokens[~covered] == made.lock["tokens"]["pad"]).all()
            padding += int((~covered).sum())
        assert padding == split["padding"]


def test_megatron_has_a_sequence_a_document(made):
    for name, ids in shards(made.path).items():
        assert from_megatron(made.path, name) == ids


def test_mds_has_the_same_sequences(made):
    for folder in ("main", "long", "validation"):
        samples = from_mds(made.path / "tokens" / folder / "mds")
        for name in shards(made.path, f"{folder}/"):
            tokens, pieces = from_npy(made.path, name)
            for number, expected in enumerate(tokens):
                found, held = next(samples)
                assert found.tolist() == expected.tolist()
                mine = pieces[pieces["sequence"] == number]
                assert held.tolist() == [list(piece)[1:] for piece in mine.tolist()]
        assert next(samples, None) is None


READ_MEGATRON = """
import json, sys
from megatron.core.datasets.indexed_dataset import IndexedDataset
found = {}
for path in sys.argv[1:]:
    data = IndexedDataset(path)
    assert data.document_indices.tolist() == list(range(len(data) + 1))
    found[path] = [data[number].tolist() for number in range(len(data))]
print(json.dumps(found))
"""
READ_MDS = """
import json, sys
from streaming import StreamingDataset
data = StreamingDataset(local=sys.argv[1], shuffle=False, batch_size=1)
print(json.dumps([[sample["tokens"].tolist(), sample["pieces"].tolist()] for sample in data]))
"""


def by_its_own_reader(script, *arguments):
    """What a script prints in the environment of the trainers' libraries; skips where they are not installed."""
    python = os.environ.get("CURATE_TEST_READERS", sys.executable)
    library = script.split("from ")[1].split()[0].split(".")[0]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def start(*command):
        return subprocess.run([python, "-W", "ignore", "-c", *command], capture_output=True, text=True, env=environment)

    if "ModuleNotFoundError" in start(f"import {library}").stderr:
        pytest.skip(f"{library} is not installed for {python}: set CURATE_TEST_READERS")
    done = start(script, *map(str, arguments))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_megatron_reads_it(made):
    held = shards(made.path)
    found = by_its_own_reader(READ_MEGATRON, *(made.path / "tokens" / name for name in held))
    assert found == {str(made.path / "tokens" / name): ids for name, ids in held.items()}


def test_streaming_reads_it(made):
    folder = made.path / "tokens" / "main" / "mds"
    found = by_its_own_reader(READ_MDS, folder)
    assert found == [[tokens.tolist(), pieces.tolist()] for tokens, pieces in from_mds(folder)]


def test_the_lock_counts_and_lists_them(made):
    lock = made.lock
    assert verify(made.path) == []
    there = {path.relative_to(made.path).as_posix() for path in (made.path / "tokens").rglob("*.*")}
    assert there == {file["path"] for file in lock["files"] if file["path"].startswith("tokens/")}
    for split in lock["tokens"]["splits"]:
        ids = [
            document for shard in shards(made.path, f"{split['phase'] or 'validation'}/").values() for document in shard
        ]
        assert split["documents"] == len(ids)
        assert split["tokens"] == sum(map(len, ids))
        assert split["longest"] == max(map(len, ids))
        assert split["sequences"] * split["context"] == split["tokens"] + split["padding"]
        assert (
            f"| {split['phase'] or 'validation'} | {len(ids)} | {split['tokens']:,} |"
            in (made.path / "README.md").read_text()
        )
    assert {"tokenizers", "tokie"} <= lock["versions"].keys()


def test_the_card_shows_how_to_open_an_array(tmp_path, monkeypatch):
    path = release(manifest(tmp_path, {}), tmp_path / "work").path
    block = (
        (path / "README.md").read_text().partition("## Token shards")[2].partition("```python\n")[2].partition("```")[0]
    )
    monkeypatch.chdir(path)
    names = {}
    exec(block, names)
    name, ids = next(iter(shards(path).items()))
    assert f'"tokens/{name}.npy"' in block
    assert documents(names["tokens"], names["pieces"], len(ids)) == ids


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("made", ["best-fit"], indirect=True)
def test_workers_and_other_places_give_the_same_bytes(tmp_path, made):
    pack = made.lock["tokens"]["pack"]
    again = release(phased(tmp_path, pack=pack, formats=FORMATS), tmp_path / "work", workers=2)
    assert again.lock == made.lock
    assert contents(again.path / "tokens") == contents(made.path / "tokens")
    assert str(tmp_path) not in (again.path / "lock.json").read_text()


def test_only_what_differs_runs_again(tmp_path):
    path = manifest(tmp_path, {})
    first = release(path, tmp_path / "work")

    def rerun(tokens):
        manifest(tmp_path, tokens)
        planned = {step["step"]: step["why"] for step in explain_plan(path, tmp_path / "work")["steps"] if step["run"]}
        *events, last = run_events(path, tmp_path / "work", workers=0)
        return {event.job.task for event in events if isinstance(event, Ended)}, planned, last

    assert rerun({})[0] == set()
    jobs, planned, last = rerun({"context": 100, "pack": "best-fit"})
    assert jobs == {"pack"}
    assert list(planned["shard: pack"]) == ["context: 128 → 100; pack: concat → best-fit"]
    assert last.changed
    assert last.lock["digest"] == first.lock["digest"]
    assert rerun({"formats": FORMATS})[0] == set()
    assert rerun({"eos": None})[0] == {"tokenize", "pack"}
    assert rerun({"formats": ["megatron"], "context": None})[0] == set()


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
    assert "sequences" not in card.partition("## Token shards")[2].partition("## Composition")[0]


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
            f"{share:.1%} of all positions are padding: larger shards or a shorter `context` have less",
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


def test_they_are_published_with_the_shards(tmp_path):
    made = release(manifest(tmp_path, {"formats": FORMATS}, license="mit"), tmp_path / "work").path
    with Hub(tmp_path) as hub:
        sent = publish(made, repo="tester/one", endpoint=hub.endpoint, token=hub.token)
    first, *_, last = ({file.path for file in commit.files} for commit in sent.commits)
    tokens = {file["path"] for file in read_lock(made)["files"] if file["path"].startswith("tokens/")}
    assert tokens
    assert tokens <= first
    assert not tokens & last


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
        ({"tokenizer": "broken.json"}, "tokenizer", ["not JSON", "give a tokenizer.json"]),
        ({"tokenizer": "./none.json"}, "tokenizer", ["no tokenizer", "none.json"]),
        ({"tokenizer": huge, "eos": None}, "tokenizer", ["up to 3,000,000,000", "up to 2,147,483,647", "without gaps"]),
        ({"eos": "</s>"}, "eos", ["no token `</s>`", "`<s>`", "leave `eos` out"]),
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


@pytest.mark.parametrize("formats", [["npy"], ["megatron"], ["mds"], FORMATS])
def test_what_is_removed_is_gone_from_the_tokens(tmp_path, formats):
    made = release(manifest(tmp_path, {"formats": formats, "pack": "best-fit"}), tmp_path / "work").path
    held = sorted((made / "data").iterdir())
    victim = pq.read_table(held[1])["id"][2].as_py()
    (tmp_path / "asked.txt").write_text(victim)
    taken = remove(made, ids=tmp_path / "asked.txt").path
    assert verify(taken) == []
    before, after = contents(made / "tokens"), contents(taken / "tokens")
    assert before.keys() == after.keys()
    changed = {path for path in before if before[path] != after[path]}
    assert changed
    assert all(held[1].stem in path or path == "mds/index.json" for path in changed)
    # What is left is as if the release had been made of it: tokenized by the oracle, and counted again.
    samples = from_mds(taken / "tokens" / "mds") if "mds" in formats else None
    total = 0
    for name, ids in shards(taken).items():
        total += sum(map(len, ids))
        if "npy" in formats:
            assert documents(*from_npy(taken, name), len(ids)) == ids
        if "megatron" in formats:
            assert from_megatron(taken, name) == ids
    if samples:
        assert sum(int((piece[:, 1] - piece[:, 0]).sum()) for _, piece in samples) == total
    (split,) = read_lock(taken)["tokens"]["splits"]
    assert split["tokens"] == total
    assert split["documents"] == read_lock(taken)["documents"]
    assert f"| train | {split['documents']} | {total:,} |" in (taken / "README.md").read_text()
    assert diff(made, taken)["bump"] == "patch"


def test_a_release_that_extends_another_has_the_tokens_of_both(tmp_path):
    """Whether or not the earlier one had any."""
    old = one_source(tmp_path, rows(1, 30), [], stages=["near_dedup"], shards={"size": "8KB"})
    path = release(old, tmp_path / "work").path
    more = {"version": "1.1.0", "extends": str(path), "stages": ["near_dedup"]}
    document = yaml.safe_load(manifest(tmp_path, {"formats": FORMATS}, count=50, **more).read_text())
    made = release(write_manifest(tmp_path / "manifest.yaml", document), tmp_path / "work")
    held = shards(made.path)
    assert len(held) > len(list((path / "data").iterdir()))
    for name, ids in held.items():
        assert documents(*from_npy(made.path, name), len(ids)) == ids
        assert from_megatron(made.path, name) == ids
    (split,) = made.lock["tokens"]["splits"]
    assert split["documents"] == made.lock["documents"]
    assert verify(made.path) == []


def test_an_empty_release_cannot_be_extended(tmp_path):
    path = release(one_source(tmp_path, [], [], stages=["near_dedup"]), tmp_path / "work").path
    more = {"version": "1.1.0", "extends": str(path), "stages": ["near_dedup"]}
    with pytest.raises(CurateError, match="has different columns"):
        release(manifest(tmp_path, {}, **more), tmp_path / "work")
