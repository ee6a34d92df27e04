"""A release as a notebook opens it, and stages on a few documents."""

import shutil
from functools import partial

import pyarrow as pa
import pytest
from releases import one_source, release

import curate
from curate.errors import CurateError, ManifestError


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("opened")
    texts = [" ".join(f"{document}x{word}" for word in range(80)) for document in range(20)]
    documents = [{"text": text} for text in (*texts, f"{texts[0]} more", "<b>short")]
    manifest = one_source(folder, documents, [{"length": {"min_words": 3}}], stages=["near_dedup"])
    return curate.open_release(release(manifest, folder / "work").path)


def test_what_a_release_holds(opened):
    documents = opened.documents().to_table(columns=["text", "id"])
    assert documents.num_rows == opened.lock["documents"] == 20
    rejected = opened.rejected().to_table().to_pylist()
    assert {(row["stage"], row["reason"]) for row in rejected} == {
        ("length", "too_few_words"),
        ("near_dedup", "near_duplicate"),
    }
    assert opened.near_duplicates().count_rows() == 2
    assert opened.verify() == []
    assert opened.card.startswith("---")
    assert "20 documents" in repr(opened)


def test_the_funnel_counts_every_stage(opened):
    steps = [(row["stage"], row["documents_in"], row["documents_kept"]) for row in opened.funnel.to_pylist()]
    assert steps == [("read", 22, 22), ("length", 22, 21), ("near_dedup", 21, 20)]


def test_a_query_sees_what_was_kept_and_what_was_not(opened):
    query = "select (select count(*) from documents) as kept, (select count(*) from rejected) as out"
    assert opened.query(query).to_pylist() == [{"kept": 20, "out": 2}]


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "select nothing from documents",
        "select * from 'other.parquet'",
        "select * from read_csv('/etc/passwd')",
        "copy documents to 'x.csv'",
        "attach 'x.db'",
        "install httpfs",
        "set threads = 1",
    ],
)
def test_a_query_reaches_nothing_else(opened, sql, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CurateError, match=r"the query fails|one SELECT"):
        opened.query(sql)
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_shows_funnel_and_composition(opened):
    shown = opened._repr_html_()
    assert "<svg" in shown
    assert "20 documents" in shown
    assert opened.digest in shown


def test_a_folder_that_is_no_release(tmp_path):
    with pytest.raises(CurateError, match="not a release"):
        curate.open_release(tmp_path)


def test_a_split_or_file_that_is_not_there_is_said(opened, tmp_path):
    with pytest.raises(CurateError, match="no such documents"):
        opened.documents("validation")
    copy = shutil.copytree(opened.path, tmp_path / "copy")
    next(copy.glob("data/*")).unlink()
    with pytest.raises(CurateError, match="is missing"):
        curate.open_release(copy).documents()


def test_a_link_out_of_the_release_is_not_followed(opened, tmp_path):
    copy = shutil.copytree(opened.path, tmp_path / "copy")
    shard = next(copy.glob("data/*"))
    shard.unlink()
    shard.symlink_to(opened.path / "data" / shard.name)
    (copy / "README.md").unlink()
    (copy / "README.md").symlink_to(opened.path / "README.md")
    linked = curate.open_release(copy)
    for look in (
        linked.documents,
        linked.to_datasets,
        partial(linked.query, "select 1 from documents"),
        lambda: linked.card,
    ):
        with pytest.raises(CurateError, match="links outside its folder"):
            look()


def test_it_loads_as_a_dataset(opened):
    assert opened.to_datasets("train").num_rows == 20


def test_stages_on_texts():
    long = "a text of some length " * 10
    tried = curate.apply_stages(["short", long, long, None], [{"length": {"min_words": 5}}, "exact_dedup", "signals"])
    first, *copies, last = tried["reject"].to_pylist()
    assert first == last == "length.too_few_words"
    assert sorted(copies, key=str) == [None, "exact_dedup.duplicate_text"]  # the lowest id stays
    assert max(tried["n_words"].to_pylist()) == 50


def test_stages_on_tables_and_datasets():
    datasets = pytest.importorskip("datasets")
    table = pa.table({"text": ["x " * 9, "y"], "mine": [1, 2], "url": ["http://a", None]})
    for documents in (table, datasets.Dataset(table)):
        tried = curate.apply_stages(documents, {"length": {"min_words": 5}})
        assert tried.select(["mine", "url", "reject"]).to_pylist() == [
            {"mine": 1, "url": "http://a", "reject": None},
            {"mine": 2, "url": None, "reject": "length.too_few_words"},
        ]


def test_what_cannot_be_tried_is_said():
    with pytest.raises(ManifestError, match="lenght"):
        curate.apply_stages(["a"], ["lenght"])
    with pytest.raises(CurateError, match="no column `text`"):
        curate.apply_stages(pa.table({"content": ["a"]}), ["length"])
    with pytest.raises(CurateError, match="each document must be a string, not int"):
        curate.apply_stages(["a", 1], ["length"])
    with pytest.raises(CurateError, match="reads the column `quality`"):
        curate.apply_stages(["a"], [{"keep_top": {"column": "quality", "fraction": 0.5}}])


def test_a_run_returns_the_release_and_shows_how_far_it_is(tmp_path, capsys):
    manifest = one_source(tmp_path, [{"text": "a text"}], [])
    made = curate.run(manifest, tmp_path / "work", workers=0)
    assert made.documents().count_rows() == 1
    assert "jobs to run" in capsys.readouterr().err
    assert curate.run(manifest, tmp_path / "work", workers=0, progress=False).digest == made.digest
    assert capsys.readouterr().err == ""
