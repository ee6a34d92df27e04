"""What was asked out comes back by no way, and every number of a patch version is that of its files."""

import json
import random
import shutil
from collections import Counter
from hashlib import sha256

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from releases import curate, one_source, release, released_rows, rows, write_jsonl, write_manifest
from small_tokenizers import small_tokenizer
from tokenizers import Tokenizer

from curate.errors import CurateError
from curate.inspect.explain import explain
from curate.release.lock import read_lock, verify
from curate.release.make import run_events
from curate.release.manifest_text import with_record
from curate.release.takedown import RECORD, remove
from curate.stages.removed import list_names, read_list

NEAR = [{"near_dedup": {"max_removed": 1}}]
SITES = [
    {"text": f"{word} " + " ".join(f"{word}{n * 7 % 101}" for n in range(40)), "url": f"https://site{n}.example/p"}
    for n, word in enumerate(["alpha", "beta", "gamma", "delta", "eps", "zeta"])
]


def make(folder, documents, version="1.0.0", name="web", **more):
    """The release of documents in a file of its own."""
    file = f"{name}-{version}.jsonl"
    write_jsonl(folder / file, documents)
    settings = {"license": "cc-by-4.0", "sources": {"a": {"inputs": [file]}}, "stages": NEAR} | more
    manifest = write_manifest(folder / f"{name}-{version}.yaml", {"name": name, "version": version} | settings)
    return release(manifest, folder / "work").path


def urls(*paths):
    return sorted(row["url"] for path in paths for row in released_rows(path))


def asked(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


WAYS = {"ids": None, "urls": "http://SITE2.example:80/p/#top", "domains": "site2.example"}


@pytest.fixture(params=WAYS)
def patched(request, tmp_path):
    """A release of four sites, and its patch version without site2, asked for in each way."""
    old = make(tmp_path, SITES[:4])
    ids = {row["url"]: row["id"] for row in released_rows(old)}
    line = WAYS[request.param] or ids["https://site2.example/p"]
    taken = remove(old, **{request.param: asked(tmp_path / "asked.txt", line)})
    assert urls(taken.path) == [site["url"] for place, site in enumerate(SITES[:4]) if place != 2]
    return old, taken.path


LEFT = sorted(site["url"] for place, site in enumerate(SITES) if place != 2)


@pytest.mark.parametrize("how", ["patch", "before", "against", "record", "renamed"])
def test_nothing_comes_back(tmp_path, patched, how):
    old, new = patched
    changed = [site | {"url": site["url"] + "/?"} for site in SITES]
    record = {"removed": [str(new / RECORD)]}
    more = {
        "patch": {"extends": str(new)},
        "before": {"extends": str(old)} | record,
        "against": {"against": [str(new)]},
        "record": record,
        "renamed": record | {"sources": {"other": {"inputs": ["web-1.1.0.jsonl"]}}},
    }[how]
    made = make(tmp_path, changed, "1.1.0", **more)
    assert "https://site2.example/p" not in {url.removesuffix("/?") for url in urls(made)}
    lock = read_lock(made)
    assert {(entry["version"], entry["list"]) for entry in lock["removed"]} == {("1.0.1", "asked")}
    assert verify(made) == []
    again = make(tmp_path, SITES, "1.2.0", extends=str(made))  # and so on, from version to version
    assert "https://site2.example/p" not in urls(again)
    assert read_lock(again)["removed"][0]["version"] == "1.0.1"
    assert lock["documents"] == len(released_rows(made))


def test_a_list_is_put_to_the_shards_that_are_taken_over(tmp_path):
    old = make(tmp_path, SITES[:4], shards={"size": "0.4KB"})
    before = {path.name: path.read_bytes() for path in (old / "data").iterdir()}
    assert len(before) > 2
    list_of = asked(tmp_path / "asked.txt", "site2.example")
    made = make(tmp_path, SITES[4:], "1.1.0", extends=str(old), removed=[list_of.name], shards={"size": "0.4KB"})
    assert urls(made) == LEFT
    lock, data = read_lock(made), sorted((made / "data").iterdir())
    assert sum(path.read_bytes() in before.values() for path in data) == len(before) - 1
    assert {row["id"] for path in data for row in pq.read_table(path).to_pylist()} == {
        id for path in (made / "index").iterdir() for id in pq.read_table(path)["id"].to_pylist()
    }
    assert lock["removed"] == [{"version": "1.1.0", "list": "asked", "documents": 1, "entries": 1, "matched": 1}]
    assert counted_again(made) == told(lock)
    assert verify(made) == []


def test_what_a_list_names_for_later_stays_out_though_nothing_has_it_yet(tmp_path):
    old = make(tmp_path, SITES[:2], removed=[asked(tmp_path / "asked.txt", "site2.example", "never.example").name])
    counts = {"list": "asked", "documents": 0, "entries": 2, "matched": 0}
    assert read_lock(old)["removed"] == [{"version": "1.0.0"} | counts]
    made = make(tmp_path, SITES, "1.1.0", extends=str(old))
    assert urls(made) == LEFT
    assert read_lock(made)["removed"] == [{"version": "1.0.0"} | counts | {"documents": 1, "matched": 1}]


def test_the_same_page_and_the_same_text_go_too(tmp_path):
    documents = [
        {"text": "one", "url": "https://a.example/page"},
        {"text": "one", "url": "https://mirror.example/copy"},
        {"text": "another crawl of it", "url": "http://a.example:80/page/#top"},
        {"text": "another crawl of it", "url": "https://mirror.example/second"},
        {"text": "mine", "url": "https://mirror.example/third"},
        {"text": " ", "url": "https://a.example/blank"},
        {"text": " ", "url": "https://mirror.example/blank"},
    ]
    made = make(tmp_path, documents, stages=[])
    ids = {row["url"]: row["id"] for row in released_rows(made)}
    names = asked(tmp_path / "asked.txt", ids["https://a.example/page"], ids["https://a.example/blank"])
    dry = remove(made, ids=names, dry_run=True)
    assert not dry.path.exists()
    taken = remove(made, ids=names)
    assert taken.causes == dry.causes == {"id": 2, "same URL": 1, "same text": 2}
    assert urls(taken.path) == ["https://mirror.example/blank", "https://mirror.example/third"]
    later = make(tmp_path, documents, "1.1.0", stages=[], removed=[str(taken.path / RECORD)])
    assert urls(later) == urls(taken.path)
    for column in ("url_sha256", "text_sha256"):  # the copies at other addresses take nothing with them
        then, now = ({*pq.read_table(path / RECORD)[column].to_pylist()} for path in (taken.path, later))
        assert then == now
    record = (taken.path / RECORD).read_bytes()
    assert not any(word.encode() in record for row in documents[:4] for word in (row["url"], row["text"] + " "))


def test_a_rerun_of_the_manifest_of_the_patch_version(tmp_path):
    old = make(tmp_path, SITES, removed=[asked(tmp_path / "first.txt", "site5.example").name])
    taken = remove(old, domains=asked(tmp_path / "asked.txt", "site2.example"))
    expected = urls(taken.path)
    manifest = tmp_path / "again.yaml"
    shutil.copy(taken.path / "manifest.yaml", manifest)
    made = release(manifest, tmp_path / "work")
    assert (made.lock["version"], urls(made.path)) == ("1.0.1", expected)
    assert {entry["list"] for entry in made.lock["removed"]} == {"first", "asked"}
    assert len(expected) == 4


@pytest.mark.parametrize(
    "text",
    [
        "name: a\nversion: 1.0.0\nlicense: mit\n",
        "name: a\nversion: 1.0.0  # remark\nremoved: [x.txt, y.txt]\nlicense: mit",
        "removed:\n  - x.txt\n  - y.txt\n\n# of the version\nversion: '1.0.0'\n",
        "version: 1.0.0\nremoved: [\n  x.txt,\n  y.txt\n  ]\nsources: {a: {inputs: [version: 1]}}\n",
        "version: 1.0.0\nremoved:\n- x.txt\n- y.txt\nname: a\n",
        "{name: a, version: 1.0.0, removed: [x.txt]}",
        "{name: a, version: 1.0.0}\n",
        "---\nname: a\nversion: 1.0.0\n...\n",
        "version: 1.0.0\nremoved: &lists [x.txt]\nx-other: *lists\n",
        "version: 1.0.0\nremoved:\nname: a\n",
        "version: 1.0.0\ndescription: |\n  version: 9\n  removed: []\n",
        "version: 1.0.0\r\nremoved:\r\n  - x.txt\r\nname: ä\r\n",
        '"version": 1.0.0\n"removed": []\n',
    ],
)
def test_the_manifest_of_a_patch_version_names_the_record_whatever_its_style(text):
    made = yaml.safe_load(with_record(text, "1.0.1", RECORD))
    assert made.pop("removed") == [RECORD]
    assert made.pop("version") == "1.0.1"
    given = yaml.safe_load(text)
    assert made == {key: value for key, value in given.items() if key not in ("removed", "version")}
    assert with_record(text, "1.0.1", RECORD).count("#") == text.count("#") or "*lists" in text


def test_several_kinds_of_lists_in_one_go(tmp_path):
    made = make(tmp_path, SITES, stages=[])
    id = next(row["id"] for row in released_rows(made) if "site0" in row["url"])
    lists = {"ids": id, "urls": "site1.example/p", "domains": "||site2.example^\n0.0.0.0 none.example"}
    files = [part for kind, line in lists.items() for part in (f"--{kind}", asked(tmp_path / kind / "asked.txt", line))]
    dry = json.loads(curate("remove", made, *files, "--dry-run", "--json").stdout)
    assert (dry["documents"], dry["dry_run"], dry["sources"]) == (3, True, {"a": 3})
    assert [path.name for path in made.parent.iterdir()] == ["1.0.0"]
    done = curate("remove", made, *files)
    assert done.returncode == 0, done.stderr
    assert "list domains_asked: 1 of 2 entries matched" in done.stdout
    lock = read_lock(made.parent / "1.0.1")
    told = {entry["list"]: (entry["entries"], entry["matched"]) for entry in lock["removed"]}
    assert told == {"ids_asked": (1, 1), "urls_asked": (1, 1), "domains_asked": (2, 1)}
    again = curate("remove", made.parent / "1.0.1", *files)
    assert (again.returncode, "no document of web 1.0.1" in again.stderr) == (2, True)


def test_lists_of_one_name_are_two(tmp_path):
    lists = ["a/asked.txt", "b/asked.txt", "b/asked.txt", "c.txt", "d/c.txt", "/x/a/asked.txt"]
    assert list_names(lists) == {
        "a_asked": "a/asked.txt",
        "b_asked": "b/asked.txt",
        "c": "c.txt",
        "d_c": "d/c.txt",
        "a_asked_2": "/x/a/asked.txt",
    }
    for folder, site in (("a", "site1.example"), ("b", "site2.example")):
        asked(tmp_path / folder / "asked.txt", site)
    made = make(tmp_path, SITES, removed=["a/asked.txt", "b/asked.txt"])
    assert len(released_rows(made)) == 4
    assert {entry["list"]: entry["documents"] for entry in read_lock(made)["removed"]} == {"a_asked": 1, "b_asked": 1}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("com", "one label"),
        ("two words", "whitespace"),
        ("||a.example/x^", "Adblock"),
        ("0123456789abcdef", "one label"),
        ("me@a.example", "mail address"),
    ],
)
def test_a_line_of_a_list_of_removals_that_can_match_nothing_is_named(tmp_path, line, told):
    with pytest.raises(CurateError, match=told) as caught:
        read_list(asked(tmp_path / "asked.txt", "a.example", line), "asked")
    assert caught.value.where.endswith("asked.txt:2")


def test_a_record_that_is_none_is_named(tmp_path):
    made = make(tmp_path, SITES[:1], stages=[])
    for path in ((made / "data").glob("*"), [asked(tmp_path / "x.parquet", "no")]):
        with pytest.raises(CurateError, match="not a record of removals"):
            read_list(next(iter(path)), "x")


# Numbers


def told(lock):
    """What a lock says of its documents."""
    splits = [
        {name: split.get(name) for name in ("documents", "unique", "bytes", "tokens", "longest", "shards", "amount")}
        | {
            "keys": {
                k: {n: c.get(n) for n in ("documents", "unique", "bytes", "tokens", "share")}
                for k, c in split["keys"].items()
            }
        }
        for split in lock["mixture"]["splits"]
    ]
    return {
        "documents": lock["documents"],
        "drawn": lock["drawn"],
        "composition": lock["composition"],
        "unique": lock["unique"],
        "splits": splits,
        "rejected": lock["rejected"],
        "files": [file for file in lock["files"] if file["path"].startswith(("data/", "index/", "evidence/"))],
        "clusters": [(cluster["cluster"], cluster["cluster_size"], cluster["id"]) for cluster in lock["clusters"]],
        "removed": sum(entry["documents"] for entry in lock["removed"]),
    }


def counted_again(path):
    """The same, from the files of the release alone, in plain Python."""
    lock = read_lock(path)
    by, unit, splits = lock["mixture"]["by"], lock["mixture"]["unit"], []
    for split in lock["mixture"]["splits"]:
        name = split["phase"] or ("validation" if split["split"] == "validation" else "")
        files = sorted((path / "data" / name).glob(f"{split['split']}-*.parquet"))
        held = [row for file in files for row in pq.read_table(file).to_pylist()]
        sizes = [measures(row) for row in held]
        tokens = "tokens" in split
        total = {size: sum(one[size] for one in sizes) for size in ("documents", "bytes", "tokens")}
        keys = {}
        for key in sorted({row[by] for row in held} | {k for k, c in split["keys"].items() if c.get("asked")}):
            mine = [one for row, one in zip(held, sizes, strict=True) if row[by] == key]
            unique = len({row["id"] for row in held if row[by] == key})
            keys[key] = {size: sum(one[size] for one in mine) for size in total}
            keys[key]["unique"] = unique
            keys[key]["share"] = round(keys[key][unit] / max(total[unit], 1), 6)
            keys[key] |= {} if tokens else {"tokens": None}
        longest = max((one["tokens"] for one in sizes), default=0) if tokens else None
        total["unique"] = len({row["id"] for row in held})
        found = total | {"longest": longest, "shards": len(files), "keys": keys} | ({} if tokens else {"tokens": None})
        splits.append(found | {"amount": total[unit] if "amount" in split else None})
    every = [row for file in sorted((path / "data").rglob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    unique = [*{row["id"]: row for row in every}.values()]
    files = []
    for file in (file for file in lock["files"] if file["path"].startswith(("data/", "index/", "evidence/"))):
        content = (path / file["path"]).read_bytes()
        files.append({**file, "bytes": len(content), "sha256": sha256(content).hexdigest()})
        files[-1] |= {"rows": pq.read_metadata(path / file["path"]).num_rows} if "rows" in file else {}
        if file["path"].startswith("data/"):
            files[-1]["text_bytes"] = sum(
                len(t.encode()) for t in pq.read_table(path / file["path"])["text"].to_pylist()
            )
    near, clusters = path / "evidence/near_duplicates.parquet", []
    if near.exists():
        table = pq.read_table(near).to_pylist()
        sizes = Counter(row["cluster"] for row in table)
        kept = {}
        for row in sorted((row for row in table if row["kept"]), key=lambda row: row["id"], reverse=True):
            kept[row["cluster"]] = (row["cluster"], sizes[row["cluster"]], row["id"])
        clusters = sorted(kept.values(), key=lambda found: (-found[1], found[0]))[:10]
    record = pq.read_table(path / RECORD).to_pylist() if (path / RECORD).exists() else []
    return {
        "documents": len(unique),
        "drawn": len(every),
        "composition": composed(every),
        "unique": composed(unique),
        "splits": splits,
        "rejected": pq.read_metadata(path / "evidence/rejected.parquet").num_rows,
        "files": files,
        "clusters": clusters,
        "removed": len({row["id_sha256"] for row in record if row["document"]}),
    }


def composed(held):
    """Documents, bytes and tokens by source, language and license."""
    composition = {}
    for column in ("source", "language", "license"):
        counts = {}
        for row in held:
            counts.setdefault(row.get(column) or "unknown", Counter()).update(measures(row))
        composition[column] = {
            value: {name: count for name, count in found.items() if "n_tokens" in held[0] or name != "tokens"}
            for value, found in sorted(counts.items())
        }
    return composition


def measures(row):
    return {"documents": 1, "bytes": len(row["text"].encode()), "tokens": row.get("n_tokens") or 0}


TOKENS = {"tokenizer": small_tokenizer(), "context": 32, "eos": "<s>"}
MIXTURES = {
    "everything": {},
    "repeats": {"weights": {"a": 0.75, "b": 0.25}, "budget": 6_000, "repeats": 4, "unit": "bytes"},
    "phases": {
        "phases": [
            {"name": "one", "budget": 2_000, "weights": {"a": 0.5, "b": 0.5}},
            {"name": "two", "budget": 1_500, "weights": {"b": 1}, "repeat_earlier": True},
        ],
        "unit": "bytes",
    },
    "validation": {"validation": 0.3},
}


@pytest.mark.parametrize("mixture", MIXTURES)
def test_every_number_of_a_patch_version_is_that_of_its_files(tmp_path, mixture):
    write_jsonl(tmp_path / "a.jsonl", rows(1, 30, 20))
    write_jsonl(tmp_path / "b.jsonl", [*rows(2, 25, 20), *rows(1, 12, 20)])
    document = {
        "name": "numbers",
        "version": "1.0.0",
        "license": "mit",
        "sources": {"a": {"inputs": ["a.jsonl"]}, "b": {"inputs": ["b.jsonl"], "priority": 1}},
        "stages": [{"near_dedup": {"threshold": 0.5, "max_removed": 1}}],
        "mixture": MIXTURES[mixture],
        "shards": {"size": "2KB"},
    }
    if mixture != "repeats":
        document["tokens"] = TOKENS
        document["stages"].append({"tokens": small_tokenizer()})
    made = release(write_manifest(tmp_path / "m.yaml", document), tmp_path / "work").path
    assert counted_again(made) == told(read_lock(made))
    chance, path = random.Random(mixture), made
    for step in range(3):
        held = sorted(
            {row["id"] for file in (path / "data").rglob("*.parquet") for row in pq.read_table(file).to_pylist()}
        )
        taken = remove(
            path, ids=asked(tmp_path / f"{step}.txt", *chance.sample(held, min(len(held) - 1, 1 + 4 * step)))
        )
        lock, path = read_lock(taken.path), taken.path
        assert counted_again(path) == told(lock)
        assert verify(path) == []
        assert sum(taken.sources.values()) == taken.documents == sum(taken.causes.values())
        for split in (lock["tokens"] or {"splits": []})["splits"]:
            folder = path / "tokens" / (split["phase"] or ("validation" if split["split"] == "validation" else ""))
            ids = [np.load(file) for file in sorted(folder.glob(f"{split['split']}-?????-of-?????.npy"))]
            assert split["sequences"] == sum(map(len, ids)) == sum(shard["sequences"] for shard in split["shards"])
            data = [
                s for s in lock["mixture"]["splits"] if (s["phase"], s["split"]) == (split["phase"], split["split"])
            ]
            assert split["documents"] == data[0]["documents"]
            assert split["tokens"] == data[0]["tokens"] + data[0]["documents"]  # one ends each


def test_the_tokens_of_shards_that_are_taken_over_are_without_it_too(tmp_path):
    old = make(tmp_path, SITES[:4], tokens=TOKENS)
    list_of = asked(tmp_path / "asked.txt", "site2.example")
    made = make(tmp_path, SITES[4:], "1.1.0", extends=str(old), removed=[list_of.name], tokens=TOKENS)
    (split,) = read_lock(made)["tokens"]["splits"]
    held = released_rows(made)
    assert split["documents"] == len(held) == 5
    oracle = Tokenizer.from_file(small_tokenizer())
    oracle.no_truncation()
    assert split["tokens"] == sum(len(oracle.encode(row["text"], add_special_tokens=False).ids) + 1 for row in held)
    assert verify(made) == []


# Releases of strangers


def tampered(made, name, edit, rehash=()):
    """A copy of a release with another lock."""
    copy = made.parent.parent / name / "1.0.0"
    shutil.copytree(made, copy)
    lock = json.loads((copy / "lock.json").read_text())
    for path in rehash:
        content = (copy / path).read_bytes()
        entry = next(file for file in lock["files"] if file["path"] == path)
        entry |= {"bytes": len(content), "sha256": sha256(content).hexdigest()}
    edit(lock)
    (copy / "lock.json").write_text(json.dumps(lock))
    return copy


HOSTILE = {
    "version elsewhere": lambda lock, out: lock.update(version=f"{out}/3.11.0"),
    "version above": lambda lock, out: lock.update(version="../../1.0.0"),
    "version of other digits": lambda lock, out: lock.update(version="1.0.٣"),
    "label above": lambda lock, out: lock["stages"][0].update(label="../../../WRITTEN"),
    "label elsewhere": lambda lock, out: lock["stages"][0].update(label=f"{out}/WRITTEN"),
    "phase above": lambda lock, out: lock["mixture"]["splits"][0].update(phase="../../x"),
    "path above": lambda lock, out: lock["files"][0].update(path="data/../../x.parquet"),
    "path elsewhere": lambda lock, out: lock["files"][0].update(path=f"{out}/x.parquet"),
    "path with NUL": lambda lock, out: lock["files"][0].update(path="data/\0.parquet"),
    "path twice": lambda lock, out: lock["files"].append(lock["files"][0]),
    "no path": lambda lock, out: lock["files"].append({}),
    "files null": lambda lock, out: lock.update(files=None),
    "digest a number": lambda lock, out: lock.update(digest=5),
    "name with an escape": lambda lock, out: lock.update(name="\x1b]0;x\x07"),
    "name with a line": lambda lock, out: lock.update(name="web\n"),
    "documents text": lambda lock, out: lock.update(documents="x"),
    "documents below none": lambda lock, out: lock.update(documents=-1),
    "composition a list": lambda lock, out: lock.update(composition=[]),
    "columns null": lambda lock, out: lock.update(columns=None),
    "index a number": lambda lock, out: lock.update(index=5),
    "no mixture": lambda lock, out: lock.pop("mixture"),
    "source a script": lambda lock, out: lock["sources"].update({"<script>": {}}),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return make(tmp_path_factory.mktemp("plain"), SITES[:4])


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_lock_is_refused_and_nothing_outside_is_touched(tmp_path, plain, how):
    made = tmp_path / "work/web/1.0.0"
    shutil.copytree(plain, made)
    outside = tmp_path / "outside"
    (outside / "3.11.1").mkdir(parents=True)
    (outside / "3.11.1/precious.txt").write_text("precious")
    evil = tampered(made, "evil", lambda lock: HOSTILE[how](lock, outside))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(CurateError):
        remove(evil, domains=asked(tmp_path / "asked.txt", "site2.example"))
    manifest = one_source(tmp_path / "next", SITES, [], stages=NEAR, extends=str(evil), version="2.0.0")
    with pytest.raises(CurateError):
        release(manifest, tmp_path / "next/work")
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path: after.get(path) for path in before} == before
    assert not list(tmp_path.rglob("WRITTEN*"))


def test_a_target_that_is_there_is_never_replaced(tmp_path):
    made = make(tmp_path, SITES, stages=[])
    (made.parent / "1.0.1").mkdir()
    (made.parent / "1.0.1/precious.txt").write_text("precious")
    with pytest.raises(CurateError, match="already exists"):
        remove(made, domains=asked(tmp_path / "asked.txt", "site2.example"))
    assert (made.parent / "1.0.1/precious.txt").read_text() == "precious"


def edited(column, change):
    def edit(path):
        table = pq.read_table(path)
        pq.write_table(change(table) if column is None else table.set_column(*change(table, column)), path)

    return edit


def put(values):
    return lambda table, column: (table.column_names.index(column), column, [values(table.num_rows)])


def bad_text(count):
    import pyarrow as pa

    raw = pa.array([b"\xff\xf0\x9f" * 30] * count, pa.binary())
    return pa.Array.from_buffers(pa.string(), count, raw.buffers())


DATA, INDEX = "data/train-00000-of-00001.parquet", "index/train-00000-of-00001.parquet"
ODD_FILES = {
    "text is no UTF-8": (DATA, edited("text", put(bad_text))),
    "text is numbers": (DATA, edited("text", put(lambda n: list(range(n))))),
    "no id": (DATA, edited(None, lambda table: table.drop_columns(["id"]))),
    "id null": (DATA, edited("id", put(lambda n: [None] * n))),
    "junk": (DATA, lambda path: path.write_bytes(b"PAR1" + b"\0" * 100 + b"PAR1")),
    "index junk": (INDEX, lambda path: path.write_bytes(b"PAR1" + b"\0" * 100 + b"PAR1")),
    "index short": (INDEX, edited("band_keys", put(lambda n: [b"abc"] * n))),
    "index long": (INDEX, edited("band_keys", put(lambda n: [b"abcdefgh" * 1000] * n))),
    "index null": (INDEX, edited("band_keys", put(lambda n: [None] * n))),
    "index of fewer rows": (INDEX, edited(None, lambda table: table.slice(0, 2))),
}


@pytest.mark.parametrize("how", ODD_FILES)
def test_odd_files_of_an_earlier_release_are_named(tmp_path, plain, how):
    made = tmp_path / "work/web/1.0.0"
    shutil.copytree(plain, made)
    path, edit = ODD_FILES[how]
    edit(made / path)
    evil = tampered(made, "evil", lambda lock: None, rehash=[path])
    manifest = one_source(tmp_path / "next", SITES, [], stages=NEAR, against=[str(evil)], version="2.0.0")
    with pytest.raises(CurateError, match="earlier release"):
        release(manifest, tmp_path / "next/work")


@pytest.mark.parametrize("path", [DATA, INDEX])
@pytest.mark.parametrize("how", ["extends", "against"])
def test_shards_are_hashed_before_they_are_adopted(tmp_path, plain, path, how):
    evil = tmp_path / "web/1.0.0"
    shutil.copytree(plain, evil)
    table = pq.read_table(evil / path)
    pq.write_table(table.take(list(range(table.num_rows))[::-1]), evil / path)
    lock = json.loads((evil / "lock.json").read_text())
    next(file for file in lock["files"] if file["path"] == path)["bytes"] = (evil / path).stat().st_size
    (evil / "lock.json").write_text(json.dumps(lock))
    named = str(evil) if how == "extends" else [str(evil)]
    manifest = one_source(tmp_path / "next", SITES, [], stages=NEAR, version="2.0.0", **{how: named})
    with pytest.raises(CurateError, match="digest"):
        list(run_events(manifest, tmp_path / "next/work", workers=0))


def test_a_link_out_of_an_earlier_release_is_not_followed(tmp_path, plain):
    evil = tmp_path / "web/1.0.0"
    shutil.copytree(plain, evil)
    (evil / DATA).rename(tmp_path / "moved.parquet")
    (evil / DATA).symlink_to(tmp_path / "moved.parquet")
    manifest = one_source(tmp_path / "next", SITES, [], stages=NEAR, version="2.0.0", extends=str(evil))
    for act in (
        lambda: release(manifest, tmp_path / "next/work"),
        lambda: remove(evil, domains=asked(tmp_path / "asked.txt", "site2.example")),
    ):
        with pytest.raises(CurateError, match="links outside"):
            act()


def test_copies_in_the_run_itself_go_too(tmp_path):
    """So that a version has what the next one would have of the same documents."""
    documents = [
        {"text": "one", "url": "https://a.example/page"},
        {"text": "one", "url": "https://mirror.example/copy"},
        {"text": "other", "url": "https://mirror.example/other"},
    ]
    list_of = asked(tmp_path / "asked.txt", "a.example").name
    made = make(tmp_path, documents, stages=[], removed=[list_of])
    assert urls(made) == ["https://mirror.example/other"]
    lock = read_lock(made)
    assert lock["removed"] == [{"version": "1.0.0", "list": "asked", "documents": 2, "entries": 1, "matched": 1}]
    assert counted_again(made) == told(lock)
    assert verify(made) == []
    assert lock["stages"][-1]["sources"] == {"a": {"in": 3, "kept": 1, "bytes": 5, "reasons": {"asked": 2}}}
    assert lock["kept"] == {"a": {"documents": 1, "bytes": 5}}
    (copy,) = explain(tmp_path / "web-1.0.0.yaml", "https://mirror.example/copy", tmp_path / "work")
    assert (copy["reason"], copy["released"], copy["removed"]["version"]) == ("removed.asked", None, "1.0.0")
    (kept,) = explain(tmp_path / "web-1.0.0.yaml", "https://mirror.example/other", tmp_path / "work")
    assert (kept["reason"], kept["removed"]) == (None, None)


@pytest.mark.parametrize(
    "line",
    [
        '"http://a.example/x"',
        '"http://a.example/x","asked"',
        "http://a.example/x,http://a.example/y",
        "<http://a.example/x>",
        "[page](http://a.example/x)",
        "http://a.example/x,",
        "hxxp://a[.]example/x",
        "http://a.example:port/x",
        "mailto:a@a.example",
        "javascript:alert(1)",
        "id:3",
        "http://a.example/x\0",
    ],
)
def test_what_stands_around_a_url_is_named_and_not_taken_for_it(tmp_path, line):
    (tmp_path / "asked.txt").write_text(f"http://b.example/fine,with,commas\n{line}\n")
    with pytest.raises(CurateError) as raised:
        read_list(tmp_path / "asked.txt", "asked", "urls")
    assert raised.value.where.endswith("asked.txt:2")
    assert raised.value.fix


def test_a_release_on_the_hub_is_told_from_a_folder(tmp_path):
    with pytest.raises(CurateError, match="not an address") as raised:
        remove("hf://datasets/org/web@v1.0.0", ids=tmp_path / "ids.txt")
    assert "download" in raised.value.fix
