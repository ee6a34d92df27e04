"""Planted clusters: synthetic signatures, and the way from them to components by way of bins on disk."""

import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from curate.kernels import kernel
from curate.kernels.bands import band_keys, group_edges, partition
from curate.kernels.hashing import mix64
from curate.kernels.unionfind import components, singletons, union_edges

PLANTED_BANDS, PLANTED_ROWS = 32, 8


def plant(docs: int) -> np.ndarray:
    """Cluster of each document, int32[docs], in random order: ten of docs / 200 members, then 15% of the
    corpus in clusters of 2 to 20; -1 for a document of its own."""
    rng = np.random.default_rng(0)
    sizes = np.full(10, docs // 200)
    small = rng.integers(2, 21, docs * 15 // 100 // 11)
    labels = np.repeat(np.arange(len(sizes) + len(small), dtype=np.int32), np.concatenate([sizes, small]))
    labels = np.concatenate([labels, np.full(docs - len(labels), -1, np.int32)])
    rng.shuffle(labels)
    return labels


@kernel
def planted_signatures(labels, begin, num_perm):
    """Signatures of documents ``begin`` onwards; members of a cluster keep 95% of its places each."""
    out = np.empty((len(labels), num_perm), np.uint32)
    for i in range(len(labels)):
        for p in range(num_perm):
            own = mix64(np.uint64((begin + i) * num_perm + p))
            common = mix64(~np.uint64(np.int64(labels[i]) * num_perm + p))
            noisy = labels[i] < 0 or own % np.uint64(20) == np.uint64(0)
            out[i, p] = np.uint32((own if noisy else common) >> np.uint64(32))
    return out


class Bins:
    """Band keys on disk: two files a partition of documents, sorted by bin, so that reading a bin takes one
    read of each."""

    dtypes = (np.dtype(np.uint64), np.dtype(np.uint32))  # keys, documents

    def __init__(self, folder: str, bits: int):
        self.folder, self.bits, self.bounds = Path(folder), bits, []

    def write(self, keys: np.ndarray, docs: np.ndarray) -> None:
        *columns, bounds = partition(keys, docs, 64 - self.bits, self.bits)
        for column in columns:
            column.tofile(self.folder / f"{len(self.bounds)}.{column.dtype}")
        self.bounds.append(bounds)

    def read(self, number: int) -> list[np.ndarray]:
        columns = []
        for dtype in self.dtypes:
            pieces = []
            for i, bounds in enumerate(self.bounds):
                first, last = bounds[number], bounds[number + 1]
                path = self.folder / f"{i}.{dtype}"
                pieces.append(np.fromfile(path, dtype, last - first, offset=first * dtype.itemsize))
            columns.append(np.concatenate(pieces))
        return columns


def components_by_bins(partitions, docs: int, spent: dict[str, float]) -> np.ndarray:
    """Component of each document, uint32[docs], from ``partitions`` of (first document, signatures)."""
    bits = (docs * PLANTED_BANDS // 2_000_000).bit_length()  # one to two million keys a bin
    with tempfile.TemporaryDirectory() as folder:
        bins = Bins(folder, bits)
        for begin, rows in partitions:
            start = time.perf_counter()
            keys = band_keys(rows, PLANTED_BANDS, PLANTED_ROWS)
            members = np.arange(begin, begin + len(rows), dtype=np.uint32)
            bins.write(keys.ravel(), np.repeat(members, PLANTED_BANDS))
            spent["signatures to bins"] += time.perf_counter() - start
        start = time.perf_counter()
        parent = singletons(docs)
        for number in range(1 << bits):
            union_edges(parent, *group_edges(*bins.read(number)))
        components(parent)
        spent["bins to components"] += time.perf_counter() - start
    return parent


def measure_planted(docs: int, chunk: int = 250_000) -> dict[str, float]:
    def run(labels):
        spent = {"signatures to bins": 0.0, "bins to components": 0.0}
        partitions = (
            (i, planted_signatures(labels[i : i + chunk], i, PLANTED_BANDS * PLANTED_ROWS))
            for i in range(0, len(labels), chunk)
        )
        return components_by_bins(partitions, len(labels), spent), spent

    run(plant(1000))  # compiles
    labels = plant(docs)
    parent, spent = run(labels)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    parent, labels = parent[labels >= 0], labels[labels >= 0]
    found, matched = len(np.unique(parent)), len(np.unique(parent.astype(np.int64) << 32 | labels))
    print(f"{docs:,} planted signatures, {labels.max() + 1:,} clusters, {PLANTED_BANDS} bands of {PLANTED_ROWS}")
    print(f"  components {found:,}, pairs of component and cluster {matched:,}, peak {peak:.2f} GB")
    for name, value in spent.items():
        print(f"  {name:<20}{value:>8.1f} s{docs / value:>14,.0f} documents/s")
    return {"planted_docs_per_s": docs / sum(spent.values()), "planted_peak_gb": peak}
