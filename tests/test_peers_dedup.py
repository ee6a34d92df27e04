"""The same documents deduplicated by datatrove, by text-dedup and by us, all with MinHash; every difference explained.

All compare word 5-grams by 14 bands of 8 rows and join what they propose. They draw other hashes and permutations, and
cut words otherwise: datatrove deletes punctuation and counts every number as 0; text-dedup has an empty word wherever
two signs stand side by side. So two texts are a little more or less alike to each. A pair of true Jaccard J is
therefore proposed by each with the chance 1 - (1 - J^8)^14 of its own J, and nothing else may differ.
"""

import importlib.util
import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from curate.kernels.shingles import shingle_sets
from curate.stage_api import find_stage
from curate.testing import docs, run_group

WORDS = "the of and report don't e-mail U.S. 3.14 1984 year, said; (it) was house; water. Zürich 'quoted' state-owned"
PAIRS = 160


def chance(similarity: np.ndarray) -> np.ndarray:
    return 1 - (1 - similarity**8) ** 14


@pytest.fixture(scope="module")
def corpus() -> list[str]:
    """Texts 2k and 2k + 1 are a pair, the second with some words replaced; no others resemble each other."""
    rng = np.random.default_rng(0)
    words = np.array(WORDS.split())
    texts = []
    for share in np.linspace(0, 0.2, PAIRS):
        first = rng.choice(words, 200).astype(object)
        second = first.copy()
        changed = rng.random(200) < share
        second[changed] = [f"new{number}" for number in rng.integers(1 << 30, size=changed.sum())]
        texts += [" ".join(first), " ".join(second)]
    return texts


@pytest.fixture(scope="module")
def ours(corpus) -> tuple[np.ndarray, np.ndarray]:
    """Whether each text stays, and the similarity of each pair."""
    stage = find_stage("near_dedup")
    params = {"ngram": 5, "bands": 14, "rows": 8, "rule": "components", "verify": "none", "bins": 2}
    (found,) = run_group(stage, [docs(*corpus)], stage.configure(params))
    encoded = [text.encode() for text in corpus]
    data = np.frombuffer(b"".join(encoded), np.uint8)
    hashes, offsets = shingle_sets(data, np.cumsum([0, *map(len, encoded)]), 5)
    sets = [set(hashes[start:stop]) for start, stop in pairwise(offsets)]
    return found["reject"].is_null().to_numpy(), similarities(sets)


@pytest.fixture(scope="module", params=["datatrove", "text_dedup"])
def theirs(request, corpus, tmp_path_factory) -> tuple[np.ndarray, np.ndarray]:
    """The same by a peer, with the similarity by its own cut of words."""
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return {"datatrove": datatrove, "text_dedup": text_dedup}[request.param](corpus, tmp_path_factory.mktemp("peer"))


def datatrove(corpus: list[str], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    from datatrove.pipeline.dedup import MinhashDedupSignature

    (folder / "in").mkdir()
    rows = [json.dumps({"id": str(place), "text": text}) for place, text in enumerate(corpus)]
    for part in range(2):
        (folder / "in" / f"{part}.jsonl").write_text("\n".join(rows[part::2]) + "\n")
    path = Path(__file__).parent / "bench" / "dedup_with.py"
    spec = importlib.util.spec_from_file_location("dedup_with", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.datatrove(folder, 1)
    kept = np.zeros(len(corpus), bool)
    for file in (folder / "datatrove" / "kept").iterdir():
        kept[[int(json.loads(line)["id"]) for line in file.read_text().splitlines()]] = True
    step = MinhashDedupSignature(str(folder / "shingles"))
    return kept, similarities([set(step.get_shingles(text).ravel().tolist()) for text in corpus])


def text_dedup(corpus: list[str], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """In a process of its own, since its module sets how processes start."""
    from datasets import load_from_disk
    from text_dedup.utils import ngrams

    rows = "".join(json.dumps({"row": row, "text": text}) + "\n" for row, text in enumerate(corpus))
    (folder / "in.jsonl").write_text(rows)
    asked = {"path": "json", "data_files": folder / "in.jsonl", "cache_dir": folder / "cache", "split": "train"}
    asked |= {"output": folder / "out", "column": "text", "ngram": 5, "min_length": 5, "num_perm": 112, "b": 14, "r": 8}
    asked |= {"hash_func": "xxh3", "num_proc": 1, "batch_size": 1000}
    options = [word for name, value in asked.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "text_dedup.minhash", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    kept = np.zeros(len(corpus), bool)
    kept[load_from_disk(str(folder / "out"))["row"][:]] = True
    return kept, similarities([set(ngrams(re.split(r"\W", text.lower()), 5)) for text in corpus])


def similarities(sets: list[set]) -> np.ndarray:
    """True Jaccard of each pair; that of texts which are no pair is next to nothing."""
    assert all(len(sets[0] & other) < len(other) / 4 for other in sets[2:])
    pairs = zip(sets[::2], sets[1::2], strict=True)
    return np.array([len(first & second) / len(first | second) for first, second in pairs])


def test_never_both_of_a_pair_are_removed(ours, theirs):
    for kept, _ in (ours, theirs):
        assert (kept[::2] | kept[1::2]).all()


def test_pairs_that_are_nearly_the_same_lose_one_in_both_and_unlike_ones_none(ours, theirs):
    least = np.minimum(ours[1], theirs[1])
    most = np.maximum(ours[1], theirs[1])
    assert (least >= 0.95).any()
    assert (most <= 0.35).any()
    for kept, _ in (ours, theirs):
        both = kept[::2] & kept[1::2]
        assert not both[least >= 0.95].any()
        assert both[most <= 0.35].all()


def test_each_removes_as_many_as_its_bands_propose(ours, theirs):
    for kept, similarity in (ours, theirs):
        expected = chance(similarity)
        deviation = np.sqrt((expected * (1 - expected)).sum())
        assert abs((~kept).sum() - expected.sum()) < 4 * deviation


def test_where_they_differ_the_bands_leave_it_open(ours, theirs):
    one, other = chance(ours[1]), chance(theirs[1])
    differ = (ours[0][::2] & ours[0][1::2]) != (theirs[0][::2] & theirs[0][1::2])
    expected = one * (1 - other) + other * (1 - one)
    deviation = np.sqrt((expected * (1 - expected)).sum())
    assert differ.sum() <= expected.sum() + 4 * deviation
    assert ((one[differ] > 0.001) & (other[differ] < 0.999) | (one[differ] < 0.999) & (other[differ] > 0.001)).all()


def test_words_are_cut_nearly_alike(ours, theirs):
    assert np.abs(ours[1] - theirs[1]).max() < 0.2
    assert np.corrcoef(ours[1], theirs[1])[0, 1] > 0.99
