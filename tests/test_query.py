"""`curate query`: SQL over releases and over what a manifest's run left."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from releases import curate as command
from releases import one_source, release

import curate
from curate.errors import CurateError
from curate.manifest.manifest import load
from curate.release.make import prepare

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "query.md"
ASKED = re.findall(r"^```sql (\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
COUNTS = "select stage, reason, count(*) as n from rejected group by all order by n desc, stage"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(manifest, work folder, release) of 20 documents, a near-duplicate and a short one."""
    folder = tmp_path_factory.mktemp("asked")
    texts = [" ".join(f"{document}x{word}" for word in range(80)) for document in range(20)]
    texts.append(f"{texts[0]} more")
    documents = [{"text": text, "url": f"https://e.example/{number}"} for number, text in enumerate(texts)]
    documents.append({"text": "<b>short"})
    (folder / "exam.jsonl").write_text(json.dumps({"question": " ".join(f"question{word}" for word in range(30))}))
    sets = {"exam": {"path": str(folder / "exam.jsonl"), "columns": ["question"]}}
    stages = ["near_dedup", {"decontaminate": {"sets": sets, "mode": "mark"}}]
    manifest = one_source(folder, documents, [{"length": {"min_words": 3}}], stages=stages)
    return manifest, folder / "work", release(manifest, folder / "work").path


def test_a_release_and_the_run_that_made_it_give_the_same_answer(made):
    manifest, work, folder = made
    expected = [
        {"stage": "length", "reason": "too_few_words", "n": 1},
        {"stage": "near_dedup", "reason": "near_duplicate", "n": 1},
    ]
    for place in (folder, manifest, load(manifest), None):
        assert curate.query(COUNTS, place, work).to_pylist() == expected


def test_columns_that_were_computed_can_be_asked_for(made):
    manifest, work, _ = made
    asked = "select url, n_words, similarity from documents where duplicate_of is not null"
    (row,) = curate.query(asked, manifest, work).to_pylist()
    assert (row["url"], row["n_words"]) in {("https://e.example/0", 80), ("https://e.example/20", 81)}  # the higher id
    assert row["similarity"] > 0.8
    assert curate.query("select count(*) as n from near_duplicates", manifest, work).to_pylist() == [{"n": 2}]
    joined = "select count(*) as n from documents a join documents b on a.duplicate_of = b.id"
    assert curate.query(joined, manifest, work).to_pylist() == [{"n": 1}]


def test_a_release_has_its_funnel_and_itself(made):
    *_, folder = made
    (row,) = curate.query("select * from release", folder).to_pylist()
    assert (row["documents"], row["rejected"], row["version"]) == (20, 2, "1.0.0")
    assert curate.query("select sum(documents_in - documents_kept) as n from funnel", folder).to_pylist() == [{"n": 2}]


@pytest.mark.parametrize("number", range(len(ASKED)))
def test_the_questions_of_the_how_to_have_answers(made, number):
    manifest, work, folder = made
    of, sql = ASKED[number]
    answer = curate.query(sql, manifest if of == "manifest" else folder, work)
    assert answer.num_columns > 0


def test_there_are_twenty_of_them():
    assert len(ASKED) == 20


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "copy documents to 'x.csv'",
        "select 1; select 2",
        "create table t as select 1",
        "select * from nothing",
        "",
    ],
)
def test_a_query_reaches_nothing_else(made, sql, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manifest, work, folder = made
    for place in (folder, manifest):
        with pytest.raises(CurateError, match=r"query|SELECT") as caught:
            curate.query(sql, place, work)
        assert "documents" in caught.value.fix
    assert not [*tmp_path.iterdir()]


def test_a_query_cannot_write_into_the_store(made):
    manifest, work, _ = made
    with pytest.raises(CurateError, match="one SELECT"):
        curate.query(f"copy documents to '{work}/store/x.parquet'", manifest, work)
    assert not (work / "store" / "x.parquet").exists()


def test_what_has_not_run_has_no_answer(made, tmp_path):
    manifest, *_ = made
    prepare(load(manifest), tmp_path)
    with pytest.raises(CurateError, match="has not run"):
        curate.query("select 1", manifest, tmp_path)
    with pytest.raises(CurateError, match="no release"):
        curate.query("select 1", None, tmp_path)


def test_the_command_prints_a_table_csv_json_and_parquet(made):
    *_, folder = made
    asked = ["query", COUNTS, str(folder)]
    assert command(*asked).stdout.splitlines() == [
        "stage       reason          n",
        "length      too_few_words   1",
        "near_dedup  near_duplicate  1",
    ]
    lines = command(*asked, "--format", "json").stdout.splitlines()
    assert [json.loads(line)["n"] for line in lines] == [1, 1]
    assert json.loads(command(*asked, "--json").stdout)["columns"] == ["stage", "reason", "n"]


def test_values_that_json_has_no_form_for_are_text(made):
    *_, folder = made
    asked = ["query", "select date '2024-01-31' as day, 'a'::blob as bytes", str(folder)]
    said = json.loads(command(*asked, "--json").stdout)
    assert said["rows"] == [json.loads(command(*asked, "--format", "json").stdout)]
    assert said["rows"][0]["day"] == "2024-01-31"


def test_the_command_writes_csv_and_parquet(made):
    *_, folder = made
    asked = ["query", COUNTS, str(folder), "--format"]
    assert command(*asked, "csv").stdout.splitlines()[:2] == ['"stage","reason","n"', '"length","too_few_words",1']
    written = subprocess.run([sys.executable, "-m", "curate", *asked, "parquet"], capture_output=True, check=True)
    assert pq.read_table(io.BytesIO(written.stdout)).num_rows == 2
