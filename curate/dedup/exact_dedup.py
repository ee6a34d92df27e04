"""Remove documents with the same text, or the same URL."""

from functools import partial
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from curate.base import urls
from curate.base.messages import SAID_BY, Of, of_role
from curate.base.parameters import Bins, Column
from curate.dedup import _counts
from curate.dedup import _keep_order as keep_order
from curate.dedup._by_key import Groups, by_key
from curate.documents import comparable
from curate.errors import CurateError
from curate.stage_api import Step, group, reject


@group(
    version=2,
    packages=lambda by, **_: ("idna",) if by == "url" else (),
    reads_from=lambda by, keep, of, images, counts, **_: (
        *compared(by, of, images),
        *keep_order.columns([*keep, *([counts] if counts else [])]),
    ),
    adds_from=lambda counts, **_: {"duplicate_of": "string"} | (_counts.ADDS if counts else {}),
)
def exact_dedup(
    *,
    by: Literal["text", "normalized_text", "url"] = "text",
    keep: list[str] = [],  # noqa: B006
    bins: Bins = 0,
    of: Of = "all",
    images: bool = False,
    counts: Column | None = None,
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
    counts  a column, such as `source`, or a value in `meta`, such as `meta.dump`: count the copies that each kept
            document stands for, and the values of this column among them; counts of earlier stages are added up.
            null: no counts

    Adds: duplicate_of (string, id of the kept document); with `counts`, n_duplicates (int64, copies that a kept
    document stands for, itself included), n_duplicate_sources (int64, values of the column among them),
    duplicate_sources (list[string], these values, sorted)

    Reasons: duplicate_text, duplicate_url
    """
    reason = "duplicate_url" if by == "url" else "duplicate_text"
    steps = by_key(
        partial(keys, by=by, of=of, **({"images": True} if images else {})),
        partial(decide, reason=reason, **({"counts": counts} if counts else {})),
        reads=compared(by, of, images),
        order=("priority", *keep, "id"),
        columns=_counts.reads(counts),
        repeated=True,
        bins=bins,
    )
    return [*steps, *_counts.last_step(counts)]


def compared(by: str, of: str, images: bool) -> tuple[str, ...]:
    """The columns that are compared. Raises CurateError for addresses of one role."""
    if by == "url" and of != "all":
        raise CurateError(f"URLs cannot be compared with `of: {of}`", fix="remove `of`, or set `by: text`")
    return (By[by], *(SAID_BY if of != "all" else ()), *(("image_digests",) if images else ()))


def keys(docs: pa.Table, *, by: str, of: str, images: bool = False) -> pa.ChunkedArray:
    """What is compared of each document that has it."""
    found = KEYS[by](docs["url"] if by == "url" else of_role(docs, of))
    if images:
        digests = pc.fill_null(pc.binary_join(docs["image_digests"], ","), "")
        found = pc.binary_join_element_wise(found, digests, "\0")
    return found


def decide(rows: pa.Table, groups: Groups, *, reason: str, counts: str | None = None) -> pa.Table:
    """Verdicts on all but the first of each key; on that one too where copies are counted."""
    copy = pa.array(groups.rank > 0)
    found = rows.append_column("duplicate_of", pc.if_else(copy, rows["id"].take(pa.array(groups.first)), None))
    found = reject(found, **{reason: copy})
    if not counts:
        return found.filter(copy)
    own = pa.table(_counts.so_far(rows, counts))
    for name, column in _counts.added_up(own, groups.first).items():
        found = found.append_column(name, column)
    return found


By = {"text": "text", "normalized_text": "text", "url": "url"}


KEYS = {
    "text": lambda text: text,
    "normalized_text": comparable,
    "url": urls.canonicals,
}
