"""Bytes that an update of a published release sends: 1% more documents, shuffled anew or extending the release.

    python tests/bench/update.py [--documents 6000] [--more 0.01]

A Hub on loopback with the stock Xet client stores the chunks; what its store grows by is what was sent. Documents
are random words, about 2 kB each. Prints one JSON object: bytes, and their share of the first upload.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from hub import Hub  # noqa: E402
from releases import release, write_jsonl, write_manifest  # noqa: E402

from curate.hub.publish import publish  # noqa: E402


def documents(seed: int, count: int) -> list[dict]:
    chance = random.Random(seed)
    return [{"text": " ".join(f"{chance.getrandbits(40):x}" for _ in range(180))} for _ in range(count)]


def make(folder: Path, version: str, **more) -> Path:
    document = {
        "name": "update",
        "version": version,
        "license": "mit",
        "sources": {"only": {"inputs": ["in"]}},
        "stages": [{"near_dedup": {"max_removed": 1}}],
        "shards": {"size": "2MB"},
    }
    return release(write_manifest(folder / "manifest.yaml", document | more), folder / "work").path


def sent(hub: Hub, path: Path, repo: str) -> int:
    before = hub.stored
    publish(path, repo=repo, endpoint=hub.endpoint, token=hub.token)
    return hub.stored - before


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=6000)
    parser.add_argument("--more", type=float, default=0.01)
    given = parser.parse_args()
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    with tempfile.TemporaryDirectory() as scratch, Hub(Path(scratch), xet=True) as hub:
        folder = Path(scratch)
        write_jsonl(folder / "in" / "old.jsonl", documents(1, given.documents))
        first = make(folder, "1.0.0")
        whole = sent(hub, first, "tester/update")
        write_jsonl(folder / "in" / "new.jsonl", documents(2, round(given.documents * given.more)))
        extended = sent(hub, make(folder, "1.1.0", extends=str(first)), "tester/update")
        shuffled = sent(hub, make(folder, "2.0.0"), "tester/update")
    found = {"documents": given.documents, "more": given.more, "first_bytes": whole}
    for name, size in (("extended", extended), ("shuffled", shuffled)):
        found |= {f"{name}_bytes": size, f"{name}_share": round(size / whole, 4)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
