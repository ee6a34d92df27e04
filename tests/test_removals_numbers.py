"""Every number of a release from which documents were removed is that of its files."""

import random
from collections import Counter
from hashlib import sha256

import numpy as np
import pyarrow.parquet as pq
import pytest
from releases import release, released_rows, rows, write_jsonl, write_manifest
from removing import SITES, asked, make, told
from small_tokenizers import small_tokenizer
from tokenizers import Tokenizer

from curate.release.lock import read_lock, verify
from curate.release.takedown import RECORD, remove


def counted_again(path):
    """The same, from the files of the release alone, in plain Python."""
    lock = read_lock(path)
    by, unit, splits = lock["mixture"]["by"], lock["mixture"]["unit"], []

    def named(row):
        if isinstance(by, str):
            return row[by]
        return f"{row['source']}/{'1' if row['n_duplicates'] == 1 else '2+'}"

    for split in lock["mixture"]["splits"]:
        name = split["phase"] or ("validation" if split["split"] == "validation" else "")
        files = sorted((path / "data" / name).glob(f"{split['split']}-*.parquet"))
        held = [row for file in files for row in pq.read_table(file).to_pylist()]
        sizes = [measures(row) for row in held]
        tokens = "tokens" in split
        total = {size: sum(one[size] for one in sizes) for size in ("documents", "bytes", "tokens")}
        keys = {}
        for key in sorted({named(row) for row in held} | {k for k, c in split["keys"].items() if c.get("asked")}):
            mine = [one for row, one in zip(held, sizes, strict=True) if named(row) == key]
            unique = len({row["id"] for row in held if named(row) == key})
            keys[key] = {size: sum(one[size] for one in mine) for size in total}
            keys[key]["unique"] = unique
            keys[key]["share"] = round(keys[key][unit] / max(total[unit], 1), 6)
            keys[key] |= {} if tokens else {"tokens": None}
        longest = max((one["tokens"] for one in sizes), default=0) if tokens else None
        total["unique"] = len({row["id"] for row in held})
        found = total | {"longest": longest, "shards": len(files), "keys": keys} | ({} if tokens else {"tokens": None})
        once = sum({row["id"]: measures(row)[unit] for row in held}.values())
        amounts = {"amount": total[unit], "unique_amount": once}
        splits.append(found | (amounts if "amount" in split else dict.fromkeys(amounts)))
    every = [row for file in sorted((path / "data").rglob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    unique = [*{row["id"]: row for row in every}.values()]
    files = []
    for file in (file for file in lock["files"] if file["path"].startswith(("data/", "index/", "evidence/"))):
        content = (path / file["path"]).read_bytes()
        files.append({**file, "bytes": len(content), "sha256": sha256(content).hexdigest()})
        files[-1] |= {"rows": pq.read_metadata(path / file["path"]).num_rows} if "rows" in file else {}
        if file["path"].startswith("data/"):
            files[-1]["text_bytes"] = sum(
                len(t.encode()) for t in pq.read_table(path / file["path"])["text"].to_pylist()
            )
    near, clusters = path / "evidence/near_duplicates.parquet", []
    if near.exists():
        table = pq.read_table(near).to_pylist()
        sizes = Counter(row["cluster"] for row in table)
        kept = {}
        for row in sorted((row for row in table if row["kept"]), key=lambda row: row["id"], reverse=True):
            kept[row["cluster"]] = (row["cluster"], sizes[row["cluster"]], row["id"])
        clusters = sorted(kept.values(), key=lambda found: (-found[1], found[0]))[:10]
    record = pq.read_table(path / RECORD).to_pylist() if (path / RECORD).exists() else []
    return {
        "documents": len(unique),
        "drawn": len(every),
        "composition": composed(every),
        "unique": composed(unique),
        "splits": splits,
        "rejected": pq.read_metadata(path / "evidence/rejected.parquet").num_rows,
        "files": files,
        "clusters": clusters,
        "removed": len({row["id_sha256"] for row in record if row["document"]}),
    }


def composed(held):
    """Documents, bytes and tokens by source, language and license."""
    composition = {}
    for column in ("source", "language", "license"):
        counts = {}
        for row in held:
            counts.setdefault(row.get(column) or "unknown", Counter()).update(measures(row))
        composition[column] = {
            value: {name: count for name, count in found.items() if "n_tokens" in held[0] or name != "tokens"}
            for value, found in sorted(counts.items())
        }
    return composition


def measures(row):
    return {"documents": 1, "bytes": len(row["text"].encode()), "tokens": row.get("n_tokens") or 0}


TOKENS = {"tokenizer": small_tokenizer(), "context": 32, "eos": "<s>"}
MIXTURES = {
    "everything": {},
    "repeats": {"weights": {"a": 0.75, "b": 0.25}, "budget": 6_000, "repeats": 4, "unit": "bytes"},
    "phases": {
        "phases": [
            {"name": "one", "budget": 2_000, "weights": {"a": 0.5, "b": 0.5}},
            {"name": "two", "budget": 1_500, "weights": {"b": 1}, "repeat_earlier": True},
        ],
        "unit": "bytes",
    },
    "validation": {"validation": 0.3},
    "copies": {"rehydrate": {2: 3}, "unit": "bytes"},
}


@pytest.mark.parametrize("mixture", MIXTURES)
def test_every_number_of_a_patch_version_is_that_of_its_files(tmp_path, mixture):
    write_jsonl(tmp_path / "a.jsonl", rows(1, 30, 20))
    write_jsonl(tmp_path / "b.jsonl", [*rows(2, 25, 20), *rows(1, 12, 20)])
    document = {
        "name": "numbers",
        "version": "1.0.0",
        "license": "mit",
        "sources": {"a": {"inputs": ["a.jsonl"]}, "b": {"inputs": ["b.jsonl"], "priority": 1}},
        "stages": [{"near_dedup": {"threshold": 0.5, "max_removed": 1}}],
        "mixture": MIXTURES[mixture],
        "shards": {"size": "2KB"},
    }
    if mixture == "copies":
        document["stages"][0]["near_dedup"]["counts"] = "source"
        document["shards"]["columns"] = ["n_duplicates"]
    if mixture != "repeats":
        document["tokens"] = TOKENS
        document["stages"].append({"tokens": small_tokenizer()})
    made = release(write_manifest(tmp_path / "m.yaml", document), tmp_path / "work").path
    assert counted_again(made) == told(read_lock(made))
    chance, path = random.Random(mixture), made
    for step in range(3):
        held = sorted(
            {row["id"] for file in (path / "data").rglob("*.parquet") for row in pq.read_table(file).to_pylist()}
        )
        taken = remove(
            path, ids=asked(tmp_path / f"{step}.txt", *chance.sample(held, min(len(held) - 1, 1 + 4 * step)))
        )
        lock, path = read_lock(taken.path), taken.path
        assert counted_again(path) == told(lock)
        assert verify(path) == []
        assert sum(taken.sources.values()) == taken.documents == sum(taken.causes.values())
        for split in (lock["tokens"] or {"splits": []})["splits"]:
            folder = path / "tokens" / (split["phase"] or ("validation" if split["split"] == "validation" else ""))
            ids = [np.load(file) for file in sorted(folder.glob(f"{split['split']}-?????-of-?????.npy"))]
            assert split["sequences"] == sum(map(len, ids)) == sum(shard["sequences"] for shard in split["shards"])
            data = [
                s for s in lock["mixture"]["splits"] if (s["phase"], s["split"]) == (split["phase"], split["split"])
            ]
            assert split["documents"] == data[0]["documents"]
            assert split["tokens"] == data[0]["tokens"] + data[0]["documents"]  # one ends each


def test_the_tokens_of_shards_that_are_taken_over_are_without_it_too(tmp_path):
    old = make(tmp_path, SITES[:4], tokens=TOKENS)
    list_of = asked(tmp_path / "asked.txt", "site2.example")
    made = make(tmp_path, SITES[4:], "1.1.0", extends=str(old), removed=[list_of.name], tokens=TOKENS)
    (split,) = read_lock(made)["tokens"]["splits"]
    held = released_rows(made)
    assert split["documents"] == len(held) == 5
    oracle = Tokenizer.from_file(small_tokenizer())
    oracle.no_truncation()
    assert split["tokens"] == sum(len(oracle.encode(row["text"], add_special_tokens=False).ids) + 1 for row in held)
    assert verify(made) == []
