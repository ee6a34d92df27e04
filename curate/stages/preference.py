"""Reject preference pairs with a missing side, equal sides, or answers to different prompts."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.base.messages import MESSAGES, differing
from curate.stage_api import reject, stage


@stage(version=1)
def preference(docs: pa.Table, *, same_prompt: bool = True) -> pa.Table:
    """Reject pairs of answers that express no preference.

    same_prompt  reject pairs that differ before the last answer

    Reads: chosen, rejected
    Reasons: no_answer, empty_side, equal_sides, different_prompts
    """
    chosen, rejected = (docs[name].combine_chunks().cast(MESSAGES) for name in ("chosen", "rejected"))
    sides = (chosen, rejected)
    last = [_last(side) for side in sides]
    answered = [pc.fill_null(pc.equal(one.field("role"), "assistant"), False) for one in last]
    texts = [pc.utf8_trim_whitespace(pc.fill_null(one.field("content"), "")) for one in last]
    new = [_count(side, differing(side, other)) for side, other in (sides, sides[::-1])]
    other_prompt = (new[0] > 1) | (new[1] > 1) | (_lengths(chosen) != _lengths(rejected))
    return reject(
        docs,
        no_answer=pc.invert(pc.and_(*answered)),
        empty_side=pc.or_(*(pc.equal(text, "") for text in texts)),
        equal_sides=pc.and_(pc.equal(*texts), pa.array(~other_prompt)),
        different_prompts=other_prompt & same_prompt,
    )


def _lengths(messages: pa.ListArray) -> np.ndarray:
    """Messages of each row: int64[rows]."""
    return pc.fill_null(pc.list_value_length(messages), 0).to_numpy().astype(np.int64)


def _last(messages: pa.ListArray) -> pa.StructArray:
    """The last message of each row; null where there is none."""
    lengths = _lengths(messages)
    return messages.flatten().take(pa.array(np.cumsum(lengths) - 1, mask=lengths == 0))


def _count(messages: pa.ListArray, which: np.ndarray) -> np.ndarray:
    """How many messages of each row are true in `which` (bool[messages]): int64[rows]."""
    row = np.repeat(np.arange(len(messages)), _lengths(messages))
    return np.bincount(row[which], minlength=len(messages))
