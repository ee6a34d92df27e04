"""Tasks of the mixture: put documents on the hash line, draw from them, cut the shards.

`order` takes a partition, `mix` all of them. Of many partitions `mix` only adds up what the tasks of
`curate.engine.mix_ranges` drew.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.base.pictures import picture_bytes
from curate.documents import coded
from curate.engine import mix_ranges
from curate.engine.exchange import BinnedWriter
from curate.engine.store import Store, Writer, live_blocks
from curate.mix.hash_line import hash_line
from curate.mix.keys import keys_of, told_apart
from curate.mix.ranges import range_of
from curate.mix.splits import Candidates, compose


def order(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """What the mixture must know of each live document of a partition: `doc`, its place on the hash line, the bytes and
    tokens of its text, those of its pictures, and what its key is made of: values of columns, its number of copies."""
    rows, pictures, ranges = 0, False, args.get("ranges", 1)
    with Writer(draft) if ranges == 1 else BinnedWriter(draft, counts) as writer:
        for docs in live_blocks(store, args["reading"]):
            columns = {
                "doc": docs["doc"],
                "order": pa.array(hash_line(docs["id"], args["seed"]), pa.uint64()),
                "bytes": docs["n_bytes"].fill_null(0),
                "key": keys_of(docs, args["by"], args.get("bucket")),
            }
            if args.get("copies"):
                columns["copies"] = docs["n_duplicates"].fill_null(1)
            if "image_bytes" in docs.column_names:
                columns["pictures"] = docs["image_bytes"].cast(pa.int64()).fill_null(0)
            elif "images" in docs.column_names:
                columns["pictures"] = pa.array(picture_bytes(docs["images"]))
            if "n_tokens" in docs.column_names:
                columns["tokens"] = docs["n_tokens"].cast(pa.int64()).fill_null(0)
            if ranges > 1:
                columns["bin"] = range_of(columns["order"].to_numpy(), ranges)
            writer.write(pa.table(columns))
            rows += docs.num_rows
            pictures |= "pictures" in columns
    counts |= {"rows": rows} | ({"pictures": True} if pictures else {})


def mix(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Draw the mixture and cut the shards. Back to their partitions, for each time they are seen: `doc`, `order`,
    `shard`."""
    if "cuts" in args:
        mix_ranges.mix(store, args, draft, counts)
        return
    documents = _all_documents(store, store.behind(args["before"]), args["mixture"].get("rehydrate"))
    composed = compose(documents, args["mixture"], args["unit"], args["shard_bytes"])
    doc = documents.doc[composed.row]
    columns = {"doc": doc, "order": composed.place, "shard": composed.shard}
    with BinnedWriter(draft, counts) as writer:
        writer.write(pa.table(columns | {"bin": (doc >> np.uint64(32)).astype(np.uint32)}))
    counts |= {"splits": composed.splits, "left_out": composed.left_out}
    counts["shards"] = sum(split["shards"] for split in composed.splits)
    counts["documents"] = len(documents.doc)
    counts["drawn"] = np.bincount(composed.shard, minlength=counts["shards"]).tolist()


def _all_documents(store: Store, parts: list[str], rehydrate: list | None) -> Candidates:
    """The parts that `order` made, in arrays of which each holds all."""
    total = sum(store.counts(fp)["rows"] for fp in parts)
    columns = {"doc": np.uint64, "order": np.uint64, "bytes": np.uint32, "tokens": np.uint32}
    arrays = {name: np.zeros(total, kind) for name, kind in columns.items()}
    if any(store.counts(fp).get("pictures") for fp in parts):
        arrays["pictures"] = np.zeros(total, np.int64)
    if rehydrate:
        arrays["copies"] = np.zeros(total, np.int64)
    key, known, start, counted = np.empty(total, np.int32), {}, 0, True
    for place, table in store.stream(parts):
        rows = slice(start, start + table.num_rows)
        for name in arrays.keys() & set(table.column_names):
            arrays[name][rows] = table[name].to_numpy()
        arrays["doc"][rows] |= np.uint64(place) << np.uint64(32)
        key[rows] = coded(table["key"], known)
        counted &= "tokens" in table.column_names
        start += table.num_rows
    key, names = told_apart(key, known, arrays.get("copies"), rehydrate)
    tokens, pictures = arrays["tokens"] if counted else None, arrays.get("pictures")
    return Candidates(arrays["doc"], arrays["order"], arrays["bytes"], tokens, key, names, pictures)
