"""Pack documents into sequences of equal length, and record where each document is (`concat`, `best-fit`).

`concat` lays documents end to end and cuts them each `context` tokens. `best-fit` cuts only documents that are longer
than the context, and puts each piece where the least room is left (best-fit packing, Ding et al. 2024,
arXiv:2404.10830). What no document fills is padding, and the pieces say where it begins.
"""

import numpy as np

PIECE = np.dtype([(name, "<i4") for name in ("sequence", "start", "stop", "document", "offset")])
"""A run of tokens: `tokens[sequence, start:stop]` are those of `document` from its token `offset` on."""


def pack(length: np.ndarray, context: int, how: str) -> np.ndarray:
    """Where the tokens of documents go: PIECE[pieces], by sequence and place in it. Each token is in one of them.

    length   integers [documents], tokens of each; one without tokens is nowhere
    context  tokens of a sequence
    how      "concat" or "best-fit"

    Sequences keep the order of documents, and so their shuffle: those of `best-fit` come in the order of the longest
    piece in each, and the pieces of one in that of their documents.
    """
    return {"concat": _concat, "best-fit": _best_fit}[how](length.astype(np.int64), context)


def fitting(length: np.ndarray, context: int, split: str) -> np.ndarray:
    """The lengths to pack: int64[documents], 0 where a document is left out.

    split  "when_longer" cuts documents that are longer than the context; "never" leaves them out
    """
    return np.where(length > context, 0, length) if split == "never" else length


def lay(ids: np.ndarray, offsets: np.ndarray, pieces: np.ndarray, context: int, pad: int) -> np.ndarray:
    """The tokens of documents as sequences, [sequences, context], `pad` where none is.

    ids, offsets  the tokens of all documents end to end, and int64[documents + 1] where each begins
    """
    from curate.kernels.pack_sequences import copy_pieces

    count = int(pieces["sequence"][-1]) + 1 if len(pieces) else 0
    sequences = np.full(count * context, pad, ids.dtype)
    copy_pieces(ids, *_begins(offsets, pieces), sequences, *_places(pieces, context))
    return sequences.reshape(count, context)


def documents(sequences: np.ndarray, pieces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of `count` documents end to end, and where each begins (int64[count + 1]): what `lay` was given."""
    from curate.kernels.pack_sequences import copy_pieces

    to, length = _places(pieces, sequences.shape[1])
    offsets = np.zeros(count + 1, np.int64)
    np.add.at(offsets, pieces["document"].astype(np.int64) + 1, length)
    np.cumsum(offsets, out=offsets)
    ids = np.empty(offsets[-1], sequences.dtype)
    copy_pieces(sequences.reshape(-1), to, ids, *_begins(offsets, pieces), length)
    return ids, offsets


def counts(length: np.ndarray, pieces: np.ndarray, context: int) -> dict[str, int]:
    """What packing came to: documents, tokens, tokens of the longest document, sequences, padding, and documents that
    were `cut` into several pieces."""
    tokens = int(length.sum(dtype=np.int64))
    sequences = int(pieces["sequence"][-1]) + 1 if len(pieces) else 0
    return {
        "documents": len(length),
        "tokens": tokens,
        "longest": int(length.max(initial=0)),
        "sequences": sequences,
        "padding": sequences * context - tokens,
        "cut": int((np.bincount(pieces["document"]) > 1).sum()) if len(pieces) else 0,
    }


def _concat(length: np.ndarray, context: int) -> np.ndarray:
    offsets = np.append(0, np.cumsum(length))
    cuts = np.union1d(offsets, np.arange(0, offsets[-1], context))
    begin = cuts[:-1]
    pieces = np.empty(len(begin), PIECE)
    pieces["sequence"] = begin // context
    pieces["start"] = begin % context
    pieces["stop"] = pieces["start"] + np.diff(cuts)
    pieces["document"] = np.searchsorted(offsets, begin, side="right") - 1
    pieces["offset"] = begin - offsets[pieces["document"]]
    return pieces


def _best_fit(length: np.ndarray, context: int) -> np.ndarray:
    from curate.kernels.pack_sequences import best_fit

    of = -(-length // context)  # pieces of each document
    document = np.repeat(np.arange(len(length)), of)
    offset = (np.arange(len(document)) - np.repeat(np.cumsum(of) - of, of)) * context
    size = np.minimum(length[document] - offset, context)
    order = np.argsort(-size, kind="stable")
    placed, opener = best_fit(size[order].astype(np.int32), context)
    rank = np.empty(len(opener), np.int64)
    rank[np.argsort(order[opener])] = np.arange(len(opener))
    sequence = np.empty(len(document), np.int64)
    sequence[order] = rank[placed]
    order = np.argsort(sequence, kind="stable")
    sequence, size = sequence[order], size[order]
    stop = np.cumsum(size)
    first = np.flatnonzero(np.diff(sequence, prepend=-1))
    stop -= np.repeat(stop[first] - size[first], np.diff(np.append(first, len(sequence))))
    pieces = np.empty(len(document), PIECE)
    pieces["sequence"], pieces["start"], pieces["stop"] = sequence, stop - size, stop
    pieces["document"], pieces["offset"] = document[order], offset[order]
    return pieces


def _begins(offsets: np.ndarray, pieces: np.ndarray) -> tuple[np.ndarray]:
    return (offsets[pieces["document"]] + pieces["offset"],)


def _places(pieces: np.ndarray, context: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each piece begins in the sequences end to end, and its tokens: int64[pieces] each."""
    begin = pieces["sequence"].astype(np.int64) * context + pieces["start"]
    return begin, (pieces["stop"] - pieces["start"]).astype(np.int64)
