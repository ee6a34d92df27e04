"""Every stage there is obeys the laws, without its author's doing."""

import csv
import io
import json
import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from models import FOLDER, model
from pictures import held, picture
from small_tokenizers import small_tokenizer

from curate.documents import hashes128
from curate.sources.format_api import format_of, formats
from curate.stage_api import Step, find_stage, group, reject, set_column, stage, stage_homes
from curate.testing import (
    HOSTILE,
    LAWS,
    check,
    declared,
    docs,
    hostile_docs,
    order_free,
    reads_anything,
    row_local,
    run_group,
    unharmed,
    verdicts,
)

PROSE = (
    "The committee met on Tuesday to consider the report, and it agreed that the work should go on.\n"
    "It was said that a second meeting would be needed before the end of the year.\n"
)
TEXTS = (
    PROSE * 8,
    PROSE.upper() * 3,
    "Der Ausschuss trat am Dienstag zusammen, um über den Bericht zu beraten. " * 12,
    "委员会于星期二开会审议报告。" * 30,
    "def add(a, b):\n    return a + b\n\n" * 20,
    "Write to jane.doe@example.org or call 8.8.8.8 now!\n" * 6,
    "• one\n• two\n• three...\n" * 10,
    "lorem ipsum dolor { sit } amet javascript",
    "e\u0301 \r\n\u2028 \x07",
    "",
    None,
    PROSE * 8,
    "lorem ipsum  Dolor { sit } amet, javascript",
)
PAGE = "<html><title>{0}</title><body><h1>{0}</h1><p>" + PROSE * 3 + "</p></body></html>"
PAYLOADS = (
    *((PAGE.format("Minutes").encode(), status, kind) for status in (200, 404) for kind in ("text/html", None)),
    (PAGE.format("Größe").encode("latin-1"), 200, "text/html"),
    (b"<title>Page not found</title><p>Sorry.", 200, "text/html"),
    (b"%PDF-1.4 ...", 200, "text/html"),
    (b"\x89PNG\r\n\x1a\n", 200, "image/png"),
    (b"alert(1)", 200, "text/javascript"),
    (b"\x00\x01\x02\x03", 200, "text/html"),
    (b"", 200, "text/html"),
    (b'<meta name="robots" content="noindex, noai"><p>Words.', 200, "text/html"),
    (None, None, None),
)
URLS = ("http://www.example.org/the-committee", "https://a.example.com/Report/2", "", None, "not an address", "//[::1")
LIST = str(Path(FOLDER.name) / "list")
Path(LIST).write_text("example.com\ncommittee\nreport\n")

ASKED = Path(FOLDER.name) / "asked.txt"
ASKED.write_text("www.example.org\nhttps://a.example.com/Report/2\n" + "0" * 32 + "\n")
QUESTIONS = Path(FOLDER.name) / "questions.jsonl"
QUESTIONS.write_text(json.dumps({"question": PROSE.split("\n")[1]}) + "\n")

TURNS = [
    text and [{"role": "user", "content": text[:40]}, {"role": "assistant", "content": text[:300]}] for text in TEXTS
]
CALLS = json.dumps({"messages": [None, {"tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]})
CONVERSATIONS = {
    "messages": [*TURNS[:4], [{"role": "bot", "content": None}], [], *TURNS[6:]],
    "chosen": TURNS,
    "rejected": [*TURNS[:5], *TURNS[:-5]],
    "extras": [CALLS, "[", None, *[None] * (len(TEXTS) - 3)],
    "tools": ["[]", None, "{", *[None] * (len(TEXTS) - 3)],
    "group": [None, *["a", "b", ""] * 4],
}

PARAMS = {
    "annotate": [{"function": "annotations:dashes", "adds": {"n_dashes": "int32"}}],
    "datatrove": [{"block": "datatrove.pipeline.filters.FineWebQualityFilter"}],
    "signals": [{}, {"only": ["n_words", "upper_case_share"], "stop_words": ["der", "die"]}],
    "gopher_quality": [{}, {"min_words": None, "min_stop_words": 0, "max_mean_word_length": 4.5}],
    "gopher_repetition": [{}, {"max_duplicate_lines": None, "max_duplicate_paragraphs": None}],
    "c4": [{}, {"terminal_punctuation": False, "min_sentences": 0}, {"min_words": 0, "curly_bracket": False}],
    "fineweb": [{}, {"max_duplicate_line_characters": 1.0, "short_line": 10}],
    "dclm_heuristics": [{}, {"min_words": 0, "max_duplicate_lines": None, "max_removed_words": 1.0}],
    "filter": [{"short": "length(text) < 20", "no_name": "url is null and position = 3"}],
    "length": [{"min_chars": 10, "max_chars": 2000}],
    "normalize": [{}, {"strip_lines": True, "max_newlines": 1}],
    "extract": [{}, {"extractor": "curate"}, {"main_content": False, "links": True, "skip_elements": ["h1"]}],
    "decontaminate": [
        {"sets": {"prose": {"path": str(QUESTIONS), "columns": ["question"]}}},
        {"sets": {"prose": {"path": str(QUESTIONS), "columns": ["question"], "answer": "question"}}, "rule": "strict"},
        {
            "sets": {"prose": {"path": str(QUESTIONS), "columns": ["question"]}},
            **{"rule": "ngrams", "n": 4, "share": 0.2, "mode": "mark"},
        },
    ],
    "language": [{"model": str(model(("hq", "cc", "fr"), loss="hs")), "keep": ["hq"], "probabilities": ["fr"]}],
    "quality": [{"model": str(model()), "min_score": 0.5}, {"model": {"a": str(model()), "b": str(model(loss="ova"))}}],
    "conversation": [{}, {"roles": ["bot"], "order": False, "last": "any", "tools": False, "max_phrases": None}],
    "preference": [{}, {"same_prompt": False}],
    "keep_best": [{"order": ["-n_bytes"]}, {"order": ["position", "meta.a"], "by": "url", "count": 2}],
    "near_dedup": [{}, {"of": "user", "keep": ["-position"], "counts": "url"}],
    "substring_dedup": [{}, {"min_bytes": 32, "boundary": "line", "max_share": 0.5, "keep": ["-position"]}],
    "exact_dedup": [{}, {"of": "assistant", "counts": "source"}, {"by": "normalized_text", "keep": ["-position"]}],
    "removed": [{"lists": {"asked": str(ASKED)}}],
    "code": [{}, {"licenses": ["permissive"], "languages": ["Python"], "name": "url", "min_alphanumeric": 0.6}],
    "bucket": [{"column": "position"}, {"column": "n_bytes", "buckets": [40, 95], "within": "url", "name": "size"}],
    "keep_top": [{"fraction": 0.3, "column": "position"}, {"fraction": 0.5, "column": "n_bytes", "by": "source"}],
    "select": [
        {"count": 5, "order": ["-n_bytes"], "by": "minhash"},
        {"count": 3, "order": ["-position", "url"], "by": "host"},
        {"count": 99, "order": [], "by": "url", "at_most": True},
        {"count": 6, "order": ["-position"]},
    ],
    "robots": [{}, {"rules": ["noai"], "agents": ["ccbot"]}],
    "images": [{}, {"mark": None, "max_width": 40, "formats": ["png"]}],
    "image_dedup": [{}, {"distance": None, "keep": ["-position"]}, {"distance": 8}],
    "tokens": [{"tokenizer": small_tokenizer()}],
    "verify_math": [{}, {"gold": "text", "mode": "mark"}, {"gold": "position|url", "regex": "(.)", "max_chars": 99}],
    "url_filter": [{"domains": [LIST], "urls": [LIST], "strict_words": [LIST], "soft_words": [LIST], "lists": "dclm"}],
}
"""Parameters to try a stage with, where its defaults are not enough."""


def table_for(name: str) -> pa.Table:
    if name in ("images", "image_dedup"):
        table = docs(*(f"{'<image>' * (n % 3)} {n}" for n in range(18)), images=[held(*row) for row in pictures_of(18)])
        stage = find_stage("images")
        return table if name == "images" else stage(table, **stage.configure({})).drop_columns("reject")
    if name not in ("extract", "robots"):
        return docs(*TEXTS, url=list(islice(cycle(URLS), len(TEXTS))), **CONVERSATIONS)
    payloads, statuses, types = zip(*PAYLOADS, strict=True)
    texts = [None] * (len(PAYLOADS) - 1) + ["from a WET file"]
    charsets = [None] * len(PAYLOADS)
    return docs(*texts, payload=payloads, http_status=statuses, content_type=types, charset=charsets)


def pictures_of(rows: int) -> list[list[bytes | None]]:
    """No picture, one or two in turn; some equal, some alike, some broken, one missing."""
    one = [picture(n % 5, 40 + n % 2 * 8, 30, ("PNG", "JPEG")[n % 2]) for n in range(2 * rows)]
    one[3], one[5], one[7] = b"", one[4][:200], None
    return [one[2 * n : 2 * n + n % 3] for n in range(rows)]


def cases(kind: str) -> list:
    found = []
    for name in sorted(stage_homes()):
        if find_stage(name).kind == kind:
            found += [pytest.param(name, params, id=name) for params in PARAMS.get(name, [{}])]
    return found


def configured(name: str, params: dict):
    return find_stage(name), table_for(name), find_stage(name).configure(params)


def run(name: str, params: dict) -> pa.Table:
    stage, table, params = configured(name, params)
    return stage(table, **params) if stage.kind == "map" else run_group(stage, [table], params)[0]


@pytest.fixture(scope="module")
def elsewhere():
    """A new interpreter, with hashes of strings salted otherwise."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("law", LAWS["map"])
@pytest.mark.parametrize(("name", "params"), cases("map"))
def test_map_stage(law, name, params):
    law(*configured(name, params))


@pytest.mark.parametrize("law", LAWS["group"])
@pytest.mark.parametrize(("name", "params"), cases("group"))
def test_group_stage(law, name, params):
    law(*configured(name, params))


@pytest.mark.parametrize(("name", "params"), [*cases("map"), *cases("group")])
def test_same_in_a_fresh_process(name, params, elsewhere):
    assert elsewhere.submit(run, name, params).result().equals(run(name, params))


def records(kind: str) -> bytes:
    """A record of each hostile value, in its header too."""
    found = []
    for number, value in enumerate(HOSTILE):
        data, url = value.encode(), re.sub(r"\s", "", value)[:300].encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=" + url + b"\r\nContent-Encoding: gzip\r\n\r\n"
        block = data if kind == "conversion" else head * (number % 2) + data
        if kind == "arc":
            found.append(b"http://e.example/" + url + b" 1.1.1.1 20250101000000 text/html %d\n" % len(block))
            found.append(block + b"\n")
            continue
        head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:{number}>\r\nContent-Length: {len(block)}\r\n"
        type_of = b"text/plain" if kind == "conversion" else b"application/http; msgtype=response"
        found.append(head.encode() + b"WARC-Target-URI: " + url + b"\r\nContent-Type: " + type_of + b"\r\n\r\n")
        found.append(block + b"\r\n\r\n")
    return b"".join(found)


def lines() -> bytes:
    values = [*HOSTILE, "\ud800", "\udfff\ud800"]
    rows = [{"text": value, "url": value, value[:99]: [value[:99]], "date": {value[:99]: None}} for value in values]
    rows += [{value[:99]: value[:99]} for value in values]
    return "\n".join([*map(json.dumps, rows), *map(repr, HOSTILE), *HOSTILE_JSON]).encode() + b"\n"


HOSTILE_JSON = ["[" * 99_999, '{"a":' * 99_999, '{"text": ' + "9" * 99_999 + "}", '{"text": NaN}', "nul", '"\\ud8']
HOSTILE_JSON += ['{"text": "a", "url": 1e999, "date": -0.0, "x": ' + "9" * 9_999 + "}", "{}", '{"text": {"text": {}}}']


def table_in_text() -> bytes:
    """A row of each hostile value, quoted, in all columns; then each as it is, on a line of its own."""
    sink, columns = io.StringIO(), ["text", "url", "date", "x\0\n["]
    csv.writer(sink).writerows([columns, *([value] * len(columns) for value in HOSTILE)])
    bare = [re.sub(r'[\r\n"]', "", value) + ',"' * (number == 3) for number, value in enumerate(HOSTILE[:4])]
    return sink.getvalue().encode() + "\n".join(bare).encode()


NAMES = ["a.warc", "a.warc.wet", "a.arc", "a.jsonl", "a.parquet", "a.json", "a.csv", "a.txt", "a.html"]


def test_every_reader_is_held_to_the_law():
    assert {format_of(name, b"[") for name in NAMES} == {*formats()}


@pytest.mark.parametrize("name", NAMES)
def test_no_reader_is_harmed_by_what_strangers_write(tmp_path, name):
    path, rows = tmp_path / name, len(HOSTILE)
    if name == "a.json":
        values = [*lines().splitlines()[: 2 * len(HOSTILE)], b'{"text": "a", "x": [[["b"]]]}', b"nul", b'"a"', b"1e999"]
        path.write_bytes(b"[" + b",\n".join(values) + b"]")
        rows = len(values)
    elif name == "a.csv":
        path.write_bytes(table_in_text())
        rows = len(HOSTILE) + 4
    elif name in ("a.txt", "a.html"):
        path.write_bytes("\n".join(HOSTILE).encode())
        rows = 1
    elif name == "a.jsonl":
        path.write_bytes(lines())
        rows = path.read_bytes().count(b"\n")
    elif name == "a.parquet":
        hostile = hostile_docs().drop_columns(["position", "n_bytes"])
        pq.write_table(hostile.append_column("x\0\n[", [[{value[:9]: [value]} for value in HOSTILE]]), path)
    else:
        kind = {"a.warc": "response", "a.warc.wet": "conversion", "a.arc": "arc"}[name]
        path.write_bytes(records(kind))
    reads_anything(path, rows, format_of(name, b"["))


# The laws must be able to fail: one stage that breaks each.


def broken(function):
    return stage(version=1)(function)


def shouts(docs: pa.Table) -> pa.Table:
    """Change what is not declared.

    Reads: text
    """
    return set_column(docs, "text", pc.utf8_upper(docs["text"]))


def counts_rows(docs: pa.Table) -> pa.Table:
    """Look at other rows.

    Reads: text
    Adds: n_rows (int64, rows)
    """
    return docs.append_column("n_rows", pa.array([docs.num_rows] * docs.num_rows, pa.int64()))


def peeks(docs: pa.Table) -> pa.Table:
    """Read what is not declared.

    Reads: text
    Adds: n (int32, characters)
    """
    other = docs["source"] if "source" in docs.column_names else docs["text"]
    return docs.append_column("n", pc.utf8_length(other))


def secret(docs: pa.Table) -> pa.Table:
    """Give a reason that is not declared.

    Reads: text
    """
    return reject(docs, because=pc.is_null(docs["text"]))


def fragile(docs: pa.Table) -> pa.Table:
    """Take every text for a number.

    Reads: text
    """
    return docs.append_column("n", pc.cast(docs["text"], pa.int64()))


def test_a_stage_that_hostile_values_break_is_found():
    with pytest.raises(pa.ArrowInvalid):
        unharmed(broken(fragile), docs("1", "2"), {})


@pytest.mark.parametrize(
    ("function", "law"),
    [(shouts, declared), (peeks, declared), (secret, declared), (counts_rows, row_local)],
)
def test_a_law_broken_is_found(function, law):
    with pytest.raises(AssertionError):
        law(broken(function), docs(*TEXTS), {})


@group(version=1)
def first_seen(*, bins: int = 2) -> list[Step]:
    """Keep whichever copy comes first, which no order decides.

    Reads: text
    Reasons: copy
    """

    def keys(docs: pa.Table) -> pa.Table:
        key, _ = hashes128(docs["text"])
        rows = docs.select(["doc"]).append_column("key", pa.array(key))
        return rows.append_column("bin", pa.array((key % np.uint64(bins)).astype(np.uint32)))

    def decide(rows: pa.Table) -> pa.Table:
        _, first = np.unique(rows["key"].to_numpy(), return_index=True)
        copies = np.setdiff1d(np.arange(rows.num_rows), first)
        return rows.select(["doc"]).take(pa.array(copies)).append_column("reject", pa.repeat("copy", len(copies)))

    return [Step(keys, "docs", bins), Step(decide, "bins")]


def test_a_group_stage_that_depends_on_order_is_found():
    with pytest.raises(AssertionError, match="order"):
        order_free(first_seen, docs(*TEXTS), {"bins": 2})


def test_a_group_stage_that_does_not_declare_its_reason_is_found():
    def silent(*, bins: int = 2) -> list[Step]:
        """Reject copies.

        Reads: text
        """
        return first_seen(bins=bins)

    with pytest.raises(AssertionError, match="reasons"):
        verdicts(group(version=1)(silent), docs(*TEXTS), {"bins": 2})


def test_check_runs_all_laws_of_a_stage_by_its_name():
    check("length", docs(*TEXTS), {"min_words": 3})
