"""Token shards from the manifest to the trainer: each form is opened by a reader written after its layout, and by the
reader it is made for where that is installed.

Megatron-LM and MosaicML's streaming need other versions of libraries than curate does. CURATE_TEST_READERS names the
Python of an environment that has them, else this one is tried.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from hub import Hub
from releases import one_source, release, rows, write_manifest
from token_readers import FORMATS, documents, from_mds, from_megatron, from_npy, manifest, phased, shards

from curate.engine.execute import Ended
from curate.errors import CurateError
from curate.hub.publish import publish
from curate.inspect.status import plan as plan_of_run
from curate.release.diff import diff
from curate.release.lock import read_lock, verify
from curate.release.make import run_events
from curate.release.takedown import remove


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
        planned = {step["step"]: step["why"] for step in plan_of_run(path, tmp_path / "work")["steps"] if step["run"]}
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


def test_they_are_published_with_the_shards(tmp_path):
    made = release(manifest(tmp_path, {"formats": FORMATS}, license="mit"), tmp_path / "work").path
    with Hub(tmp_path) as hub:
        sent = publish(made, repo="tester/one", endpoint=hub.endpoint, token=hub.token)
    first, *_, last = ({file.path for file in commit.files} for commit in sent.commits)
    tokens = {file["path"] for file in read_lock(made)["files"] if file["path"].startswith("tokens/")}
    assert tokens
    assert tokens <= first
    assert not tokens & last


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
