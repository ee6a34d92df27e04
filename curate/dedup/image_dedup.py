"""Remove documents whose images were all seen before: the same bytes, or nearly the same picture.

The meaning is sequential. Take documents in keep order. A picture was seen if a kept document before has one of the
same bytes, or one whose hash differs in at most `distance` bits. A document goes if it has pictures and all of them
were seen; else it stays. Documents without pictures are no concern of this stage.

In parallel: keys (by partition) -> edges (by bin of keys, compared) -> components (union-find) -> the documents of one
component meet in one bin -> the sequential rule there. Pictures themselves are not read again: `images` hashed them.
"""

from functools import partial
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.base.parameters import Bins, NotTruth
from curate.dedup import _keep_order as keep_order
from curate.dedup.near_dedup import joined
from curate.documents import hashes128
from curate.kernels.image_hash import MOST_DISTANCE, first_kept, meeting_keys, near_edges
from curate.stage_api import Step, group

HASHED = ("image_digests", "image_hashes")
BITS = 64


@group(version=1, max_removed=0.9, reads_from=lambda keep, **_: (*HASHED, *keep_order.columns(keep)))
def image_dedup(
    *,
    distance: Annotated[
        Annotated[int, Field(ge=0, le=MOST_DISTANCE), NotTruth] | None,
        Field(
            description="of the 64 hash bits, how many may differ between similar images; null: only equal bytes count"
        ),
    ] = 4,
    keep: Annotated[
        list[str],
        Field(
            description="columns that decide which copy is kept, after the priority of its source: lowest value "
            "first, or with a `-` highest first; then the lowest id"
        ),
    ] = [],  # noqa: B006
    bins: Annotated[Bins, Field(description="number of shuffle partitions; 0: chosen by the size of the inputs")] = 0,
) -> list[Step]:
    """Keep the first, in keep order, of documents with the same images; needs the columns of the stage `images`.

    A document is rejected only if all its images are also in kept documents before it, so no image is lost, but
    other questions about an image are. Images of (nearly) one color are compared only by their bytes.

    Adds: duplicate_of (string, id of the kept document with its first image or the most similar one),
    similarity (float32, of the least similar image: 1 minus the share of differing bits; 1 for equal bytes),
    cluster (string, id of the first of all linked documents), cluster_size (int64, documents)

    Reasons: duplicate_image, near_duplicate_image
    """
    return [
        Step(partial(sign, distance=distance), "docs", bins, reads=HASHED),
        Step(partial(join, distance=distance), "bins", 1),
        Step(joined, "all"),
        Step(partial(gathered, keep=keep), "docs", bins, reads=("id", "priority", *HASHED, *keep_order.columns(keep))),
        Step(partial(decide, distance=distance, keep=keep), "bins"),
    ]


def pictures(docs: pa.Table) -> dict[str, np.ndarray]:
    """The pictures of documents that have bytes: `row`, int64, of the table; `high`, `low`, uint64, by which those of
    the same bytes are known; `hash`, uint64, and `known`, bool: whether they have one."""
    digests, hashes = (docs[name].combine_chunks() for name in HASHED)
    row = pc.list_parent_indices(digests).to_numpy()
    values, of = digests.flatten(), hashes.flatten()
    there = values.is_valid().to_numpy(zero_copy_only=False)
    high, low = hashes128(values.drop_null())
    known = of.is_valid().to_numpy(zero_copy_only=False)[there]
    hashed = of.fill_null(0).to_numpy().astype(np.uint64)[there]
    return {"row": row[there], "high": high, "low": low, "hash": hashed, "known": known}


def sign(docs: pa.Table, *, distance: int | None) -> pa.Table:
    """The keys under which each picture meets those of the same bytes, and those that are like it."""
    found = pictures(docs)
    doc = docs["doc"].to_numpy()
    rows, keys, held = [doc[found["row"]]], [found["high"]], [found["low"]]
    if distance is not None:
        known = found["known"]
        every = meeting_keys(found["hash"][known], distance)
        rows.append(np.repeat(doc[found["row"][known]], every.shape[1]))
        keys.append(every.ravel())
        held.append(np.repeat(found["hash"][known], every.shape[1]))
    key = np.concatenate(keys)
    columns = {"doc": np.concatenate(rows), "key": key, "held": np.concatenate(held)}
    return pa.table(columns | {"bin": (key >> np.uint64(32)).astype(np.uint32)})


def join(rows: pa.Table, *, distance: int | None) -> pa.Table:
    """Edges between documents of which pictures are alike, as few as join them."""
    rows = rows.sort_by([("key", "ascending"), ("held", "ascending"), ("doc", "ascending")])
    key, held, doc = (rows[name].to_numpy() for name in ("key", "held", "doc"))
    number = np.unique(doc, return_inverse=True)[1]
    first, other = near_edges(key, held, doc, number, distance or 0)
    return pa.table({"doc": first, "other": other, "bin": np.zeros(len(first), np.uint32)})


def gathered(docs: pa.Table, members: pa.Table, *, keep: list[str]) -> pa.Table:
    """The pictures of documents that are joined with others, sent to the bin of their component with what decides."""
    docs = docs.take(pa.array(np.searchsorted(docs["doc"].to_numpy(), members["doc"].to_numpy())))
    component = members["component"].to_numpy()
    found = pictures(docs)
    row = found.pop("row")
    sent = pa.table({"doc": docs["doc"], "component": component, "priority": docs["priority"], "id": docs["id"]})
    for name, column in (keep_order.carried(docs, keep) | {"bin": _bins(component)}).items():
        sent = sent.append_column(name, column if isinstance(column, pa.ChunkedArray) else pa.array(column))
    sent = sent.take(pa.array(row))
    for name, column in found.items():
        sent = sent.append_column(name, pa.array(column))
    return sent


def _bins(component: np.ndarray) -> np.ndarray:
    return ((component * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)).astype(np.uint32)


def decide(rows: pa.Table, *, distance: int | None, keep: list[str]) -> pa.Table:
    """The verdicts on whole components, by the sequential rule."""
    place = pa.array(np.arange(rows.num_rows))  # of pictures within their document
    rows = rows.append_column("place", place).sort_by([*keep_order.sort_keys(keep), ("place", "ascending")])
    doc = rows["doc"].to_numpy()
    begins = np.flatnonzero(np.append(True, doc[1:] != doc[:-1])[: len(doc)])
    digests = np.stack([rows["high"].to_numpy(), rows["low"].to_numpy()])
    copies = np.unique(digests, axis=1, return_inverse=True)[1].ravel()
    known = rows["known"].to_numpy() if distance is not None else np.zeros(len(doc), bool)
    offsets = np.append(begins, len(doc))
    kept, differ = first_kept(offsets, copies, rows["hash"].to_numpy(), known, distance or 0)
    rows = rows.select(["doc", "id", "component"]).take(pa.array(begins))
    component = rows["component"].to_numpy()
    _, first, cluster, size = np.unique(component, return_index=True, return_inverse=True, return_counts=True)
    out, ids = kept >= 0, rows["id"]
    reason = np.where(differ < 0, "duplicate_image", "near_duplicate_image")
    similarity = 1 - np.maximum(differ, 0) / BITS
    return pa.table(
        {
            "doc": rows["doc"],
            "reject": pa.array(np.where(out, reason, None), pa.string()),
            "duplicate_of": ids.take(pa.array(kept, mask=~out)),
            "similarity": pa.array(similarity.astype(np.float32), mask=~out),
            "cluster": ids.take(pa.array(first[cluster])),
            "cluster_size": pa.array(size[cluster], pa.int64()),
        }
    )
