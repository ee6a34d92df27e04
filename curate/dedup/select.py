"""Select a small, diverse set of the best documents: clusters take turns."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.base import urls
from curate.base.parameters import Bins, Column, Large
from curate.dedup import _keep_order as keep_order
from curate.documents import hashes128, utf8
from curate.errors import CurateError
from curate.kernels.lowest_word import lowest_words
from curate.stage_api import Step, group, reject

LONG = 6
"""Characters from which a word tells the topic: shorter ones are mostly those that all texts have."""


def reads(order: list[str], by: Column | None, **_) -> tuple[str, ...]:
    return (*([keep_order.column(COLUMN.get(by, by))] if by else []), *keep_order.columns(order))


@group(version=2, new_only=True, reads_from=reads)
def select(
    *,
    count: Large,
    order: list[str] = ["-quality"],  # noqa: B006
    by: Column | None = None,
    at_most: bool = False,
    bins: Bins = 0,
) -> list[Step]:
    """Select a fixed number of documents, the best of each cluster in turn, like s1K (1,000 of 59,000) and LIMO (817).

    The best document of every cluster is selected first, then the second best of every cluster, and so on; clusters
    without further documents drop out. If the last round cannot include all clusters, the best documents are selected
    first. In other words: documents are ranked within their cluster, and the first `count` of all documents by (rank,
    order, id) are kept. To reject documents that are too easy or not good enough, put a `filter` before this stage.

    count    number of documents to select
    order    columns that decide which document is better, most important first: lowest value first, or with a `-`
             highest first, such as [-n_tokens, -quality]; then the lowest id. Documents without a value come last.
             `meta.NAME` is a number or true/false value in `meta`.
    by       what defines a cluster. A column, such as `source`, or a value in `meta`, such as `meta.domain`: one
             cluster per value, and one for documents without a value. host: the host of `url` in canonical form,
             without `www.`. minhash: of the document's words of 6 or more characters (all its words, if it has none),
             the first in an order defined by a hash; two documents share it with a probability equal to the Jaccard
             similarity of these sets. null: all documents are one cluster.
    at_most  select all documents if there are fewer than `count`; otherwise that is an error, unless there are none
    bins     number of shuffle partitions; 0: chosen by the size of the inputs. Does not affect the result.

    Adds: selection_cluster (string), selection_rank (int64, place in the cluster, from 1; null beyond `count`)

    Reasons: not_selected

    Source: Muennighoff et al. 2025, "s1: Simple test-time scaling" (a document is drawn from a random domain, long
    traces preferred); Ye et al. 2025, "LIMO: Less is more for reasoning"; Broder 1997 (MinHash).
    """
    ranking = {"count": count, "order": order}
    return [
        Step(partial(candidates, by=by, **ranking), "docs", bins, reads=("id", *reads(order, by))),
        Step(partial(finalists, **ranking), "bins", 1),
        Step(partial(choose, at_most=at_most, **ranking), "all"),
        Step(partial(decide, by=by), "apply"),
    ]


def candidates(docs: pa.Table, *, by: str | None, count: int, order: list[str]) -> pa.Table:
    """The first `count` of each cluster here, each cluster sent to one bin."""
    rows = {"doc": docs["doc"], "id": docs["id"], "cluster": clusters(docs, by)} | keep_order.carried(docs, order)
    rows = _ranked(pa.table(rows), count, order).drop_columns("rank")
    return rows.append_column("bin", pa.array(hashes128(rows["cluster"])[0]))


def finalists(rows: pa.Table, *, count: int, order: list[str]) -> pa.Table:
    """Only the first `count` of a bin can be among the first of all: the others go on without what is compared."""
    keys = _sort_keys(order)
    rows = _ranked(rows, count, order).sort_by([("rank", "ascending"), *keys])
    rows = rows.select(["doc", "rank", *(name for name, _ in keys)])
    others = rows.slice(count).select(["doc", "rank"])
    rows = pa.concat_tables([rows.slice(0, count), others], promote_options="default")
    return rows.append_column("bin", pa.array(np.zeros(len(rows), np.uint32)))


def choose(
    tables: Iterator[pa.Table], sizes: np.ndarray, *, count: int, order: list[str], at_most: bool
) -> Iterator[pa.Table]:
    """The first `count` of all are selected."""
    running = []
    for table in tables:
        running.append(table.filter(table["id"].is_valid()))
        others = table.filter(table["id"].is_null())
        yield verdicts(others, np.zeros(len(others), bool))
    rows = pa.concat_tables(running).sort_by([("rank", "ascending"), *_sort_keys(order)])
    if 0 < len(rows) < count and not at_most:
        what = f"`select` needs {count:,} documents, but there are only {len(rows):,}"
        raise CurateError(what, fix="lower `count`, loosen the stages before it, or set `at_most: true`")
    yield verdicts(rows, np.arange(len(rows)) < count)


def decide(docs: pa.Table, rows: pa.Table, *, by: str | None) -> pa.Table:
    """The documents with their cluster and rank; those that are not selected are out."""
    place = pc.index_in(docs["doc"].combine_chunks(), rows["doc"].combine_chunks())
    docs = docs.append_column("selection_cluster", clusters(docs, by))
    docs = docs.append_column("selection_rank", rows["rank"].take(place))
    return reject(docs, not_selected=pc.invert(pc.fill_null(rows["selected"].take(place), False)))


def _ranked(rows: pa.Table, count: int, order: list[str]) -> pa.Table:
    """The first `count` of each cluster, with their rank."""
    rows = rows.sort_by([("cluster", "ascending"), *_sort_keys(order)])
    codes = rows["cluster"].combine_chunks().dictionary_encode("encode").indices.to_numpy()
    rank = np.arange(1, len(codes) + 1) - np.searchsorted(codes, codes)
    return rows.append_column("rank", pa.array(rank)).filter(pa.array(rank <= count))


def _sort_keys(order: list[str]) -> list[tuple[str, str]]:
    """Sort keys for Arrow: ids settle what `order` does not."""
    return [*keep_order.keys(order), ("id", "ascending")]


def verdicts(rows: pa.Table, selected: np.ndarray) -> pa.Table:
    return rows.select(["doc", "rank"]).append_column("selected", pa.array(selected))


def clusters(docs: pa.Table, by: Column | None) -> pa.Array | pa.ChunkedArray:
    """The cluster of each document: string[documents]."""
    if by is None:
        return pa.nulls(len(docs), pa.string())
    return NAMES[by](docs[COLUMN[by]]) if by in NAMES else keep_order.strings(docs, by)


def hosts(addresses: pa.ChunkedArray) -> pa.Array:
    """Their hosts in canonical form, without `www.`, user and port; null for what has none, or no `://`."""
    found = pc.replace_substring_regex(urls.hosts(addresses), r"^www\.", "")
    whole = pc.match_substring_regex(found, r"^(?:\[[0-9a-f:.]+\]|[^\x00-\x20#/:<>?@\[\\\]^|%]+)$")
    return pc.if_else(pc.and_(pc.match_substring(addresses, "://"), whole), found, None)


def topics(text: pa.ChunkedArray) -> pa.Array:
    """The lowest of their long words, see `lowest_words`, case-folded; null where there is no word."""
    data, offsets = utf8(text)
    starts, stops = lowest_words(data, offsets, LONG)
    words = (data[start:stop].tobytes().decode().casefold() for start, stop in zip(starts, stops, strict=True))
    return pa.array([word or None for word in words], pa.string())


COLUMN = {"host": "url", "minhash": "text"}
"""What clusters that are no column are made of."""

NAMES = {"host": hosts, "minhash": topics}
