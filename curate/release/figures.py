"""What the report draws: counts of columns, hosts, years, near-duplicates and evaluation items of a release.

Counted once from its Parquet files when its pages are written. Row groups of shards are uniform samples, since
documents are shuffled: beyond `MOST` rows some stand for all, and the time does not grow with the release.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.base.redact import published
from curate.documents import coded
from curate.errors import CurateError
from curate.release.fetched import Held
from curate.release.thresholds import Threshold, bounds

MOST, MOST_EVIDENCE = 200_000, 2_000_000
"""Rows of shards, and of a kind of evidence, that are read; their text is read of the shards alone."""

BINS, SOURCES, HOSTS, ITEMS = 40, 20, 10, 50
"""Bars of a histogram; sources that are told apart; hosts of a source and evaluation items that are listed."""

SKEWED = 20
"""From this ratio of the largest value to the median on, a scale is logarithmic."""

OTHERS, LENGTH, YEAR = "other sources", "characters of the text", "year of the date"
HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?(?P<host>[^/?#:@]+)"
SIZES = (2, 3, 4, 5, 10, 20, 50, 100, 1000, 10_000)
"""Where the classes of cluster sizes begin."""


@dataclass(frozen=True)
class Histogram:
    """Documents by a number.

    edges  BINS + 1 at most, ascending; the first and last bars hold what lies beyond, too
    counts {source: (documents kept in each bar, documents out)}
    whole  whether all values are whole numbers
    low, median, high  the 5th, 50th and 95th percentile
    """

    name: str
    edges: list[float]
    log: bool
    whole: bool
    counts: dict[str, tuple[list[int], list[int]]]
    low: float
    median: float
    high: float
    bounds: list[Threshold] = field(default_factory=list)

    @property
    def kept(self) -> list[int]:
        return [sum(column) for column in zip(*(kept for kept, _ in self.counts.values()), strict=True)]

    @property
    def out(self) -> list[int]:
        return [sum(column) for column in zip(*(out for _, out in self.counts.values()), strict=True)]


@dataclass(frozen=True)
class Figures:
    """rows, sampled: of the shards, and those that were read. hosts: (source, host, documents, share of the source's).
    clusters: (smallest and largest size, clusters, documents). items: (item, documents, kept, largest share)."""

    rows: int = 0
    sampled: int = 0
    lengths: list[Histogram] = field(default_factory=list)
    years: Histogram | None = None
    signals: list[Histogram] = field(default_factory=list)
    hosts: list[tuple[str, str, int, float]] = field(default_factory=list)
    similarity: Histogram | None = None
    clusters: list[tuple[str, int, int]] = field(default_factory=list)
    items: list[tuple[str, int, int, float]] = field(default_factory=list)
    passages: Histogram | None = None


def figures(held: Held) -> Figures:
    """The figures of a release.

    Raises CurateError for files that cannot be read.
    """
    try:
        return _figures(held)
    except (pa.ArrowException, OSError) as error:
        what = f"a file of the release cannot be read: {str(error).partition(chr(10))[0]}"
        raise CurateError(what, str(held.folder), "run `curate verify` on it") from None


def _figures(held: Held) -> Figures:
    lock = held.lock
    names = ["source", "text", "url", "date", *_numbers(lock.columns)]
    rows, sampled, table = _sampled(held, "data/", names, MOST)
    scale = rows / max(sampled, 1)
    near, similar = _evidence(held, "near_duplicates", ["source", "similarity", "kept", "cluster"])
    again, repeated = _evidence(held, "repeated_passages", ["source", "n_bytes_repeated", "kept"])
    found, _ = _evidence(held, "decontamination", ["contamination", "contamination_share", "kept"])
    limits = bounds(lock)
    made = {name: histogram(table, name, scale, limits.get(name, ())) for name in _numbers(lock.columns)}
    lengths = [made.pop("n_tokens")] if "n_tokens" in made else []
    return Figures(
        rows,
        sampled,
        [chart for chart in (histogram(table, LENGTH, scale), *lengths) if chart],
        _years(table, scale),
        [chart for chart in made.values() if chart],
        list(hosts(table, scale)),
        histogram(near, "similarity", similar, limits.get("similarity", ())),
        list(_clusters(near)),
        list(_items(found)),
        histogram(again, "n_bytes_repeated", repeated),
    )


def _numbers(columns: dict[str, str]) -> list[str]:
    return [name for name, kind in columns.items() if kind.startswith(("int", "uint", "float", "double"))]


def _sampled(held: Held, start: str, names: list[str], most: int) -> tuple[int, int, pa.Table]:
    """Rows there are, rows read, and these columns of them, of the files whose paths begin so."""
    paths = [file.path for file in held.lock.files if file.path.startswith(start) and file.path.endswith(".parquet")]
    total, seen, taken, tables = sum(pq.read_metadata(held.file(path)).num_rows for path in paths), 0, 0, []
    for path in paths:  # one is open at a time
        with pq.ParquetFile(held.file(path)) as file:
            columns = [name for name in names if name in file.schema_arrow.names]
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if total <= most or taken < most * (seen + rows / 2) / total:  # spread over all files
                    tables.append(_lengths(file.read_row_group(group, columns=columns)))
                    taken += rows
                seen += rows
    return total, taken, pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})


def _evidence(held: Held, name: str, columns: list[str]) -> tuple[pa.Table, float]:
    """Columns of a kind of evidence, and how many documents a row stands for."""
    rows, sampled, table = _sampled(held, f"evidence/{name}", columns, MOST_EVIDENCE)
    return table, rows / max(sampled, 1)


def _lengths(table: pa.Table) -> pa.Table:
    """Texts are not held: only how many characters they have."""
    if "text" not in table.column_names:
        return table
    return table.drop_columns("text").append_column(LENGTH, pc.utf8_length(table["text"]))


def _is_out(table: pa.Table) -> pa.ChunkedArray | np.ndarray:
    kept = table["kept"] if "kept" in table.column_names else None
    return np.zeros(table.num_rows, bool) if kept is None else pc.fill_null(pc.invert(kept), False)


def histogram(table: pa.Table, name: str, scale: float = 1.0, bounds: Iterable[Threshold] = ()) -> Histogram | None:
    """Documents by a column, and by their source; None where it has not two finite numbers.

    table  with the columns `source` and, where some are out, `kept`
    scale  documents that a row stands for
    """
    if name not in table.column_names or not _is_number(table.schema.field(name).type):
        return None
    values = pc.fill_null(table[name].cast(pa.float64()), np.nan).to_numpy()
    finite = np.isfinite(values)
    if not finite.any() or np.ptp(values[finite]) == 0:
        return None
    values, out = values[finite], np.asarray(_is_out(table))[finite]
    low, median, high = (float(value) for value in np.quantile(values, (0.05, 0.5, 0.95)))
    whole = bool((values == np.rint(values)).all())
    edges, log = _edges(values, median, whole)
    bars = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    codes, sources = _sources(table)
    counts = np.zeros((len(sources), 2, len(edges) - 1), np.int64)
    np.add.at(counts, (codes[finite], out.astype(np.intp), bars), 1)
    scaled = np.rint(counts * scale).astype(np.int64).tolist()
    by_source = {source: (scaled[place][0], scaled[place][1]) for place, source in enumerate(sources)}
    return Histogram(name, edges.tolist(), log, whole, by_source, low, median, high, list(bounds))


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _edges(values: np.ndarray, median: float, whole: bool) -> tuple[np.ndarray, bool]:
    """Edges of the bars, and whether their scale is logarithmic. What few documents have goes to the outer bars."""
    first, last = np.quantile(values, (0.001, 0.999), method="nearest")
    bars = int(np.clip(len(values) // 5, 10, BINS))
    if whole and last - first < BINS:
        return np.arange(first, last + 2) - 0.5, False
    if first >= 0 and last > SKEWED * max(median, 1e-9) and median > 0:
        first = max(first, 1.0 if whole else last / 1e6)
        return np.geomspace(first, last, bars + 1), True
    return np.linspace(first, last if last > first else values.max(), bars + 1), False


def _sources(table: pa.Table) -> tuple[np.ndarray, list[str]]:
    """The source of each row as a place in the list of names, the most frequent first; the rest are one."""
    if "source" not in table.column_names:
        return np.zeros(table.num_rows, np.intp), [""]
    known: dict[str, int] = {}
    codes = coded(pc.fill_null(table["source"], ""), known)
    names, frequent = [published(str(name)) for name in known], np.bincount(codes, minlength=len(known))
    order = sorted(range(len(names)), key=lambda place: (-frequent[place], names[place]))
    ranks = np.zeros(len(names), np.intp)
    ranks[order] = np.minimum(np.arange(len(names)), SOURCES)
    shown = [names[place] for place in order[:SOURCES]]
    return ranks[codes], [*shown, OTHERS] if len(names) > SOURCES else shown


def _years(table: pa.Table, scale: float) -> Histogram | None:
    """Documents by the year of their date, which is text as the source had it."""
    if "date" not in table.column_names or not pa.types.is_string(table.schema.field("date").type):
        return None
    found = pc.struct_field(pc.extract_regex(table["date"], r"^(?P<year>(?:19|20)\d\d)\b"), "year")
    return histogram(table.append_column(YEAR, found.cast(pa.int32())), YEAR, scale)


def hosts(table: pa.Table, scale: float) -> Iterator[tuple[str, str, int, float]]:
    """(source, host, documents, share of the source's) of the hosts with the most documents, of each source."""
    if not table.num_rows or not {"source", "url"} <= set(table.column_names):
        return
    codes, names = _sources(table)
    host = pc.struct_field(pc.extract_regex(table["url"].cast(pa.string()), HOST), "host")
    of = pa.table({"source": pa.array(codes, pa.int64()), "host": pc.utf8_lower(host)})
    counted = of.group_by(["source", "host"]).aggregate([([], "count_all")])
    counted = counted.filter(counted["host"].is_valid())
    sizes = np.bincount(codes, minlength=len(names))
    by = [("source", "ascending"), ("count_all", "descending"), ("host", "ascending")]
    shown: dict[int, int] = {}
    for row in counted.sort_by(by).to_pylist():
        place, count = row["source"], row["count_all"]
        shown[place] = shown.get(place, 0) + 1
        if shown[place] <= HOSTS:
            yield names[place], published(row["host"]), round(count * scale), count / int(sizes[place])


def _clusters(near: pa.Table) -> Iterator[tuple[str, int, int]]:
    """(sizes, clusters, documents) of near-duplicates, by classes of the size of their cluster."""
    if "cluster" not in near.column_names:
        return
    sizes = near.group_by("cluster").aggregate([([], "count_all")])["count_all"].to_numpy()
    places = np.searchsorted(SIZES, sizes, side="right") - 1
    for place, (start, stop) in enumerate(zip(SIZES, [*SIZES[1:], None], strict=True)):
        chosen = sizes[places == place]
        if len(chosen):
            last = "" if stop == start + 1 else " and more" if stop is None else f" to {stop - 1:,}"
            yield f"{start:,}{last}", len(chosen), int(chosen.sum())


def _items(found: pa.Table) -> Iterator[tuple[str, int, int, float]]:
    """(evaluation item, documents with it, those kept, the largest share of it in one) of the most frequent."""
    if not {"contamination", "contamination_share", "kept"} <= set(found.column_names):
        return
    sums = [([], "count_all"), ("kept", "sum"), ("contamination_share", "max")]
    counted = found.group_by("contamination").aggregate(sums)
    counted = counted.sort_by([("count_all", "descending"), ("contamination", "ascending")])
    for row in counted.slice(0, ITEMS).to_pylist():
        share = row["contamination_share_max"]
        yield published(str(row["contamination"])), row["count_all"], row["kept_sum"] or 0, share or 0.0
