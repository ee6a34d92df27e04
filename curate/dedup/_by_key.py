"""`by_key`: group stages in a few lines. Documents with the same key come together, and each group is decided on.

Bump the version of every stage written with it when its output changes.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curate.dedup import _keep_order as keep_order
from curate.documents import hashes128
from curate.stage_api import Step

ORDER = ("priority", "id")
KEY = [("key.high", "ascending"), ("key.low", "ascending")]  # the dot: no column of a document has such a name


class Groups(NamedTuple):
    """Where each of n rows is in its group; all int64[n]."""

    first: np.ndarray
    """The row of the first document of its group."""
    rank: np.ndarray
    """Its place in the group, from 0."""
    size: np.ndarray
    """How many documents the group has, at least 1."""


def by_key(
    key: Callable[..., pa.Array | pa.ChunkedArray],
    decide: Callable[..., pa.Table],
    *,
    reads: tuple[str, ...],
    order: tuple[str, ...] = ORDER,
    columns: tuple[str, ...] = (),
    repeated: bool = False,
    bins: int = 0,
) -> list[Step]:
    """The steps of a group stage in which all documents with the same key come together.

    key       key(docs): the key of each document, string[n]. Documents without one (null) are in no group. Keys are
              compared by 128 bits of their hash
    decide    decide(rows, groups): verdicts on whole groups, one after another. `rows` has `doc`, `id`, `priority`
              (int32) and `columns`; `groups` is a `Groups`. Returns rows, or some of them, with `reject` (see
              `curate.reject`) and the columns that the stage adds; documents that are not returned are kept
    reads     the columns that `key` uses
    order     the columns that order each group: lowest value first, or with a `-` highest first; nulls last. It should
              end in `id`, so that it is the same however documents are split
    columns   other columns that `decide` uses
    repeated  whether only groups of two or more documents matter; then `decide` gets no others, which is faster if most
              documents have a key that no other has
    bins      number of shuffle partitions, as the parameter `bins` of the stage gives it

    `key` and `decide` are module-level functions, or a `functools.partial` of one: see `Step`.

        @group(version=1)
        def one_per_url(*, bins: int = 0) -> list[Step]:
            '''Keep one document per URL, the lowest by id.

            Reads: url
            Reasons: same_url
            '''
            return by_key(url, decide, reads=("url",), bins=bins)

        def url(docs):
            return docs["url"]

        def decide(rows, groups):
            return reject(rows, same_url=groups.rank > 0)
    """
    sending = partial(_send, order=list(order), columns=list(columns))
    sent = tuple(dict.fromkeys((*ORDER, *keep_order.columns(list(order)), *columns)))
    last = Step(partial(_decide, decide=decide, order=list(order)), "bins")
    if not repeated:
        return [Step(partial(_send_all, key=key, **sending.keywords), "docs", bins, (*sent, *reads)), last]
    keys = Step(partial(_keys, key=key), "docs", bins, reads)
    return [keys, Step(_repeated, "bins"), Step(sending, "docs", bins, sent), last]


def _keys(docs: pa.Table, *, key: Callable) -> pa.Table:
    """`doc` and its key; a bin has all documents of a key."""
    values = key(docs)
    high, low = hashes128(values)
    return pa.table({"doc": docs["doc"], "key.high": high, "key.low": low, "bin": high}).filter(values.is_valid())


def _repeated(rows: pa.Table) -> pa.Table:
    """The documents whose key another one has too: mostly few."""
    rows = rows.sort_by(KEY)
    same = ~_starts(rows)
    return rows.filter(pa.array(same | np.append(same[1:], False)))


def _send(docs: pa.Table, rows: pa.Table, *, order: list[str], columns: list[str]) -> pa.Table:
    """Documents with what orders them and what `decide` looks at, sent to the bin of their key.

    rows  `doc`, in the order of `docs`, and its key
    """
    others = [name for name in order if name.removeprefix("-") not in ORDER]
    found = pa.table({name: docs[name] for name in dict.fromkeys((*ORDER, *columns)) if name in docs.column_names})
    for place, column in keep_order.carried(docs, others).items():
        found = found.append_column(f"order.{place}", column)
    if rows.num_rows < docs.num_rows:
        found = found.take(pa.array(np.searchsorted(docs["doc"].to_numpy(), rows["doc"].to_numpy())))
    for name in ("doc", "key.high", "key.low"):
        found = found.append_column(name, rows[name])
    return found.append_column("bin", rows["key.high"])


def _send_all(docs: pa.Table, *, key: Callable, order: list[str], columns: list[str]) -> pa.Table:
    return _send(docs, _keys(docs, key=key), order=order, columns=columns)


def _decide(rows: pa.Table, *, decide: Callable, order: list[str]) -> pa.Table:
    """The verdicts of `decide`, with no more columns than that."""
    given = [name for name in rows.column_names if name not in ("doc", "bin")]
    rows = rows.sort_by([*KEY, *_sort_keys(order)])
    new = _starts(rows)
    begins = np.flatnonzero(new)
    size = np.diff(np.append(begins, len(new)))
    first = np.repeat(begins, size)
    groups = Groups(first, np.arange(len(new)) - first, np.repeat(size, size))
    verdicts = decide(rows.select(["doc", *(name for name in given if "." not in name)]), groups)
    return verdicts.drop_columns([name for name in given if name in verdicts.column_names])


def _sort_keys(order: list[str]) -> list[tuple[str, str]]:
    """Sort keys for Arrow, of rows that `_send` made."""
    others = [name for name in order if name.removeprefix("-") not in ORDER]
    return [
        (f"order.{others.index(name)}" if name in others else name.removeprefix("-"), direction)
        for name, direction in zip(order, keep_order.directions(order), strict=True)
    ]


def _starts(rows: pa.Table) -> np.ndarray:
    """bool[n]: which of these sorted rows have another key than the row before them."""
    high, low = (rows[name].to_numpy() for name, _ in KEY)
    return np.append(True, (high[1:] != high[:-1]) | (low[1:] != low[:-1]))[: len(high)]
