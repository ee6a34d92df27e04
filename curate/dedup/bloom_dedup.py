"""Remove paragraphs and documents mostly seen before, with a Bloom filter as DCLM-Baseline does."""

from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.base.parameters import Groups, InnerShare, Large, Ngram
from curate.dedup import _keep_order as keep_order
from curate.dedup._units import join, split
from curate.documents import utf8
from curate.errors import CurateError
from curate.kernels.bloom import filter_size, old_both
from curate.stage_api import Step, group, reject, set_column


def memory(expected_ngrams: int, false_positives: float, **_) -> int:
    """Bytes of the filter of one group; a worker holds one at a time, beside the texts of the group."""
    return 8 * filter_size(expected_ngrams, false_positives)[0]


def reads(keep: list[str], **_) -> tuple[str, ...]:
    return ("text", *keep_order.columns(keep))


def notes(groups: int, **params) -> list[str]:
    """What the filter costs, said before the run and in the card."""
    expected, rate = params["expected_ngrams"], params["false_positives"]
    held = f"{memory(**params) / 1e6:,.0f} MB for each of {groups} groups, held by one worker at a time"
    return [f"a Bloom filter for {expected:,} n-grams at {rate:.2%} false positives takes {held}; more stop the run"]


@group(version=1, max_removed=0.9, reads_from=reads, notes_from=notes, memory_from=memory)
def bloom_dedup(
    *,
    ngram: Ngram = 13,
    threshold: InnerShare = 0.8,
    false_positives: InnerShare = 0.01,
    expected_ngrams: Large = 100_000_000,
    groups: Groups = 1,
    keep: list[str] = [],  # noqa: B006
) -> list[Step]:
    """Remove paragraphs, and reject documents, if most of their n-grams were seen before.

    Documents are processed one by one in keep order. A paragraph (a line) is removed if more than `threshold` of its
    n-grams are in the filter; otherwise its n-grams are added to the filter. A document is rejected if more than
    `threshold` of all its n-grams were already in the filter when their paragraph was processed. Paragraphs of fewer
    than `ngram` words are kept and not counted.

    The n-grams of a rejected document's new paragraphs remain in the filter, so a later document may lose a paragraph
    of which no copy is kept. That is DCLM's rule; `near_dedup` and `line_dedup` work differently. A filter does not
    remember documents: the evidence shows only how much of a text was known, not which document it resembled.

    ngram            words per n-gram, by Unicode Standard Annex 29; punctuation marks are words too, and case matters.
    threshold        share of n-grams, 0 to 1.
    false_positives  share of new n-grams mistaken for known ones when the filter is full.
    expected_ngrams  number of distinct n-grams per group that the filter has room for. At a false-positive rate of
                     0.01, each takes 1.2 bytes of memory. If there are more, the run stops, because the share of false
                     positives would rise.
    groups           number of groups that documents are divided into by a hash of their id; each group has its own
                     filter and is deduplicated separately. DCLM-Baseline has 100. The texts of a group are held in
                     memory.
    keep             columns that decide which document comes first, after the priority of its source: lowest value
                     first, or with a `-` highest first; then the lowest id.

    Changes: text

    Adds: n_ngrams (int32, n-grams), n_ngrams_known (int32, of these in the filter)

    Reasons: mostly_known

    Source: Li et al. 2024, "DataComp-LM"; the tool BFF in the repositories allenai/bff and mlfoundations/dclm, remove
    type `old-both`. The original assigns files, not documents, to the groups, in an order that differs from run to run;
    it removes the line feed before a paragraph along with it, and also drops documents without text.
    """
    filled = {"false_positives": false_positives, "expected_ngrams": expected_ngrams}
    seen = partial(decide, keep=keep, ngram=ngram, threshold=threshold, **filled)
    read = ("id", "priority", "text", *keep_order.columns(keep))
    return [
        Step(partial(dealt, keep=keep), "docs", groups, reads=read),
        Step(seen, "bins"),
        Step(partial(take_out, threshold=threshold), "apply"),
    ]


def dealt(docs: pa.Table, *, keep: list[str]) -> pa.Table:
    """All documents, dealt to the groups by the first 32 bits of their ids."""
    first = utf8(pc.utf8_slice_codeunits(docs["id"], 0, 8))[0].reshape(-1, 8)
    digits = np.where(first > ord("9"), first - (ord("a") - 10), first - ord("0")).astype(np.uint64)
    number = digits @ (np.uint64(16) ** np.arange(7, -1, -1, dtype=np.uint64))
    sent = {name: docs[name] for name in ("doc", "priority", "id", "text")} | keep_order.carried(docs, keep)
    return pa.table(sent | {"bin": pa.array(number.astype(np.uint32))})


def decide(
    rows: pa.Table, *, keep: list[str], ngram: int, threshold: float, false_positives: float, expected_ngrams: int
) -> pa.Table:
    """Of each document of a group the paragraphs to drop, and how many n-grams it has and were known."""
    rows = rows.sort_by(keep_order.sort_keys(keep))
    words, numbers = filter_size(expected_ngrams, false_positives)
    bits = np.zeros(words, np.uint64)
    found = old_both(*utf8(rows["text"]), ngram, threshold, bits, numbers, expected_ngrams)
    seen, bounds, ngrams, known, room = found
    if room < 0:
        what = f"`bloom_dedup` found more than {expected_ngrams:,} n-grams in one group"
        raise CurateError(what, "expected_ngrams", "raise `expected_ngrams` (1.2 bytes each at 0.01), or `groups`")
    places = np.flatnonzero(seen)
    row = np.searchsorted(bounds, places, side="right") - 1
    counts = np.bincount(row, minlength=rows.num_rows)
    drop = pa.ListArray.from_arrays(
        pa.array(np.append(0, np.cumsum(counts)), pa.int32()), pa.array(places - bounds[row], pa.int32())
    )
    rows = rows.select(["doc"]).append_column("drop", drop)
    rows = rows.append_column("n_ngrams", pa.array(ngrams, pa.int32()))
    return rows.append_column("n_ngrams_known", pa.array(known, pa.int32()))


def take_out(docs: pa.Table, verdicts: pa.Table, *, threshold: float) -> pa.Table:
    """The documents without those paragraphs."""
    verdicts = verdicts.take(pc.index_in(docs["doc"], verdicts["doc"].combine_chunks()))
    units, starts = split(docs["text"], "\n")
    drop = verdicts["drop"].combine_chunks()
    row = pc.list_parent_indices(drop).to_numpy()
    stays = np.ones(len(units), bool)
    stays[starts[row] + drop.flatten().to_numpy()] = False
    known = verdicts["n_ngrams_known"]
    out = pc.greater(known.cast(pa.float64()), pc.multiply(verdicts["n_ngrams"].cast(pa.float64()), threshold))
    changed = pc.and_(pc.greater(pc.list_value_length(drop), 0), pc.invert(out))
    text = pc.if_else(changed, join(units, starts, stays, "\n"), docs["text"])
    docs = set_column(set_column(docs, "text", text), "n_ngrams", verdicts["n_ngrams"])
    return reject(set_column(docs, "n_ngrams_known", known), mostly_known=out)
