"""The card of a release: `datasets` loads what its front matter names, its numbers are those of the data."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from html.parser import HTMLParser

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from releases import curate, release, released_rows, rows, write_jsonl, write_manifest

from curate.base.licenses import HUB
from curate.base.phrases import cell
from curate.engine.shard_tasks import composition
from curate.errors import ManifestError
from curate.manifest.manifest import loads
from curate.release.card import configs, feature, render
from curate.release.charts import funnel, proposed
from curate.release.checked_lock import check
from curate.release.pages import place
from curate.release.typed_lock import Lock, Scheme, Shown

DOCUMENT = {
    "name": "told",
    "version": "1.2.0",
    "license": "no-such-licence-1.0",
    "description": "What it is.",
    "card": "about.md",
    "sources": {
        "first": {"inputs": ["a.jsonl"], "description": "The first of two.", "columns": {"language": "lang"}},
        "second": {"inputs": ["b.jsonl"], "license": "mit", "pipeline": [{"exact_dedup": "url"}]},
    },
    "stages": [{"length": {"min_words": 5}}, "near_dedup"],
    "shards": {"size": "8KB", "columns": ["n_words"]},
    "publish": {"repo": "org/told"},
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A release of two sources whose languages and addresses are markup."""
    folder = tmp_path_factory.mktemp("told")
    first = [row | {"lang": ["en", "de", "C++ | `<b>`", None][n % 4]} for n, row in enumerate(rows(1, 60))]
    first[5]["url"] = "https://a.example/x|y?user=jane@doe.example#me"
    write_jsonl(folder / "a.jsonl", first)
    write_jsonl(folder / "b.jsonl", rows(2, 40))
    (folder / "about.md").write_text("## Our own part\n\nBy hand.\n")
    return release(write_manifest(folder / "manifest.yaml", DOCUMENT), folder / "work")


def changed(made, **keys) -> Lock:
    """The lock of a release with other values of some keys."""
    return check(made.lock | keys, "lock.json")


def split_card(path):
    _, front, body = (path / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), body


def table_after(body: str, title: str) -> list[list[str]]:
    """The cells of the first table whose header begins with a title."""
    head = re.search(rf"^\| {re.escape(title)} \|.*\n\|---", body, re.MULTILINE)
    lines = body[head.start() :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_datasets_loads_the_folder_by_its_card(told, tmp_path):
    loaded = datasets.load_dataset(str(told.path), "default", split="train", cache_dir=str(tmp_path))
    expected = {row["id"]: row for row in released_rows(told.path)}
    assert {row["id"]: row for row in loaded} == expected
    front, _ = split_card(told.path)
    (info,) = front["dataset_info"]
    assert datasets.Features._from_yaml_list(info["features"]) == loaded.features
    assert info["splits"][0]["num_examples"] == loaded.num_rows
    assert info["dataset_size"] == sum(len(row["text"].encode()) for row in expected.values())


def test_front_matter_names_what_the_hub_knows(told):
    front, _ = split_card(told.path)
    assert (front["license"], front["license_name"]) == ("other", "no-such-licence-1.0")
    assert front["language"] == ["de", "en", "code"]
    assert front["size_categories"] == ["n<1K"]
    known = render(changed(told, license="mit"), "")
    assert "license: mit\n" in known
    assert "license_name" not in known
    assert "llama3.1" in HUB


def test_numbers_are_those_of_the_data(told):
    _, body = split_card(told.path)
    data = released_rows(told.path)
    for title, column in [("source", "source"), ("language", "language"), ("license", "license")]:
        documents = Counter(cell(row[column] or "unknown") for row in data)
        shown = {line[0]: int(line[2 if title == "source" else 1]) for line in table_after(body, title)}
        assert shown == documents
    left = Counter()
    for line in pq.read_table(told.path / "evidence/rejected.parquet").to_pylist():
        left[line["source"], line["stage"], line["reason"]] += 1
    said = {}
    for source, stage, *_, reasons in table_after(body, "source | stage"):
        for name, count in re.findall(r"(\w+) (\d+)", reasons):
            said[source, stage, name] = int(count)
    assert said == left
    steps = funnel(told.typed)
    assert sum(steps[0][1].values()) == len(data) + sum(left.values())
    assert sum(steps[-1][1].values()) == len(data)


def test_examples_are_hash_samples_without_what_may_name_people(told):
    rejected = pq.read_table(told.path / "evidence/rejected.parquet").to_pylist()
    for stage, reason in {(row["stage"], row["reason"]) for row in rejected}:
        ids = sorted(row["id"] for row in rejected if (row["stage"], row["reason"]) == (stage, reason))
        shown = [row["id"] for row in told.lock["examples"] if (row["stage"], row["reason"]) == (stage, reason)]
        assert shown == ids[:3]
    _, body = split_card(told.path)
    assert "jane" not in body
    assert all("text" not in example for example in told.lock["examples"])
    assert place(Shown(id="a", source="a", url="https://a.example/x|y?user=jane#me")) == "https://a.example/x&#124;y"


def test_a_persons_own_part_and_the_repository_are_in_it(told):
    _, body = split_card(told.path)
    assert "## Our own part\n\nBy hand." in body
    assert 'load_dataset("org/told", "default", split="train", revision="v1.2.0")' in body
    assert "https://huggingface.co/datasets/org/told/discussions" in body
    assert "By hand." in render(changed(told, card="By hand."), "")


def test_the_first_screen_says_what_it_is_and_how_to_load_it(told):
    _, body = split_card(told.path)
    screen = body.partition("## Composition")[0]
    for line in (
        "What it is.",
        "| for | pretraining of language models |",
        "| languages | de, en, code |",
        "| sources | first, second |",
        "| made by | `exact_dedup`, `length`, `near_dedup` |",
        "| license | no-such-licence-1.0 |",
        f"| digest | `{told.typed.digest}` |",
        "load_dataset(",
    ):
        assert line in screen
    titles = re.findall(r"^## (.+)$", body, re.MULTILINE)
    assert titles.index("Lengths") < titles.index("Limits") < titles.index("Reproduce") < titles.index("Removal")


def test_every_picture_is_there_and_listed(told):
    _, body = split_card(told.path)
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", body)
    names = ["funnel", "lengths", "near_dedup"]
    assert sorted(pictures) == [f"charts/{name}.svg" for name in names]
    assert set(pictures) <= {file["path"] for file in told.lock["files"]}
    for picture in pictures:
        ElementTree.parse(told.path / picture)


@pytest.mark.parametrize(("bands", "rows"), [(9, 13), (32, 8), (1, 1)])
def test_the_curve_is_the_chance_to_share_a_band(bands, rows):
    for similarity in (0.0, 0.3, 0.8, 1.0):
        missed = 1.0
        for _ in range(bands):
            missed *= 1 - similarity**rows
        assert proposed(similarity, Scheme(bands=bands, rows=rows)) == pytest.approx(1 - missed)


class Page(HTMLParser):
    """What a page would fetch."""

    def __init__(self):
        super().__init__()
        self.fetched, self.tags = [], Counter()

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        self.fetched += [value for name, value in attributes if name in ("src", "href")]


def test_the_report_needs_no_other_file(told):
    page = Page()
    text = (told.path / "report.html").read_text()
    page.feed(text)
    assert all(place.startswith(("#", "data:,")) for place in page.fetched)
    assert page.tags["svg"] == 3  # lengths, n_words, the S-curve
    assert "jane" not in text
    assert "C++ | `&lt;b&gt;`" in text


def test_phases_are_configurations_with_one_validation_split(told, tmp_path):
    rows = pq.read_table(told.path / told.lock["files"][0]["path"])
    named = {"data/early/train-00000-of-00001.parquet": 5, "data/late/train-00000-of-00002.parquet": 3}
    named |= {"data/late/train-00001-of-00002.parquet": 2, "data/validation/00000-of-00001.parquet": 1}
    files = []
    for path, count in named.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows.slice(0, count), tmp_path / path)
        files.append({"path": path, "rows": count, "text_bytes": 10, "bytes": 20, "sha256": "0" * 64})
    lock = changed(told, files=files)
    (tmp_path / "README.md").write_text(render(lock, ""))
    assert list(configs(lock)) == ["early", "late"]
    for config, split, count in [("early", "train", 5), ("late", "train", 5), ("late", "validation", 1)]:
        loaded = datasets.load_dataset(str(tmp_path), config, split=split, cache_dir=str(tmp_path / "cache"))
        assert loaded.num_rows == count


KINDS = [pa.string(), pa.int32(), pa.float32(), pa.float64(), pa.bool_(), pa.list_(pa.float32()), pa.list_(pa.string())]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_feature_is_what_datasets_says_of_the_type(kind):
    expected = datasets.Features.from_arrow_schema(pa.schema([pa.field("x", kind)]))
    assert datasets.Features._from_yaml_list([feature("x", str(kind))]) == expected


def test_tokens_are_counted_where_they_are_known():
    rows = pa.table({"text": ["one two", "three", None], "source": ["a", "b", "b"], "n_tokens": [2, 1, None]})
    found = composition(rows.append_column("license", pa.array(["mit", None, "mit"])))
    assert found["source"] == {
        "a": {"documents": 1, "bytes": 7, "tokens": 2},
        "b": {"documents": 2, "bytes": 5, "tokens": 1},
    }
    assert {name: count["tokens"] for name, count in found["license"].items()} == {"mit": 2, "unknown": 1}
    assert found["language"] == {"unknown": {"documents": 3, "bytes": 12, "tokens": 3}}


def test_an_empty_release_has_a_card(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"text": "short"}])
    document = {"name": "none", "version": "1.0.0", "license": "mit", "sources": {"only": {"inputs": ["a.jsonl"]}}}
    manifest = write_manifest(tmp_path / "m.yaml", document | {"stages": ["length"]})
    made = release(manifest, tmp_path / "work", allow_empty=True)
    assert "0 documents (0 B of text)" in (made.path / "README.md").read_text()
    assert curate("verify", made.path).returncode == 0


def test_a_card_that_is_no_file_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"no file about\.md"):
        loads(json.dumps(DOCUMENT), folder=tmp_path)


def test_long_tables_end_in_one_line(told):
    many = {f"l{n}": {"documents": 1, "bytes": 100 - n} for n in range(30)}
    lock = changed(told, composition=told.lock["composition"] | {"language": many})
    shown = table_after(render(lock, ""), "language")
    assert len(shown) == 21
    assert shown[-1][:2] == ["10 other languages", "10"]


def test_no_text_of_a_document_is_in_the_card(told):
    _, body = split_card(told.path)
    for row in released_rows(told.path):
        assert row["text"][:60] not in body


def test_remarks_and_licenses_of_a_release_of_others_are_no_markup():
    from curate.base.phrases import reasons, remark

    evil = "<script>alert(1)</script> [x](javascript:y)\n# head `a < b` and `c[0]`"
    made = remark(evil)
    assert not [mark for mark in ("<script", "](", "\n") if mark in made]
    assert "`a < b` and `c[0]`" in made  # code is as it was
    assert reasons({"too_short": 2, "<b>|x": 1}) == "too_short 2, &#60;b>&#124;x 1"
