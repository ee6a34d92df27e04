"""Packing documents of tokens into sequences: plain Python says where each token must be."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.kernels.pack_sequences import best_fit
from curate.tokens.packing import counts, documents, lay, pack

WAYS = ["concat", "best-fit"]
lengths = st.lists(st.integers(0, 40), max_size=60)
contexts = st.integers(1, 24)


def tokens_of(length):
    """Ids that are all different, so that each can be followed; where each document begins."""
    return np.arange(1, sum(length) + 1, dtype=np.uint32), np.append(0, np.cumsum(length)).astype(np.int64)


def packed(length, context, how):
    ids, offsets = tokens_of(length)
    pieces = pack(np.array(length, np.int64), context, how)
    return ids, offsets, pieces, lay(ids, offsets, pieces, context, 0)


def plain_best_fit(length, capacity):
    """For each piece, in this order, the sequence with the least room for it; the last one to have had that room."""
    rooms, sequence, opened = defaultdict(list), [], 0
    for size in length:
        fitting = [room for room, held in rooms.items() if held and room >= size]
        room = min(fitting, default=capacity)
        taken = rooms[room].pop() if fitting else opened
        opened += not fitting
        rooms[room - size].append(taken)
        sequence.append(taken)
    return sequence


@given(lengths, contexts)
def test_the_kernel_is_best_fit(length, context):
    size = sorted((min(n, context) for n in length if n), reverse=True)
    sequence, opener = best_fit(np.array(size, np.int32), context)
    assert sequence.tolist() == plain_best_fit(size, context)
    assert opener.tolist() == [sequence.tolist().index(number) for number in range(len(opener))]


@given(lengths, contexts)
def test_concat_is_one_string_of_tokens(length, context):
    ids, _, _, sequences = packed(length, context, "concat")
    assert sequences.shape == (-(-len(ids) // context), context)
    assert sequences.reshape(-1)[: len(ids)].tolist() == ids.tolist()
    assert not sequences.reshape(-1)[len(ids) :].any()


@pytest.mark.parametrize("how", WAYS)
@given(length=lengths, context=contexts)
def test_each_token_is_in_one_place_in_order(how, length, context):
    ids, offsets, pieces, sequences = packed(length, context, how)
    seen = []
    for sequence, start, stop, document, offset in pieces.tolist():
        assert 0 <= start < stop <= context
        held = sequences[sequence, start:stop].tolist()
        assert held == ids[offsets[document] + offset :][: stop - start].tolist()
        seen += held
    assert sorted(seen) == ids.tolist()
    assert (sequences > 0).sum() == len(ids)


@pytest.mark.parametrize("how", WAYS)
@given(length=lengths, context=contexts)
def test_pieces_lie_end_to_end_in_each_sequence(how, length, context):
    """So that the stops are what variable-length attention is given, and padding is what follows the last."""
    _, _, pieces, sequences = packed(length, context, how)
    held = defaultdict(list)
    for piece in pieces:
        held[int(piece["sequence"])].append(piece)
    assert sorted(held) == list(range(len(sequences)))
    assert pieces["sequence"].tolist() == sorted(pieces["sequence"].tolist())
    for number, mine in held.items():
        assert [piece["start"] for piece in mine] == [0, *(piece["stop"] for piece in mine[:-1])]
        assert not sequences[number, mine[-1]["stop"] :].any()
        assert [(p["document"], p["offset"]) for p in mine] == sorted((p["document"], p["offset"]) for p in mine)


@given(lengths, contexts)
def test_best_fit_cuts_only_what_is_longer_than_the_context(length, context):
    _, _, pieces, _ = packed(length, context, "best-fit")
    held = defaultdict(list)
    for piece in pieces:
        held[int(piece["document"])].append(int(piece["stop"] - piece["start"]))
    for document, sizes in held.items():
        full, rest = divmod(length[document], context)
        assert sorted(sizes, reverse=True) == [context] * full + [rest] * (rest > 0)


@given(lengths, contexts)
def test_best_fit_leaves_no_two_sequences_that_would_fit_into_one(length, context):
    _, _, pieces, sequences = packed(length, context, "best-fit")
    filled = np.bincount(pieces["sequence"], pieces["stop"] - pieces["start"], len(sequences)) if len(pieces) else []
    assert len(filled) < 2 or sum(sorted(filled)[:2]) > context


def test_no_part_of_a_shard_has_longer_documents_than_another():
    """Best-fit decreasing opens sequences by size; they are laid down in the order of the documents, a shuffle."""
    pieces = pack(np.random.default_rng(7).integers(1, 300, 5000), 256, "best-fit")
    count = np.bincount(pieces["sequence"])
    longest = np.zeros(len(count), int)
    np.maximum.at(longest, pieces["sequence"], pieces["stop"] - pieces["start"])
    for measure in (count, longest):
        assert abs(np.corrcoef(measure, np.arange(len(count)))[0, 1]) < 0.1


@pytest.mark.parametrize("how", WAYS)
@given(length=lengths, context=contexts)
def test_documents_come_back(how, length, context):
    ids, offsets, pieces, sequences = packed(length, context, how)
    again = documents(sequences.reshape(-1, context), pieces, len(length))
    assert again[0].tolist() == ids.tolist()
    assert again[1].tolist() == offsets.tolist()


@pytest.mark.parametrize("how", WAYS)
@given(length=lengths, context=contexts)
def test_counts(how, length, context):
    _, _, pieces, sequences = packed(length, context, how)
    found = counts(np.array(length, np.int64), pieces, context)
    several = [n for n in range(len(length)) if (pieces["document"] == n).sum() > 1]
    assert found == {
        "documents": len(length),
        "tokens": sum(length),
        "longest": max(length, default=0),
        "sequences": len(sequences),
        "padding": int((sequences == 0).sum()),
        "cut": len(several),
    }


def test_a_context_far_longer_than_all_documents():
    length = [5, 3, 9]
    for how in WAYS:
        _, _, pieces, sequences = packed(length, 1 << 20, how)
        assert sequences.shape == (1, 1 << 20)
        assert pieces["document"].tolist() == [0, 1, 2]
