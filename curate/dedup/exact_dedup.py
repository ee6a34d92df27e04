"""Exact duplicates: documents with the same text, or the same address."""

from typing import Literal

import numpy as np
import pyarrow as pa

from curate import urls
from curate.dedup import _keep_order as keep_order
from curate.documents import comparable, hashes128
from curate.stage import Step, group


@group(
    version=2,
    packages=lambda by, **_: ("idna",) if by == "url" else (),
    reads_from=lambda by, keep, **_: (By[by], *keep_order.columns(keep)),
)
def exact_dedup(
    *,
    by: Literal["text", "normalized_text", "url"] = "text",
    keep: list[str] = [],  # noqa: B006
    bins: int = 0,
) -> list[Step]:
    """Keep the first, in keep order, of all documents that are the same; a document without an address is unlike any.

    by    text: byte for byte. normalized_text: lower-cased, without ASCII punctuation, white space collapsed (as
          SlimPajama compares). url: in canonical form, scheme included, see `curate.urls`.
    keep  columns that settle which copy stays after the priority of its source: the lowest, or with a `-` the highest;
          then the lowest id.
    bins  parts the work is cut in, 0: by the size of the inputs. No bearing on the result.

    Adds: duplicate_of (string, id of the kept document)

    Reasons: duplicate_text, duplicate_url
    """
    reason = "duplicate_url" if by == "url" else "duplicate_text"
    order = keep_order.columns(keep)

    def keys(docs: pa.Table) -> pa.Table:
        high, low = hashes128(KEYS[by](docs[By[by]]))
        kept = dict.fromkeys(["doc", "priority", "id", *order])
        table = docs.select(list(kept)).append_column("high", pa.array(high)).append_column("low", pa.array(low))
        table = table.append_column("bin", pa.array((high % np.uint64(bins)).astype(np.uint32)))
        return table.filter(docs[By[by]].is_valid())

    def decide(rows: pa.Table) -> pa.Table:
        rows = rows.sort_by([("high", "ascending"), ("low", "ascending"), *keep_order.sort_keys(keep)])
        high, low = rows["high"].to_numpy(), rows["low"].to_numpy()
        new = np.ones(len(high), bool)
        new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        first = np.flatnonzero(new)[np.cumsum(new) - 1] if len(new) else np.empty(0, np.int64)
        rows = rows.select(["doc"]).append_column("duplicate_of", rows["id"].take(pa.array(first)))
        rows = rows.append_column("reject", pa.repeat(reason, rows.num_rows))
        return rows.filter(pa.array(~new))

    return [Step(keys, "docs", bins), Step(decide, "bins")]


By = {"text": "text", "normalized_text": "text", "url": "url"}


KEYS = {
    "text": lambda text: text,
    "normalized_text": comparable,
    "url": urls.canonicals,
}
