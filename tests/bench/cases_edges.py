"""What each case of promises at their edges must give: text, files, values, servers, removals, vocabularies, errors."""

import json
import re
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
from case import SHARED, Case

# Text that a reader sees


def bullet_lists_and_dates_vanish(case: Case) -> None:
    case.run()
    text = "\n".join(case.texts())
    plain = subprocess.run(["zcat", "a.warc.gz"], cwd=case.folder, capture_output=True, check=True).stdout.decode()
    for piece in re.findall(r"<(?:li|time)[^>]*>([^<]+)", plain):
        assert piece.strip() in text, f"lost: {piece!r}"


def lone_characters_vanish(case: Case) -> None:
    case.run()
    default, whole = (_characters(case.texts(source=name)) for name in ("default", "whole"))
    assert default == whole, "the main content lacks characters that the whole page has"


def _characters(texts: list[str]) -> str:
    return "".join(sorted("".join(texts).replace("\n", "").replace(" ", "")))


def formulas(case: Case) -> None:
    case.run()
    text = "\n".join(case.texts())
    assert "106" not in re.sub(r"\s", "", text), "an exponent reads as a digit"
    assert text.count("mc^2") + text.count("mc^{2}") >= 1, f"a formula is lost: {text!r}"
    assert "mc2E" not in text, "a formula comes twice"
    assert "energy is for" not in text, "a formula is lost"


def pii_in_code(case: Case) -> None:
    case.run()
    given = {row["url"]: row["text"] for row in map(json.loads, (case.folder / "a.jsonl").read_text().splitlines())}
    changed = {url for url, text in ((row["url"], row["text"]) for row in case.rows()) if text != given[url]}
    assert not changed, f"lines {sorted(changed)} are changed"


def line_dedup_numbers(case: Case) -> None:
    manifest = (case.folder / "manifest.yaml").read_text()
    case.write("manifest.yaml", manifest.replace("[line_dedup]", "[line_dedup: {numbers: keep}]"))
    case.run()
    texts = "\n".join(case.texts())
    for row in ("| 2020 | 1518 |", "| 2021 | 1761 |", "| 2016 | 9321 |", "return 1;"):
        assert row in texts, f"{row} is gone"


def special_token_in_text(case: Case) -> None:
    case.run()
    index = next(case.release().glob("tokens/**/*.idx"))
    ids, lengths = np.fromfile(index.with_suffix(".bin"), "<u2"), _lengths(index.read_bytes())
    for end, length in zip(np.cumsum(lengths), lengths, strict=True):
        places = np.flatnonzero(ids[end - length : end] == 50279)
        assert places.tolist() == [length - 1], f"eos at {places.tolist()} of {length}"


def _lengths(index: bytes) -> np.ndarray:
    count = int.from_bytes(index[18:26], "little")
    return np.frombuffer(index, "<i4", count, 34)


def scripts_without_spaces(case: Case) -> None:
    case.run("near.yaml")
    assert len(case.rows("near")) < 3, "near-duplicates in Thai stay"
    case.run("decon.yaml", "--allow-empty")
    assert len(case.rows("decon")) == 0 or "2 texts, of which" not in str(case.lock("decon")), "a question is not found"


# Damaged and unusual files


def bytes_after_compressed_file(case: Case) -> None:
    case.run()
    counts = {source: len(case.rows(source=source)) for source in ("big", "gz", "bz2", "zst")}
    assert counts == {"big": 30_000, "gz": 6, "bz2": 6, "zst": 6}, counts
    notes = [file.get("notes") for source in case.lock()["sources"].values() for file in source["files"]]
    assert all(notes), "no note about the bytes after the end"


def zstd_long_window(case: Case) -> None:
    case.run()
    assert len(case.rows(source="reddit")) >= 2_000
    assert len(case.rows(source="pages")) > 0


def not_what_the_name_says(case: Case) -> None:
    found = case.curate("run", "manifest.yaml").expect(2)
    assert re.search(r"LFS", found.said), found.said[-400:]
    assert re.search(r"HTML", found.said), found.said[-400:]


def warc_header_names_in_lower_case(case: Case) -> None:
    case.run()
    assert [len(case.rows(source=source)) for source in ("all", "length")] == [3, 3]


def warc_bytes_after_the_end(case: Case) -> None:
    case.run()
    for source in ("zeros", "newline"):
        assert len(case.rows(source=source)) == 3
        assert case.lock()["sources"][source]["read"]["in"] in (3, 4)
    assert len({row["text"] for row in case.rows(source="zeros")}) == 3


def warc_zst_dictionary_called_truncated(case: Case) -> None:
    case.run()
    assert len(case.rows()) == 60
    assert not case.rejected()


def files_of_a_folder_passed_over(case: Case) -> None:
    (case.folder / "d" / "e.jsonl").unlink(missing_ok=True)
    (case.folder / "d" / "e.jsonl").symlink_to("../blobs/nothing")
    case.curate("run", "manifest.yaml").expect(2, "e.jsonl")
    (case.folder / "d" / "e.jsonl").unlink()
    case.run()
    plan = case.curate("plan", "manifest.yaml").expect(0)
    assert "README.md" in plan.said, "the plan does not name what was not taken"
    assert "README.md" in json.dumps(case.lock()["sources"]), "the lock does not name what was not taken"
    taken = {file["path"] for file in case.lock()["sources"]["folder"]["files"]}
    assert {"a.jsonl", "d.jsonlines", "c.jl"} <= taken, taken
    for given, count in (("[parts]", 1), ("[corpus.txt]", 6), ("[d/b.jsonl.gzip]", 1)):
        text = f"name: u\nversion: 0.1.0\nlicense: other\nsources:\n  s: {{inputs: {given}, format: jsonl}}\n"
        case.write("u.yaml", text)
        case.curate("run", "u.yaml", "--work", f"work-{count}-{given[1]}").expect(0)


def file_name_not_utf8(case: Case) -> None:
    case.write(b"d/caf\xe9.txt".decode("utf-8", "surrogateescape"), "a line\n")
    found = case.curate("run", "manifest.yaml")
    assert found.code in (0, 2), found.said[-300:]
    lines = (case.folder / "d" / "ok.jsonl").read_text().splitlines()
    assert len(case.rows()) == len(lines) if found.code == 0 else "caf" in found.said


def file_names(case: Case) -> None:
    case.write(b"in/caf\xe9.jsonl".decode("utf-8", "surrogateescape"), '{"text": "latin-1 name"}\n')
    case.run("glob.yaml")
    found = case.curate("run", "manifest.yaml", "--work", "w")
    assert found.code in (0, 2), found.said[-300:]
    assert found.code == 0 or "caf" in found.said


# What a payload is


def payload_type_trusted(case: Case) -> None:
    case.run()
    for row in case.rows(source="notype"):
        assert "<" not in row["text"], f"markup in the text: {row['text'][:80]!r}"
    kept = [row["text"][:60] for row in case.rows(source="wrong")]
    assert not [text for text in kept if re.match(r"\s*(%PDF|\{|%!PS|\{\\rtf|<\?xml|function|var )", text)], kept


# Odd values


def parquet_dates_python_cannot_hold(case: Case) -> None:
    manifest = (case.folder / "manifest.yaml").read_text()
    for name in ("a", "b", "c", "d"):
        case.write(f"{name}.yaml", manifest.replace('"a.parquet", "d.parquet"', f'"{name}.parquet"'))
        case.curate("run", f"{name}.yaml", "--work", name).expect(0)
        home = case.folder / name / "releases" / "t" / "0.1.0"
        assert json.loads((home / "lock.json").read_text())["documents"] == 6


def parquet_column_names(case: Case) -> None:
    case.run()
    assert all(row["url"] for row in case.rows())
    base = "name: t\nversion: 0.1.0\nlicense: other\nsources:\n  s: {inputs: [%s], columns: {text: %s}}\n"
    for name, text, code in (("c", "doc.text", 0), ("e", "text", 2), ("f", "text", 0)):
        case.write(f"{name}.yaml", base % (f"{name}.parquet", text))
        case.curate("run", f"{name}.yaml", "--work", name).expect(code, *(["text"] if code else []))


# Servers


@contextmanager
def _server(case: Case):
    process = subprocess.Popen(
        [sys.executable, str(SHARED / "cases" / "web-server.py"), "8931"], cwd=case.folder, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def web_busy_server_is_no_such_file(case: Case) -> None:
    with _server(case):
        manifest = (case.folder / "manifest.yaml").read_text()
        for kind in ("busy503", "busy429"):
            case.write("m.yaml", manifest.replace("busy503", kind))
            case.curate("run", "m.yaml", "--work", kind).expect(0)
        case.write("gone.yaml", manifest.replace("busy503", "nowhere"))
        case.curate("run", "gone.yaml").expect(2)
    case.write("m.yaml", manifest.replace("8931", "8932"))
    case.curate("run", "m.yaml", "--work", "closed", CURATE_PATIENCE="5").expect(3)


def web_no_entity_tag_is_never_new(case: Case) -> None:
    with _server(case):
        for word in ("first", "other"):
            case.write("noid.jsonl", json.dumps({"text": f"the {word} text of the file"}) + "\n")
            case.curate("run", "manifest.yaml", "--work", "work", "--replace").expect(0)
            assert case.texts() == [f"the {word} text of the file"]


# Removals and lists


def removed_comes_back(case: Case) -> None:
    case.run()
    case.curate("remove", "work/releases/web/1.0.0", "--domains", "asked.txt").expect(0)
    for manifest, version in (("extends", "1.1.0"), ("record", "1.2.0"), ("listed", "1.3.0")):
        case.run(f"{manifest}.yaml")
        urls = [row["url"] for row in case.rows("web", version)]
        assert not [url for url in urls if "site2" in url], f"{version} has {urls}"
        assert case.lock("web", version)["removed"], f"the record does not go on in {version}"


def lists_that_match_nothing(case: Case) -> None:
    case.run("manifest.yaml", "--allow-empty")
    assert sorted(case.texts("f")) == [], case.texts("f")
    case.run("removed.yaml")
    kept = case.texts("r")
    assert "plain" not in kept
    assert "percent-encoded" not in kept
    assert "unicode name, punycode address" not in kept


def extends_nothing_new(case: Case) -> None:
    case.run()
    found = case.curate("run", "next.yaml")
    assert found.code == 0 or (found.code == 2 and "new" in found.err), found.said[-300:]


# Vocabularies


def language_tags(case: Case) -> None:
    expected = {"bcp47": {"bg", "en", "zh"}, "flores": None, "code": {"code"}}
    for name, wanted in expected.items():
        case.run(f"{name}.yaml")
        languages = set(case.card(name)["language"])
        assert all(re.fullmatch(r"[a-z]{2,3}|code|multilingual", tag) for tag in languages), languages
        assert wanted is None or languages == wanted, languages
        assert name != "flores" or "code" not in languages, languages


def phase_called_default(case: Case) -> None:
    found = case.curate("run", "manifest.yaml")
    if found.code == 0:
        from datasets import load_dataset

        load_dataset(str(case.release()), "warmup", cache_dir=str(case.folder / "hf"))
    else:
        found.expect(2, "default")


def spdx_case(case: Case) -> None:
    for name, license in (("apache", "apache-2.0"), ("mit", "mit"), ("llama", "llama3.1"), ("space", "cc-by-4.0")):
        case.run(f"{name}.yaml")
        assert case.card(name)["license"] == license, case.card(name)
    case.curate("plan", "blank.yaml").expect(2, "license")


# Errors


def encodings_of_manifest(case: Case) -> None:
    for name in ("latin1", "utf16", "card"):
        case.curate("run", f"{name}.yaml").expect(2, "UTF-8")
    found = case.curate("run", "front.yaml")
    if found.code == 0:
        page = (case.release("u") / "README.md").read_text().split("---\n", 2)[2]
        assert "license: mit" not in page
    else:
        found.expect(2)
    case.write("half.yaml", (case.folder / "latin1.yaml").read_bytes().replace(b"Caf\xe9 posts", b'"\\ud83d"'))
    case.curate("run", "half.yaml").expect(2)


def numbers_out_of_range(case: Case) -> None:
    for name in ("weights", "seed", "seed64", "ngram", "bands", "bins", "groups"):
        found = case.curate("run", f"{name}.yaml", "--work", name, timeout=60)
        assert found.code == 2, f"{name}: exit {found.code}"


def filter_that_fails(case: Case) -> None:
    case.curate("run", "manifest.yaml").expect(2, "unloved", "try_cast")


CASES = {
    name.replace("_", "-"): check
    for name, check in list(globals().items())
    if getattr(check, "__module__", "") == __name__ and not name.startswith("_")
}
"""{name of the case's folder: what it must give}"""
