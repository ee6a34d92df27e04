"""One document, from its file to its shard and row or to its reason."""

import pyarrow.parquet as pq
import pytest
from releases import rejected_rows, release, released_rows

from curate.errors import CurateError
from curate.inspect.explain import explain


def test_every_document_of_a_release_is_found_where_it_is(corpus, tmp_path):
    work = tmp_path / "work"
    made = release(corpus, work).path
    kept, out = released_rows(made), rejected_rows(made)
    for row in kept[::120]:
        [found] = explain(corpus, row["id"], work)
        assert found["reason"] is None
        where = found["released"]
        assert pq.read_table(made / where["shard"]).to_pylist()[where["row"]] == row
        assert [stage for step in found["steps"] for stage in step["stages"]][-1] == "filter"
    for row in out[::24]:
        [found] = explain(corpus, row["id"], work)
        assert found["reason"] == f"{row['stage']}.{row['reason']}"
        assert found["released"] is None
        assert found["steps"][-1]["reject"] == found["reason"]
        assert row["stage"] in found["steps"][-1]["stages"]
        assert (found["source"], found["path"], found["position"]) == (row["source"], row["path"], row["position"])
        if row["duplicate_of"]:
            assert found["steps"][-1]["columns"]["duplicate_of"] == row["duplicate_of"]
            assert explain(corpus, row["duplicate_of"], work)[0]["id"] == row["duplicate_of"]
    [by_url] = explain(corpus, kept[0]["url"], work)
    [by_digits] = explain(corpus, kept[0]["id"][:16], work)
    assert by_url == by_digits
    for unknown in ("f" * 32, "https://nowhere.example/", "abc"):
        with pytest.raises(CurateError, match="no document has"):
            explain(corpus, unknown, work)


def test_before_the_first_run(corpus, tmp_path):
    with pytest.raises(CurateError, match="has not run yet"):
        explain(corpus, "0" * 32, tmp_path / "work")
