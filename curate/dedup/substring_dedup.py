"""Remove passages that also occur in an earlier document, whatever surrounds them.

The meaning is sequential. Take documents in keep order. A passage of `min_bytes` is a repeat if it began at an earlier
place, in an earlier document or the same one. What goes is the union of such passages, trimmed inward to boundaries;
the first place of a passage is never a repeat, so one copy of everything stays.

In parallel: anchors of each text (by partition) -> those that occur twice (by bin of anchors) -> the bytes around them
-> the passages that are equal there, and which is first (by bin) -> what goes of each document.
"""

import json
from functools import partial
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.base.parameters import MOST, Bins, NotTruth, Share
from curate.dedup import _keep_order as keep_order
from curate.dedup._repeated import as_before, meet
from curate.documents import flat, hashes128, utf8
from curate.kernels import repeats
from curate.stage_api import Step, group, reject, set_column

BOUNDARIES = {"character": repeats.CHARACTERS, "word": repeats.WORDS, "line": repeats.LINES}

Length = Annotated[int, Field(ge=32, le=MOST), NotTruth]


@group(version=1, max_removed=0.9, reads_from=lambda keep, **_: ("text", *keep_order.columns(keep)))
def substring_dedup(
    *,
    min_bytes: Length = 500,
    boundary: Literal["line", "word", "character"] = "word",
    max_share: Share = 0.8,
    keep: list[str] = [],  # noqa: B006
    bins: Bins = 0,
) -> list[Step]:
    """Remove every passage that occurred before, in an earlier document or earlier in the same one.

    A passage is a repeat if its bytes are exactly those at an earlier place: what a suffix array finds. The first copy
    of everything stays. "Earlier" means keep order, as in all stages that deduplicate.

    min_bytes  length from which a passage counts, in bytes of UTF-8. Longer repeats go as a whole.
    boundary   a passage is cut where a line, a word or a character begins, always inside what is repeated. A word is
               that of UAX 29.
    max_share  a document that would lose more than this share of its bytes is rejected, with its original text. It is
               kept without its repeats if another document lost a passage because this one has it first. A document of
               which nothing would be left is always rejected.
    keep       columns that decide whose passage comes first, after the priority of the source: lowest value first, or
               with a `-` highest first; then the lowest id.
    bins       number of shuffle partitions; 0: chosen by the size of the inputs. Does not affect the result.

    Changes: text

    Adds: n_bytes_repeated (int64, bytes that are repeats), repeated_passages (string, JSON list: bytes `start` to
    `stop` of the original text, with the id `of` and the byte `at` of the document that has them first)

    Reasons: mostly_repeated

    Source: Lee et al. 2022, "Deduplicating training data makes language models better", 4.1, which removes all copies;
    anchors by Schleimer et al. 2003, "Winnowing: local algorithms for document fingerprinting".
    """
    order = keep_order.columns(keep)
    return [
        Step(partial(anchors, min_bytes=min_bytes), "docs", bins, reads=("text",)),
        Step(meet, "bins"),
        Step(partial(surrounded, keep=keep), "docs", bins, reads=("id", "priority", "text", *order)),
        Step(partial(find_repeats, min_bytes=min_bytes, keep=keep), "bins"),
        Step(partial(take_out, boundary=boundary, max_share=max_share), "apply"),
    ]


def anchors(docs: pa.Table, *, min_bytes: int) -> pa.Table:
    """The anchors of each text, and where their windows begin and end."""
    doc, start, last, stop, key = repeats.anchors(*utf8(docs["text"]), min_bytes)
    rows = {"doc": docs["doc"].to_numpy()[doc], "key": key, "start": start, "last": last - start, "stop": stop}
    return pa.table(rows | {"bin": key})


def surrounded(docs: pa.Table, rows: pa.Table, *, keep: list[str]) -> pa.Table:
    """These anchors with the bytes of their windows, and what decides which is the first."""
    data, offsets = utf8(docs["text"])
    row = np.searchsorted(docs["doc"].to_numpy(), rows["doc"].to_numpy())
    sizes = rows["stop"].to_numpy() - rows["start"].to_numpy()
    bounds = np.append(0, np.cumsum(sizes))
    held = repeats.slices(data, offsets[row] + rows["start"].to_numpy(), bounds)
    windows = pa.Array.from_buffers(pa.large_binary(), len(row), [None, pa.py_buffer(bounds), pa.py_buffer(held)])
    content, _ = hashes128(windows)
    carries = np.zeros(len(row), bool)
    carries[np.unique(content, return_index=True)[1]] = True  # one of equal contexts carries them
    found = pa.table({"priority": docs["priority"], "id": docs["id"]} | keep_order.carried(docs, keep))
    found = found.take(pa.array(row))
    for name in ("doc", "key", "start", "last"):
        found = found.append_column(name, rows[name])
    found = found.append_column("content", pa.array(content))
    found = found.append_column("windows", pc.if_else(pa.array(carries), windows, None))
    return found.append_column("bin", rows["key"])


def find_repeats(rows: pa.Table, *, min_bytes: int, keep: list[str]) -> pa.Table:
    """The passages that an earlier document, or an earlier place of the same, has already; and which documents have
    the first copy of one that another has: rows without `stop`."""
    carriers = rows.filter(rows["windows"].is_valid()).select(["content", "last", "windows"])
    content, first = np.unique(carriers["content"].to_numpy(), return_index=True)
    carriers = carriers.take(pa.array(first))
    rows = rows.drop_columns("windows")
    rows = rows.sort_by([("key", "ascending"), *keep_order.sort_keys(keep), ("start", "ascending")])
    key, doc, start = (rows[name].to_numpy() for name in ("key", "doc", "start"))
    groups = np.append(np.flatnonzero(~as_before(key)), len(key))
    context = np.searchsorted(content, rows["content"].to_numpy())
    data, offsets = utf8(carriers["windows"])
    lasts = carriers["last"].to_numpy()
    row, begin, end, place, firsts = repeats.earlier_windows(data, offsets, groups, context, lasts, min_bytes)
    origin = np.searchsorted(offsets, place, side="right") - 1
    of = firsts[origin]
    shift = start[row] - offsets[context[row]]
    cut = {"doc": doc[row], "start": begin + shift, "stop": end + shift}
    cut |= {"of": rows["id"].take(pa.array(of)), "at": place - offsets[origin] + start[of]}
    others = np.unique(doc[of][doc[of] != doc[row]])
    nothing = pa.nulls(len(others), pa.int64())
    having = {"doc": others, "start": nothing, "stop": nothing, "of": pa.nulls(len(others), pa.string()), "at": nothing}
    cut = pa.table(cut)
    return pa.concat_tables([cut, pa.table(having, schema=cut.schema)])


def take_out(docs: pa.Table, found: pa.Table, *, boundary: str, max_share: float) -> pa.Table:
    """The documents without their repeats."""
    found = found.sort_by([("doc", "ascending"), ("start", "ascending"), ("stop", "ascending"), ("of", "ascending")])
    cuts = found.filter(found["stop"].is_valid())
    first = np.isin(docs["doc"].to_numpy(), found.filter(found["stop"].is_null())["doc"].to_numpy())
    data, offsets = utf8(docs["text"])
    spans = np.searchsorted(cuts["doc"].to_numpy(), np.append(docs["doc"].to_numpy(), np.iinfo(np.uint64).max))
    text, bounds, pieces = repeats.without_passages(
        data, offsets, spans, cuts["start"].to_numpy(), cuts["stop"].to_numpy(), BOUNDARIES[boundary]
    )
    sizes, left = np.diff(offsets), np.diff(bounds)
    removed = sizes - left
    out = (removed > 0) & ((left == 0) | ~first & (removed > max_share * sizes))
    left = pa.Array.from_buffers(pa.large_string(), docs.num_rows, [None, pa.py_buffer(bounds), pa.py_buffer(text)])
    changed = pa.array((removed > 0) & ~out)
    docs = set_column(docs, "text", pc.if_else(changed, left.cast(pa.string()), flat(docs["text"])))
    docs = set_column(docs, "n_bytes_repeated", pa.array(removed))
    docs = set_column(docs, "repeated_passages", said(docs.num_rows, pieces, cuts))
    return reject(docs, mostly_repeated=pa.array(out))


def said(docs: int, pieces: np.ndarray, cuts: pa.Table) -> pa.Array:
    """What went of each document, and where it stands first, as JSON; null where nothing went: string[docs]."""
    found: list[list[dict]] = [[] for _ in range(docs)]
    starts, places, of = cuts["start"].to_pylist(), cuts["at"].to_pylist(), cuts["of"].to_pylist()
    for doc, start, stop, cut in pieces.tolist():
        at = places[cut] + start - starts[cut]
        last = found[doc][-1] if found[doc] else {}
        if last and last["stop"] == start and (last["of"], last["at"] + start - last["start"]) == (of[cut], at):
            last["stop"] = stop
        else:
            found[doc].append({"start": start, "stop": stop, "of": of[cut], "at": at})
    return pa.array([json.dumps(one) if one else None for one in found], pa.string())
