"""Remove documents with the same text, or the same URL."""

from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.base import urls
from curate.base.messages import SAID_BY, Of, of_role
from curate.base.parameters import Bins
from curate.dedup import _keep_order as keep_order
from curate.documents import comparable, hashes128
from curate.errors import CurateError
from curate.stage_api import Step, group


@group(
    version=2,
    packages=lambda by, **_: ("idna",) if by == "url" else (),
    reads_from=lambda by, keep, of, images, **_: (*compared(by, of, images), *keep_order.columns(keep)),
)
def exact_dedup(
    *,
    by: Literal["text", "normalized_text", "url"] = "text",
    keep: list[str] = [],  # noqa: B006
    bins: Bins = 0,
    of: Of = "all",
    images: bool = False,
) -> list[Step]:
    """Keep the first, in keep order, of all identical documents; documents without a URL are never duplicates by URL.

    by    text: byte for byte. normalized_text: in lowercase, without ASCII punctuation, with white space collapsed (as
          in SlimPajama). url: in canonical form, including the scheme; see `curate.base.urls`.
    keep  columns that decide which copy is kept, after the priority of its source: lowest value first, or with a `-`
          highest first; then the lowest id.
    bins  number of shuffle partitions; 0: chosen by the size of the inputs. Does not affect the result.
    of    role whose messages are compared: `user` (the same question), `assistant`, or `all`. Documents in
          which this role has no message are never duplicates
    images  whether images must be equal too, byte for byte; then the same text about another image is not a duplicate.
          Needs the columns of the stage `images`

    Adds: duplicate_of (string, id of the kept document)

    Reasons: duplicate_text, duplicate_url
    """
    reason = "duplicate_url" if by == "url" else "duplicate_text"
    hashing = partial(hash_keys, by=by, of=of, **({"images": True} if images else {}))
    return [
        Step(hashing, "docs", bins, reads=compared(by, of, images)),
        Step(meet, "bins"),
        Step(partial(ranked, keep=keep), "docs", bins, reads=("id", "priority", *keep_order.columns(keep))),
        Step(partial(decide, keep=keep, reason=reason), "bins"),
    ]


def compared(by: str, of: str, images: bool) -> tuple[str, ...]:
    """The columns that are compared. Raises CurateError for addresses of one role."""
    if by == "url" and of != "all":
        raise CurateError(f"URLs cannot be compared with `of: {of}`", fix="remove `of`, or set `by: text`")
    return (By[by], *(SAID_BY if of != "all" else ()), *(("image_digests",) if images else ()))


def hash_keys(docs: pa.Table, *, by: str, of: str, images: bool = False) -> pa.Table:
    """128 bits of what is compared of each document that has it."""
    values = docs["url"] if by == "url" else of_role(docs, of)
    keys = KEYS[by](values)
    if images:
        digests = pc.fill_null(pc.binary_join(docs["image_digests"], ","), "")
        keys = pc.binary_join_element_wise(keys, digests, "\0")
    high, low = hashes128(keys)
    return pa.table({"doc": docs["doc"], "high": high, "low": low, "bin": high}).filter(values.is_valid())


def meet(rows: pa.Table) -> pa.Table:
    """The documents whose key another one has too: most have not, and go no further."""
    rows = rows.sort_by([("high", "ascending"), ("low", "ascending")])
    same = _as_before(rows)
    return rows.filter(pa.array(same | np.append(same[1:], False)))


def ranked(docs: pa.Table, rows: pa.Table, *, keep: list[str]) -> pa.Table:
    """These documents with what decides between them."""
    compared = pa.table({"priority": docs["priority"], "id": docs["id"]} | keep_order.carried(docs, keep))
    found = compared.take(pa.array(np.searchsorted(docs["doc"].to_numpy(), rows["doc"].to_numpy())))
    for name in ("doc", "high", "low"):
        found = found.append_column(name, rows[name])
    return found.append_column("bin", rows["high"])


def decide(rows: pa.Table, *, keep: list[str], reason: str) -> pa.Table:
    """Verdicts on all but the first of each key."""
    rows = rows.sort_by([("high", "ascending"), ("low", "ascending"), *keep_order.sort_keys(keep)])
    new = ~_as_before(rows)
    first = np.flatnonzero(new)[np.cumsum(new) - 1] if len(new) else np.empty(0, np.int64)
    rows = rows.select(["doc"]).append_column("duplicate_of", rows["id"].take(pa.array(first)))
    rows = rows.append_column("reject", pa.repeat(reason, rows.num_rows))
    return rows.filter(pa.array(~new))


def _as_before(rows: pa.Table) -> np.ndarray:
    """bool[n]: which rows have the key of the row before them."""
    high, low = rows["high"].to_numpy(), rows["low"].to_numpy()
    return np.append(False, (high[1:] == high[:-1]) & (low[1:] == low[:-1]))[: len(high)]


By = {"text": "text", "normalized_text": "text", "url": "url"}


KEYS = {
    "text": lambda text: text,
    "normalized_text": comparable,
    "url": urls.canonicals,
}
