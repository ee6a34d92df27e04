"""Releases of a few pages, and lists that ask to remove some of them."""

from releases import release, released_rows, write_jsonl, write_manifest

NEAR = [{"near_dedup": {"max_removed": 1}}]
SITES = [
    {"text": f"{word} " + " ".join(f"{word}{n * 7 % 101}" for n in range(40)), "url": f"https://site{n}.example/p"}
    for n, word in enumerate(["alpha", "beta", "gamma", "delta", "eps", "zeta"])
]


def make(folder, documents, version="1.0.0", name="web", **more):
    """The release of documents in a file of its own."""
    file = f"{name}-{version}.jsonl"
    write_jsonl(folder / file, documents)
    settings = {"license": "cc-by-4.0", "sources": {"a": {"inputs": [file]}}, "stages": NEAR} | more
    manifest = write_manifest(folder / f"{name}-{version}.yaml", {"name": name, "version": version} | settings)
    return release(manifest, folder / "work").path


def urls(*paths):
    return sorted(row["url"] for path in paths for row in released_rows(path))


def asked(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


# Numbers


def told(lock):
    """What a lock says of its documents."""
    splits = [
        {
            name: split.get(name)
            for name in ("documents", "unique", "bytes", "tokens", "longest", "shards", "amount", "unique_amount")
        }
        | {
            "keys": {
                k: {n: c.get(n) for n in ("documents", "unique", "bytes", "tokens", "share")}
                for k, c in split["keys"].items()
            }
        }
        for split in lock["mixture"]["splits"]
    ]
    return {
        "documents": lock["documents"],
        "drawn": lock["drawn"],
        "composition": lock["composition"],
        "unique": lock["unique"],
        "splits": splits,
        "rejected": lock["rejected"],
        "files": [file for file in lock["files"] if file["path"].startswith(("data/", "index/", "evidence/"))],
        "clusters": [(cluster["cluster"], cluster["cluster_size"], cluster["id"]) for cluster in lock["clusters"]],
        "removed": sum(entry["documents"] for entry in lock["removed"]),
    }
