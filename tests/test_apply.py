"""Every row of a block comes back in its place: live, or with the stage and the reason that took it out."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.engine.apply import Configured, apply
from curate.stage_api import Stage, arrow_type, reject, set_column
from curate.testing import docs


def threshold(label: str, limit: int) -> Configured:
    """A stage that rejects numbers below a limit and adds one to the others."""

    def run(table: pa.Table) -> pa.Table:
        values = table["n"].to_pylist()
        assert "reject" not in table.column_names
        table = set_column(table, f"seen_{label}", pa.array(values, pa.int64()))
        table = set_column(table, "n", pa.array([value + 1 for value in values], pa.int64()))
        return reject(table, low=pa.array([value < limit for value in values], pa.bool_()))

    return Configured(label, Stage(label, "map", 1, run), {})


def reference(values: list[int], out: list[bool], limits: list[int]) -> list[str | None]:
    found = []
    for value, gone in zip(values, out, strict=True):
        reason = "read.broken" if gone else None
        for place, limit in enumerate(limits):
            if reason is None and value + place < limit:
                reason = f"s{place}.low"
        found.append(reason)
    return found


rows = st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=30)


@given(rows, st.lists(st.integers(0, 12), max_size=4))
def test_against_one_row_at_a_time(rows, limits):
    values, out = [value for value, _ in rows], [gone for _, gone in rows]
    block = docs(*[str(value) for value in values], n=pa.array(values, pa.int64()))
    block = block.append_column("reject", pa.array(["read.broken" if gone else None for gone in out], pa.string()))
    stages = [threshold(f"s{place}", limit) for place, limit in enumerate(limits)]
    result, counts = apply(block, stages)
    expected = reference(values, out, limits)
    assert result["id"].to_pylist() == block["id"].to_pylist()
    assert result["reject"].to_pylist() == expected
    live = len(values) - sum(out)
    for place in range(len(limits)):
        count = counts[f"s{place}"]
        lost = sum(reason == f"s{place}.low" for reason in expected)
        assert (count["in"], count["kept"]) == (live, live - lost)
        assert count["reasons"] == ({"low": lost} if lost else {})
        live -= lost
        seen = result[f"seen_s{place}"].to_pylist()
        reached = [value is not None for value in seen]
        assert sum(reached) == count["in"]


def test_what_is_counted():
    block = docs("é", "b", n=pa.array([1, 5])).append_column("reject", pa.nulls(2, pa.string()))
    _, counts = apply(block, [threshold("s", 2)])
    assert counts == {"s": {"in": 2, "kept": 1, "bytes": 1, "reasons": {"low": 1}}}


def test_a_stage_that_drops_a_row_is_a_bug():
    stage = Configured("bad", Stage("bad", "map", 1, lambda table: table.slice(1)), {})
    block = docs("a", "b").append_column("reject", pa.nulls(2, pa.string()))
    with pytest.raises(AssertionError, match="bad returned 1 rows of 2"):
        apply(block, [stage])


KINDS = {"int32": 7, "int64": 1 << 40, "double": 0.5, "string": "seven", "bool": True, "list[int32]": [1]}


@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=4))
def test_stages_may_add_a_column_of_one_name_in_other_types(kinds):
    """The last one's type counts, for rows that went before too."""

    def adding(place: int, kind: str) -> Configured:
        def run(table: pa.Table) -> pa.Table:
            table = set_column(table, "same", pa.array([KINDS[kind]] * table.num_rows, arrow_type(kind)))
            return reject(table, gone=pa.array([n == place for n in table["n"].to_pylist()], pa.bool_()))

        return Configured(f"s{place}", Stage(f"s{place}", "map", 1, run, adds_from=lambda: {"same": kind}), {})

    block = docs(*"abcd", n=[0, 1, 2, 3]).append_column("reject", pa.nulls(4, pa.string()))
    found, _ = apply(block, [adding(place, kind) for place, kind in enumerate(kinds)])
    assert found["same"].type == arrow_type(kinds[-1])
    for row, value in enumerate(found["same"].to_pylist()):
        added = kinds[min(row, len(kinds) - 1)]  # by the stage that took the row, or the last
        assert value == KINDS[added] or added != kinds[-1]
