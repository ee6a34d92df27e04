"""`by_key`: documents with the same key come together, and verdicts on whole groups go back to them."""

from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import Groups, Step, by_key, group, reject
from curate.testing import LAWS, docs, run_group


@group(version=1, reads_from=lambda order, **_: ("path", "url", "position"))
def newest(*, order: list[str] = ["-position"], count: int = 1, repeated: bool = False, bins: int = 0) -> list[Step]:  # noqa: B006
    """Keep the documents of each path that come first.

    Adds: best (string, id of the first), of (int64, documents), address (string)
    Reasons: old
    """
    return by_key(
        path,
        partial(first_stay, count=count),
        reads=("path",),
        order=(*order, "id"),
        columns=("url",),
        repeated=repeated,
        bins=bins,
    )


def path(docs: pa.Table) -> pa.ChunkedArray:
    return docs["path"]


def first_stay(rows: pa.Table, groups: Groups, *, count: int) -> pa.Table:
    rows = rows.append_column("best", rows["id"].take(pa.array(groups.first)))
    rows = rows.append_column("of", pa.array(groups.size)).append_column("address", rows["url"])
    return reject(rows, old=groups.rank >= count)


ROW = st.tuples(st.sampled_from([None, "", "a", "b"]), st.none() | st.integers(0, 3), st.sampled_from([None, "u", "v"]))


def table(rows: list[tuple]) -> pa.Table:
    paths, positions, urls = zip(*rows, strict=True)
    return docs(*["t"] * len(rows), path=paths, position=positions, url=urls)


@given(st.lists(ROW, min_size=1, max_size=12), st.integers(1, 3), st.booleans(), st.integers(1, 4), st.integers(1, 3))
def test_each_group_is_decided_as_a_whole(rows, count, repeated, bins, parts):
    whole = table(rows)
    pieces = [whole.take(piece) for piece in np.array_split(np.arange(len(rows)), parts)]
    params = newest.configure({"count": count, "repeated": repeated, "bins": bins})
    found = [row for piece in run_group(newest, pieces, params) for row in piece.to_pylist()]

    groups: dict[str, list[dict]] = {}
    for row in whole.to_pylist():
        groups.setdefault(row["path"], []).append(row)
    for members in groups.values():
        members.sort(key=lambda row: (row["position"] is None, -(row["position"] or 0), row["id"]))
    for row in found:
        members = groups[row["path"]]
        seen = (row["reject"], row["best"], row["of"], row["address"])
        if row["path"] is None or (repeated and len(members) == 1):
            assert seen == (None, None, None, None)
            continue
        rank = [member["id"] for member in members].index(row["id"])
        assert seen == ("old" if rank >= count else None, members[0]["id"], len(members), row["url"])


@pytest.mark.parametrize("law", LAWS["group"], ids=lambda law: law.__name__)
@pytest.mark.parametrize("repeated", [False, True])
def test_a_stage_written_with_it_holds_the_laws(law, repeated):
    rows = [("a", 1, "u"), ("a", 2, None), ("b", 1, "v"), (None, 1, "u"), ("a", None, "u"), ("c", 3, "w")]
    law(newest, table(rows), newest.configure({"repeated": repeated}))


def reruns(before: dict, after: dict) -> list[int]:
    """Which steps run again for other parameters, from 0."""
    old, new = (newest.steps(newest.configure({"bins": 4} | params)) for params in (before, after))
    return [place for place, ((_, was), (_, now)) in enumerate(zip(old, new, strict=True)) if was != now]


def test_steps_name_only_the_parameters_they_use():
    assert reruns({}, {"count": 2}) == [1]
    assert reruns({"repeated": True}, {"repeated": True, "count": 2}) == [3]
    assert reruns({"repeated": True}, {"repeated": True, "order": ["position"]}) == [2, 3]
    assert reruns({}, {"bins": 5}) == []


def test_a_step_is_found_again_by_its_identity():
    for step, identity in newest.steps(newest.configure({"repeated": True, "bins": 2})):
        made = newest.step(identity)
        assert getattr(made, "func", made).__name__ == getattr(step.run, "func", step.run).__name__
        assert made.keywords.keys() == getattr(step.run, "keywords", {}).keys()


def test_functions_inside_a_stage_depend_on_all_parameters():
    @group(version=1)
    def inner(*, count: int = 1, bins: int = 2) -> list[Step]:
        """Keep some of each path."""

        def decide(rows, groups):
            return reject(rows, old=groups.rank >= count)

        return by_key(path, decide, reads=("path",), bins=bins)

    (sent, _), (decided, _) = inner.steps({"count": 3, "bins": 2})
    identities = [identity for _, identity in inner.steps({"count": 3, "bins": 2})]
    assert identities[0]["functions"]["key"]["step"] == "path"
    assert (identities[1]["step"], identities[1]["params"]) == (1, {"count": 3, "bins": 2})
    assert (sent.over, decided.over) == ("docs", "bins")
