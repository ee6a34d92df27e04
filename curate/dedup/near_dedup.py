"""Remove near-duplicates: MinHash-LSH proposes pairs, their true similarity decides.

The meaning is sequential. Take documents in keep order. One with the same text as an earlier document shares its
fate. Another goes if a kept document shares a band with it and is at least `threshold` similar (of several, the most
similar; of those, the earliest); of each band the latest 512 kept documents count. Else it stays. Nothing goes through
a chain of resemblances.

In parallel: signatures and band keys (by partition) -> edges (by bin of keys) -> components (union-find over a flat
array) -> the documents of one component meet in one bin, with their texts -> the sequential rule there.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa

from curate.base.messages import SAID_BY, Of, of_role
from curate.base.parameters import MOST_PERMUTATIONS, Bins, Column, Ngram, Permutations, PositiveShare, Seed
from curate.base.spill import Pile, zeros
from curate.dedup import _counts
from curate.dedup import _keep_order as keep_order
from curate.documents import comparable, flat, hashes128, utf8
from curate.errors import CurateError
from curate.kernels.bands import band_keys, group_edges, optimal_bands, proposal_probability
from curate.kernels.jaccard import greedy, greedy_by_signature, jaccard
from curate.kernels.minhash import permutations as draw_permutations
from curate.kernels.minhash import signatures
from curate.kernels.shingles import CHARACTERS, PIECES, WORDS, shingle_sets
from curate.kernels.unionfind import components, singletons, union_edges
from curate.stage_api import Index, Step, group

UNITS = {"words": WORDS, "characters": CHARACTERS, "pieces": PIECES}

MOST_CHOSEN = 1024
"""Permutations for which bands are chosen: the time of the choice grows with their cube."""

CHUNK = 1 << 20
"""Documents whose components are written at a time."""

ADDS = {"duplicate_of": "string", "similarity": "float32", "cluster": "string", "cluster_size": "int64"}

PROPOSED = 0.9
"""The share of pairs at the threshold that bands should propose."""


@dataclass(frozen=True)
class Scheme:
    """How documents become signatures and bands. Two indexes can be compared if their schemes are equal."""

    ngram: int
    unit: str
    bands: int
    rows: int
    permutations: int
    seed: int
    normalize: bool
    role: str = "all"

    @classmethod
    def of(cls, *, ngram, unit, bands, rows, permutations, seed, threshold, normalize, of, **_) -> "Scheme":
        """The scheme of the stage's parameters. Raises CurateError where bands do not fit the permutations."""
        if (bands is None) != (rows is None):
            raise CurateError("`bands` and `rows` must be set together", fix="set both, or neither")
        if bands is None and (permutations or 0) > MOST_CHOSEN:
            what = f"{permutations:,} permutations, but without `bands` and `rows` the limit is "
            raise CurateError(f"{what}{MOST_CHOSEN:,}", fix="set `bands` and `rows`")
        if bands is None:
            bands, rows = optimal_bands(threshold, permutations) if permutations else (32, 8)
        permutations = permutations or bands * rows
        if permutations > MOST_PERMUTATIONS:
            what = f"{bands} bands of {rows} rows need {permutations:,} permutations; a signature has at most "
            raise CurateError(f"{what}{MOST_PERMUTATIONS:,}", fix="lower `bands` or `rows`")
        if bands * rows > permutations:
            what = f"{bands} bands of {rows} rows need {bands * rows} permutations, not {permutations}"
            raise CurateError(what, fix="raise `permutations`, or leave it out")
        return cls(ngram, unit, bands, rows, permutations, seed, normalize, of)

    def values(self) -> dict:
        """As JSON values: `role` where it is one role's words, as schemes had none before."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("role", "all")}

    def utf8(self, text: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """What is compared of the texts, as kernels take it."""
        return utf8(comparable(text) if self.normalize else text)

    def signatures(self, text: pa.ChunkedArray) -> np.ndarray:
        """uint32[documents, permutations]."""
        drawn = draw_permutations(self.permutations, self.seed)
        return signatures(*self.utf8(text), drawn, self.ngram, UNITS[self.unit])

    def keys(self, found: np.ndarray) -> np.ndarray:
        """uint64[documents, bands] of signatures."""
        return band_keys(found, self.bands, self.rows)

    def sets(self, text: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        """Shingle sets: hashes uint64[s], offsets int64[documents + 1]."""
        return shingle_sets(*self.utf8(text), self.ngram, UNITS[self.unit])

    def all(self, texts: Iterable[pa.Array], signed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Band keys, signatures (none unless `signed`), hashes and offsets of texts that come in pieces. What is large
        lies in files."""
        keys, drawn, hashes, ends = Pile(np.uint64), Pile(np.uint32), Pile(np.uint64), [np.zeros(1, np.int64)]
        for text in texts:
            found = self.signatures(text)
            keys.add(self.keys(found))
            if signed:
                drawn.add(found)
            part, offsets = self.sets(text)
            hashes.add(part)
            ends.append(offsets[1:] + ends[-1][-1])
        by_document = keys.array().reshape(-1, self.bands), drawn.array().reshape(-1, self.permutations)
        return *by_document, hashes.array(), np.concatenate(ends)


def reads(keep: list[str], verify: str, rule: str, counts: str | None = None, **params) -> tuple[str, ...]:
    """The columns the stage reads. Raises CurateError for parameters that contradict each other."""
    Scheme.of(**params)
    if (verify == "none") != (rule == "components"):
        raise CurateError("`verify: none` and `rule: components` must be set together", fix="set both, or neither")
    return (*compared(params["of"]), *keep_order.columns([*keep, *([counts] if counts else [])]))


def compared(of: str, **_) -> tuple[str, ...]:
    """The columns that are compared."""
    return ("text",) if of == "all" else ("text", *SAID_BY)


def texts(docs: pa.Table, of: str) -> pa.ChunkedArray:
    """The texts that are compared: where a role says nothing, the whole."""
    return docs["text"] if of == "all" else pa.compute.coalesce(pa.chunked_array([of_role(docs, of)]), docs["text"])


def scheme(**params) -> dict:
    """What two releases must have in common to be compared by their indexes."""
    return Scheme.of(**params).values()


def index(shard: pa.Table, **scheme) -> pa.Table:
    """What a later release compares its documents by.

    shard  its rows. Returns their id and band_keys (binary, little-endian uint64[bands]), row by row: a quarter of a
    kilobyte a document, where the signatures, of which nothing else is asked later, would be one.
    """
    hashing = Scheme(**scheme)
    keys = np.ascontiguousarray(hashing.keys(hashing.signatures(texts(shard, hashing.role))), "<u8")
    kind = pa.binary(keys.strides[0])
    packed = pa.Array.from_buffers(kind, len(keys), [None, pa.py_buffer(keys)])
    return pa.table({"id": shard["id"], "band_keys": packed.cast(pa.binary())})


def notes(threshold: float, verify: str, **params) -> list[str]:
    """The S-curve of the setting: the chance that a pair of a true similarity is compared at all."""
    made = Scheme.of(threshold=threshold, **params)
    curve = ", ".join(
        f"{similarity:.2f}: {float(proposal_probability(similarity, made.bands, made.rows)):.1%}"
        for similarity in sorted({0.5, 0.6, 0.7, 0.8, 0.9, threshold})
    )
    decided = {"exact": "true similarity", "signature": "estimated similarity", "none": "nothing more"}[verify]
    return [
        f"{made.bands} bands of {made.rows} rows over {made.ngram} {made.unit}; "
        f"decided by {decided}, threshold {threshold}",
        f"probability that a pair is compared, by similarity: {curve}",
    ]


def warnings(threshold: float, **params) -> list[str]:
    """Whether the bands are such that many pairs at the threshold are never compared."""
    made = Scheme.of(threshold=threshold, **params)
    share = float(proposal_probability(threshold, made.bands, made.rows))
    if share >= PROPOSED:
        return []
    missed = f"{made.bands} bands of {made.rows} rows find only {share:.0%} of the pairs at the threshold {threshold}"
    return [f"{missed}: the others are missed; use more `bands` or fewer `rows`"]


@group(
    version=3,
    max_removed=0.9,
    reads_from=reads,
    adds_from=lambda counts, **_: ADDS | (_counts.ADDS if counts else {}),
    notes_from=notes,
    warnings_from=warnings,
    index=Index(index, ("id", "text"), scheme, "band_keys", lambda of, **_: compared(of)[1:]),
)
def near_dedup(
    *,
    threshold: PositiveShare = 0.8,
    ngram: Ngram = 5,
    unit: Literal["words", "characters", "pieces"] = "words",
    normalize: bool = False,
    bands: Permutations | None = None,
    rows: Permutations | None = None,
    permutations: Permutations | None = None,
    seed: Seed = 1,
    keep: list[str] = [],  # noqa: B006
    verify: Literal["exact", "signature", "none"] = "exact",
    rule: Literal["greedy", "components"] = "greedy",
    bins: Bins = 0,
    of: Of = "all",
    counts: Column | None = None,
) -> list[Step]:
    """Keep the first, in keep order, of nearly identical documents.

    threshold     minimum Jaccard similarity of shingle sets, 0 to 1, at which two documents are near-duplicates.
    ngram, unit   length and unit of a shingle: words (in lowercase), characters, or pieces. Shorter documents have one
                  shingle. Pieces are the possibly empty strings between characters other than ASCII letters, digits and
                  `_`, with case kept, as BigCode splits source files, where indentation and punctuation matter.
    normalize     compare texts in lowercase, without ASCII punctuation, with white space collapsed, as SlimPajama does.
    bands, rows   two documents are compared if they agree in all rows of a band. Default: 32 bands of 8 rows, which
                  find 99.7% of pairs at a similarity of 0.8; if only `permutations` is set, what datasketch chooses for
                  the threshold.
    permutations  length of a signature; default: bands times rows.
    seed          seed of the permutations, which are drawn as in datasketch.
    keep          columns that decide which copy is kept, after the priority of its source: lowest value first, or with
                  a `-` highest first; then the lowest id.
    verify        exact: by the true similarity of the shingle sets. signature: by its estimate. none: no verification.
    rule          greedy: a document is removed if it is similar to a kept one; it is compared with the latest 512 kept
                  documents of each band, since comparing with more could take forever. components: of all documents
                  linked directly or through others, only the first is kept. SlimPajama and most tools do this, but it
                  can wipe out sources. Needs `verify: none`.
    bins          number of shuffle partitions; 0: chosen by the size of the inputs. Does not affect the result.
    of            role whose messages are compared: `user` (nearly the same question), `assistant`, or `all`;
                  for documents in which this role has no message, the whole text is compared.
    counts        a column, such as `source`, or a value in `meta`, such as `meta.dump`: count the copies that each kept
                  document stands for, and the values of this column among them; counts of earlier stages are added up.
                  null: no counts

    Adds: duplicate_of (string, id of the kept document), similarity (float32, true Jaccard with it or its estimate),
    cluster (string, id of the first of all linked documents), cluster_size (int64, documents); with `counts`,
    n_duplicates (int64, copies that a kept document stands for, itself included), n_duplicate_sources (int64, values of
    the column among them), duplicate_sources (list[string], these values, sorted)

    Reasons: near_duplicate

    Source: Broder 1997; Lee et al. 2022, "Deduplicating training data makes language models better".
    """
    scheme = Scheme.of(
        ngram=ngram,
        unit=unit,
        bands=bands,
        rows=rows,
        permutations=permutations,
        seed=seed,
        threshold=threshold,
        normalize=normalize,
        of=of,
    ).values()
    ranked = ("id", "priority", *compared(of), *keep_order.columns(keep))
    least = threshold if rule == "greedy" else None
    counting = {"counts": counts} if counts else {}
    verdict = partial(decide, scheme=scheme, threshold=least, keep=keep, verify=verify, rule=rule)
    return [
        Step(partial(sign, scheme=scheme), "docs", bins, reads=compared(of)),
        Step(join, "bins", 1),
        Step(joined, "all"),
        Step(partial(gathered, keep=keep, of=of, **counting), "docs", bins, reads=(*ranked, *_counts.reads(counts))),
        Step(verdict, "bins"),
        *_counts.last_step(counts),
    ]


def sign(docs: pa.Table, *, scheme: dict) -> pa.Table:
    """The band keys of each document, each sent to a bin of its own."""
    hashing = Scheme(**scheme)
    if "band_keys" in docs.column_names:  # of an earlier release
        keys = utf8(docs["band_keys"])[0].view("<u8").astype(np.uint64)
    else:
        keys = hashing.keys(hashing.signatures(texts(docs, hashing.role))).ravel()
    doc = np.repeat(docs["doc"].to_numpy(), hashing.bands)
    return pa.table({"doc": doc, "key": keys, "bin": _upper(keys)})


def join(rows: pa.Table) -> pa.Table:
    """An edge from the first document that has a key to each other one."""
    first, other = group_edges(rows["key"].to_numpy(), rows["doc"].to_numpy())
    return pa.table({"doc": first, "other": other, "bin": np.zeros(len(first), np.uint32)})


def joined(edges: Iterator[pa.Table], sizes: np.ndarray) -> Iterator[pa.Table]:
    """The component of each document that an edge touches: the number of its first member. 4 bytes a document."""
    base = np.concatenate([[0], np.cumsum(sizes)])
    parent = singletons(int(base[-1]))
    for table in edges:
        union_edges(parent, *(_number(table[name].to_numpy(), base, parent.dtype) for name in ("doc", "other")))
    components(parent)
    shared = np.zeros(len(parent), bool)
    for start in range(0, len(parent), CHUNK):
        chunk = parent[start : start + CHUNK]
        shared[chunk[chunk != np.arange(start, start + len(chunk), dtype=parent.dtype)]] = True
    for start in range(0, max(len(parent), 1), CHUNK):
        chunk = parent[start : start + CHUNK]
        number = start + np.flatnonzero(shared[chunk])
        partition = np.searchsorted(base, number, side="right") - 1
        doc = (partition.astype(np.uint64) << np.uint64(32)) | (number - base[partition]).astype(np.uint64)
        yield pa.table({"doc": doc, "component": parent[number].astype(np.uint64)})


def gathered(docs: pa.Table, members: pa.Table, *, keep: list[str], of: str, counts: str | None = None) -> pa.Table:
    """Documents that are joined with others, sent to the bin of their component with what decides between them."""
    docs = docs.take(pa.array(np.searchsorted(docs["doc"].to_numpy(), members["doc"].to_numpy())))
    component = members["component"].to_numpy()
    text = texts(docs, of)
    high, low = hashes128(text)
    seen = np.zeros(len(high), bool)
    seen[np.unique(np.stack([high, low]), axis=1, return_index=True)[1]] = True
    text = flat(text.fill_null(""))
    sent = {"doc": docs["doc"], "component": component, "priority": docs["priority"], "id": docs["id"]}
    sent |= keep_order.carried(docs, keep) | {"high": high, "low": low}
    sent |= _counts.so_far(docs, counts) if counts else {}
    sent["text"] = pa.compute.if_else(pa.array(seen), text, None)  # one of equal texts carries it
    return pa.table(sent | {"bin": _upper(component * np.uint64(0x9E3779B97F4A7C15))})


def decide(
    rows: pa.Table, *, scheme: dict, threshold: float | None, keep: list[str], verify: str, rule: str
) -> pa.Table:
    """The verdicts on whole components, by the sequential rule."""
    hashing = Scheme(**scheme)
    member, carriers = _distinct(rows)
    keys, drawn, hashes, offsets = hashing.all(_pieces(rows["text"], carriers), verify == "signature")
    sequence = pa.compute.sort_indices(rows.drop_columns("text"), keep_order.sort_keys(keep))
    rows, member = rows.drop_columns("text").take(sequence), member[sequence.to_numpy()]
    component = rows["component"].to_numpy()
    _, first, cluster, size = np.unique(component, return_index=True, return_inverse=True, return_counts=True)
    head = first[cluster]  # the first document, in keep order, of each document's component
    if rule == "components":
        kept = head
        similarity = jaccard(hashes, offsets, member, member[head])
    else:
        begin = np.full(len(carriers), len(member), np.int64)
        np.minimum.at(begin, member, np.arange(len(member)))  # the first document of each distinct text
        texts = np.argsort(begin)
        if verify == "exact":
            leader, similar = greedy(keys, hashes, offsets, threshold, texts, zeros)
        else:
            leader, similar = greedy_by_signature(keys, drawn, threshold, texts, zeros)
        place = np.argsort(texts)[member]  # of each document's text among the texts
        kept = begin[texts[np.where(leader < 0, np.arange(len(texts)), leader)]][place]
        similarity = np.where(leader < 0, 1.0, similar)[place]
    out = kept != np.arange(len(member))
    ids = rows["id"]
    return pa.table(
        {
            "doc": rows["doc"],
            "reject": pa.array(np.where(out, "near_duplicate", None), pa.string()),
            "duplicate_of": pa.compute.if_else(pa.array(out), ids.take(pa.array(kept)), None),
            "similarity": pa.array(similarity.astype(np.float32), mask=~out),
            "cluster": ids.take(pa.array(head)),
            "cluster_size": size[cluster],
        }
        | (_counts.added_up(rows, kept) if "copies" in rows.column_names else {})
    )


def _number(doc: np.ndarray, base: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Documents counted through all partitions, from partition << 32 | row."""
    return (base[doc >> np.uint64(32)] + (doc & np.uint64(0xFFFFFFFF)).astype(np.int64)).astype(dtype)


def _upper(keys: np.ndarray) -> np.ndarray:
    """uint32[n]: the upper, well mixed halves of keys (uint64[n]), by which they are dealt to bins."""
    return (keys >> np.uint64(32)).astype(np.uint32)


def _distinct(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Which of the distinct texts each row has (int64[rows]), and the row that carries each of them (int64[texts]), in
    the order of those rows."""
    keys = np.stack([rows["high"].to_numpy(), rows["low"].to_numpy()])
    _, member = np.unique(keys, axis=1, return_inverse=True)
    member = member.ravel()
    carries = np.flatnonzero(rows["text"].is_valid().to_numpy())
    _, first = np.unique(member[carries], return_index=True)
    carriers = carries[first]
    return np.argsort(np.argsort(carriers))[member], np.sort(carriers)


def _pieces(text: pa.ChunkedArray, rows: np.ndarray) -> Iterator[pa.Array]:
    """The texts of these rows (int64, ascending), chunk by chunk, so that few are in memory at a time."""
    start = 0
    for chunk in text.chunks:
        mine = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(chunk))]
        if len(mine):
            yield chunk.take(pa.array(mine - start))
        start += len(chunk)
