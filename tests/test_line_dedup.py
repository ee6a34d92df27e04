"""Every line stays where it stands first, and nowhere else."""

import json
import unicodedata

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import curate
from curate.stage_api import find_stage
from curate.testing import docs, run_group

LINE_DEDUP = find_stage("line_dedup")


def plain(line: str, numbers: str = "keep") -> str:
    """What of a line is compared."""
    kinds = [(char, unicodedata.category(char)) for char in line.lower()]
    kinds = [(char, kind) for char, kind in kinds if kind != "Cc"]
    if numbers == "fold":
        return "".join("0" if kind == "Nd" else char for char, kind in kinds if kind[0] != "P").strip()
    numbered = any(kind == "Nd" for _, kind in kinds)
    return "".join(char for char, kind in kinds if numbered or kind[0] != "P").strip()


def reference(
    texts: dict[str, str], order: list[str], separator: str, min_chars: int, numbers: str
) -> dict[str, tuple]:
    """{id: (text, lines, removed, reason)}: documents in keep order, each of its lines against all before."""
    seen, found = set(), {}
    for id in order:
        stays, lines, removed = [], 0, 0
        for line in texts[id].split(separator):
            compared = plain(line, numbers)
            lines += compared != ""
            if compared in seen:
                removed += 1
                continue
            stays.append(line)
            seen |= {compared} - {""}
        left = separator.join(stays)
        out = removed > 0 and len("".join(left.split())) < min_chars
        found[id] = (texts[id] if out else left, lines, removed, "nothing_new" if out else None)
    return found


lines = st.lists(
    st.sampled_from(
        [
            "Home",
            "home!",
            "HOME",
            "1 Jan",
            "2 Jan",
            "1.5",
            "15",
            "-15",
            "",
            " ",
            "--",
            "Été",
            "中文。",
            "one",
            "more \t",
        ]
    )
)
texts = st.lists(lines.map("\n".join), min_size=1, max_size=9)


@settings(max_examples=80, deadline=None)
@given(texts, st.data())
def test_equals_the_sequential_rule_on_any_texts_in_any_partitions(texts, data):
    table = docs(*texts)
    unit = data.draw(st.sampled_from(["lines", "paragraphs"]))
    numbers = data.draw(st.sampled_from(["keep", "fold"]))
    params = LINE_DEDUP.configure({"unit": unit, "numbers": numbers, "min_chars": data.draw(st.integers(0, 9))})
    params["bins"] = data.draw(st.integers(1, 3))
    cut = data.draw(st.integers(0, len(texts)))
    priorities = data.draw(st.sampled_from([[0, 0], [1, 0]]))
    parts = [table.slice(0, cut), table.slice(cut)]
    found = pa.concat_tables(run_group(LINE_DEDUP, parts, params, priorities)).to_pylist()
    of = dict(zip(table["id"].to_pylist(), texts, strict=True))
    place = {id: priorities[number] for number, part in enumerate(parts) for id in part["id"].to_pylist()}
    order = sorted(of, key=lambda id: (place[id], id))
    separator = {"lines": "\n", "paragraphs": "\n\n"}[unit]
    expected = reference(of, order, separator, params["min_chars"], numbers)
    for row in found:
        assert (row["text"], row["n_lines"], row["n_lines_removed"], row["reject"]) == expected[row["id"]]


def test_lines_that_differ_in_a_number_stay_unless_numbers_are_folded():
    table = docs("| 2019 | 1432 |\n| 2020 | 1518 |", "return 0;", "return 1;", "costs 1.5", "costs 15", "costs -15")
    (kept,) = run_group(LINE_DEDUP, [table], LINE_DEDUP.configure({}))
    assert kept["text"].to_pylist() == table["text"].to_pylist()
    (folded,) = run_group(LINE_DEDUP, [table], LINE_DEDUP.configure({"numbers": "fold"}))
    assert folded["n_lines_removed"].to_pylist() != [0] * 6


def test_the_keep_order_settles_whose_line_stays():
    table = docs("menu\nfirst", "menu\nsecond", stars=[1, 2])
    (found,) = run_group(LINE_DEDUP, [table], LINE_DEDUP.configure({"keep": ["-stars"]}))
    assert found["text"].to_pylist() == ["first", "menu\nsecond"]


def test_a_document_without_text_and_rare_characters_stay():
    odd = [None, "", "\n\n", "\0\x85\u2028\x0b", "...", "👩‍👩‍👧‍👦", "x" * 1_000_000]
    (found,) = run_group(LINE_DEDUP, [docs(*odd)], LINE_DEDUP.configure({}))
    assert found["text"].to_pylist() == odd
    assert found["reject"].null_count == len(odd)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_release_has_every_line_once_and_says_what_went(tmp_path, workers):
    (tmp_path / "in").mkdir()
    for name, texts in {"a": ["menu\nfirst page", "menu"], "b": ["MENU!\nsecond page\nfirst page"]}.items():
        rows = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (tmp_path / "in" / f"{name}.jsonl").write_text(rows)
    (tmp_path / "m.yaml").write_text(
        "name: lines\nversion: 0.1.0\nlicense: other\n"
        "sources: {pages: {inputs: [in], columns: {text: text}}}\n"
        "stages: [{line_dedup: {}}, {length: {min_words: 0}}]\n"
        "shards: {columns: [n_lines_removed, n_chars]}\n"
    )
    released = curate.run(tmp_path / "m.yaml", tmp_path / "work", workers=workers)
    rows = pq.read_table(next((released.path / "data").rglob("*.parquet"))).to_pylist()
    published = [line for row in rows for line in row["text"].split("\n")]
    assert len(published) == len({plain(line) for line in published})
    assert {plain(line) for line in published} == {"menu", "first page", "second page"}
    assert all(row["n_chars"] == len(row["text"]) for row in rows)  # later stages see the text as it is now
