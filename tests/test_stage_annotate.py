"""A function of one's own adds columns; what does not fit is named before it does harm."""

from pathlib import Path

import annotations
import pytest

from curate.errors import CurateError
from curate.stage_api import find_stage
from curate.stages.annotate import annotate
from curate.testing import check, docs

STAGE = find_stage("annotate")
TABLE = docs("a-b-c", "word", None, url=["u", None, None])


def test_a_mapping_of_columns():
    found = annotate(TABLE, function="annotations:dashes", adds={"n_dashes": "int32"})
    assert found["n_dashes"].to_pylist() == [2, 0, None]
    assert found.schema.field("n_dashes").type == "int32"
    found = annotate(TABLE, function="annotations:dashes", adds={"n_dashes": "int64"}, params={"dash": "w"})
    assert found["n_dashes"].to_pylist() == [0, 1, None]


def test_a_table():
    adds = {"upper": "string", "host": "string"}
    found = annotate(TABLE, function="annotations:in_a_table", adds=adds, reads=["text", "url"])
    assert found.select(["upper", "host"]).to_pylist() == [
        {"upper": "A-B-C", "host": "u"},
        {"upper": "WORD", "host": None},
        {"upper": None, "host": None},
    ]


@pytest.mark.parametrize(("function", "expected"), [("one_column", [5, 4, None]), ("lists", [5, 4, 0])])
def test_one_column(function, expected):
    assert annotate(TABLE, function=f"annotations:{function}", adds={"n": "int32"})["n"].to_pylist() == expected


def test_the_function_is_given_what_it_reads_and_no_more(monkeypatch):
    seen = []
    monkeypatch.setattr(
        annotations, "spy", lambda docs: seen.append(docs.column_names) or {"n": docs["url"]}, raising=False
    )
    annotate(TABLE, function="annotations:spy", adds={"n": "string"}, reads=["url"])
    assert seen == [["url"]]


def test_it_obeys_the_laws():
    check("annotate", TABLE, {"function": "annotations:dashes", "adds": {"n_dashes": "int32"}})


@pytest.mark.parametrize(
    ("function", "adds", "what", "fix"),
    [
        ("annotations", {"n": "int32"}, "is not the name of a function", "package.module:function"),
        ("no_such_module:f", {"n": "int32"}, "cannot import", "PYTHONPATH"),
        ("annotations:dashs", {"n": "int32"}, "no function `dashs`", "`dashes`"),
        ("annotations:NO_FUNCTION", {"n": "int32"}, "no function", ""),
        ("annotations:lists", {"n": "int33"}, "unknown Arrow type", "int32"),
        ("annotations:lists", {"m": "int32"}, "returned `n`, but `adds` declares `m`", "match"),
        ("annotations:lists", {"n": "int32", "m": "int32"}, "declares `n`, `m`", "match"),
        ("annotations:in_a_table", {"host": "string"}, "returned `upper`, `host`", "match"),
        ("annotations:too_few", {"n": "int32"}, "1 values for 3 documents", "one for each"),
        ("annotations:of_letters", {"n": "int32"}, "not a column of int32", "fix"),
        ("annotations:not_columns", {"n": "int32"}, "returned int", "mapping"),
    ],
)
def test_mistakes(function, adds, what, fix):
    with pytest.raises(CurateError, match=what) as caught:
        annotate(TABLE, function=function, adds=adds, reads=["text", "url"])
    assert fix in caught.value.fix


def test_the_source_bears_on_identity(tmp_path, monkeypatch):
    params = STAGE.configure({"function": "annotations:lists", "adds": {"n": "int32"}})
    identity = STAGE.identity(params)
    assert identity["params"]["source"].startswith("sha256:")
    assert list(STAGE.resources(params).values()) == [str(Path(annotations.__file__))]
    changed = tmp_path / "changed.py"
    changed.write_text("def lists(docs): ...")
    with pytest.raises(CurateError, match="differs from the one"):
        annotate(TABLE, **params | {"source": str(changed)})
    found = annotate(TABLE, **params | {"source": annotations.__file__})
    assert found["n"].to_pylist() == [5, 4, 0]
