"""Helpers for testing stages, built-in or third-party: small document tables, and checks of invariants.

    from curate.testing import check, docs

    def test_my_stage():
        check("my_stage", docs("some text", "another"), {"threshold": 0.5})

A map stage is row-local under every split and order, keeps to what its docstring declares, never drops a row and
takes any text. A group stage gives every document the same verdict in whatever order and partitions they come. Neither
is harmed by what strangers write, and no reader is either: see `reads_anything`.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.base.messages import IMAGES
from curate.documents import COLUMNS, COUNTED, MORE, TALLY, TRANSIENT, document_id
from curate.sources import File, Origin
from curate.sources.format_api import format_for
from curate.stage_api import Stage, Step, arrow_type, find_stage, set_column

ODD_TEXTS = (
    None,
    "",
    " \t\n ",
    "\0",
    "a\0b\x01\x1b[0m",
    "\ufeff\ufffd\ufffe\ud7ff\ue000\U0010ffff",
    "e\u0301\u0301\u0345 \u1100\u1161\u11a8",
    "\u200d\u200b\u202e\u2028 \u0661 ﷺ",
    "\r\n\r\n\r\v\f\x85",
    "👩‍👩‍👧‍👦🇩🇪",
    "中文没有空格。" * 50,
    "- \n" * 500,
    "http://[::1 <p>&#xD800;</p>",
    "x" * 5_000_000,
)
"""Texts that a stage must take: empty, controls, broken and rare characters, one line of 5 MB."""

_MANY = 20_000
HOSTILE = (
    "[" * _MANY,
    '{"a":' * _MANY + "1" + "}" * _MANY,
    "9" * _MANY,
    "1e999999 -0 1_0 ٣٫٤ 0x" + "f" * _MANY,
    "http://" + "a." * _MANY + "//[::1]:99999999/%zz?%00#\\",
    "//[::1 http://[ http://user:pw@ http://\u202e/ ftp://" + "@" * _MANY,
    "http://e.example/a?b=c\n" * 2000,
    "a@" * _MANY,
    "a@b.example " * 2000,
    "1." * _MANY,
    "+1 (555) 010-" * 2000,
    "10.0.0.1 " * 2000,
    "- a\n" * _MANY,
    "\n" * _MANY,
    " " * _MANY + "x",
    "\x00\x01\x1b[2J\x7f\x85" * 2000,
    "\u202e\u2066مرحبا" * 2000,
    "e" + "\u0301\u0345\u0489" * _MANY,
    "\u200d\ufeff\u2028\U000e0001" * 2000,
    "<div>" * _MANY,
    "<a href='" * _MANY,
    "<!--" * _MANY,
    "<p " + "a=b " * _MANY + ">",
    "&amp" * _MANY,
    "<title>" + " " * _MANY + "<script>" + "</scrip" * 2000,
    "%PDF-1.7\n" + "/* " * _MANY,
    "${" + "\\(" * _MANY,
)
"""Values that whoever means harm writes: deep, long, all marks, no words, almost addresses, almost markup."""


def docs(*texts: str | None, **columns: Iterable) -> pa.Table:
    """A document table of these texts, with all columns of `curate.documents` and distinct ids.

    columns  values by name, one a text; those of `MORE` and `TRANSIENT` get their type, any others are inferred
    """
    count = len(texts)
    columns = {
        "id": [document_id("test", "test", row) for row in range(count)],
        "source": ["test"] * count,
        "path": ["test"] * count,
        "position": range(count),
        "text": texts,
    } | columns
    known = COLUMNS | MORE | TRANSIENT
    names = [*COLUMNS, *(name for name in columns if name not in COLUMNS)]
    return pa.table(
        {
            name: pa.array(columns.get(name, [None] * count), known[name].type if name in known else None)
            for name in names
        }
    )


def check(name: str, table: pa.Table, params: dict | None = None) -> None:
    """Hold a stage to all the laws of its kind that can be seen in this process. Raises AssertionError."""
    stage, params = find_stage(name), find_stage(name).configure(params or {})
    for law in LAWS[stage.kind]:
        law(stage, table, params)


def declared(stage: Stage, table: pa.Table, params: dict) -> None:
    """It reads, adds, changes and gives as reasons what it says, and keeps every row."""
    assert stage.declared.summary, f"{stage.name} has no docstring"
    result = stage(table, **params)
    added = {name: arrow_type(alias) for name, alias in stage.adds(params).items()}
    for name in table.column_names:
        if name not in stage.declared.changes and name not in added:
            assert result[name].equals(table[name]), f"{stage.name} changes {name} without declaring it"
    new = [name for name in result.column_names if name not in table.column_names and name not in ("reject", TALLY)]
    assert set(new) <= set(added), f"{stage.name} adds {new} but declares {list(added)}"
    for name, kind in added.items():
        assert result.schema.field(name).type == kind, f"{stage.name} adds {name} with a type other than {kind}"
    given = set(pc.unique(_reasons(result)).drop_null().to_pylist())
    assert given <= set(stage.reasons(params)), f"{stage.name} uses undeclared reasons: {given}"
    reads = [name for name in stage.reads(params) if name in table.column_names]
    narrow = stage(table.select(reads), **params)
    _assert_same(result.select(narrow.column_names), narrow, f"{stage.name} reads more columns than it declares")


def row_local(stage: Stage, table: pa.Table, params: dict) -> None:
    """Row i of the result depends on row i alone: any split, order or chunking gives the same."""
    whole = stage(table, **params)
    count = table.num_rows
    alone = pa.concat_tables([stage(table.slice(row, 1), **params) for row in range(count)])
    _assert_same(whole, alone, f"{stage.name} depends on other rows")
    order = np.random.default_rng(0).permutation(count)
    shuffled = stage(table.take(pa.array(order)), **params)
    _assert_same(whole.take(pa.array(order)), shuffled, f"{stage.name} depends on the order of rows")
    chunked = pa.concat_tables([table.slice(0, count // 3), table.slice(count // 3)])
    _assert_same(whole, stage(chunked, **params), f"{stage.name} depends on how the table is chunked")


def total(stage: Stage, table: pa.Table, params: dict) -> None:
    """It takes a table without rows, and any text."""
    empty = stage(table.slice(0, 0), **params)
    assert empty.num_rows == 0
    full = stage(table, **params)
    assert [(field.name, field.type) for field in empty.schema] == [(f.name, f.type) for f in full.schema]
    odd = table.take(pa.array(np.arange(len(ODD_TEXTS)) % table.num_rows))
    odd = set_column(odd, "text", pa.array(ODD_TEXTS, pa.string()))
    assert stage(odd, **params).num_rows == len(ODD_TEXTS)


def unharmed(stage: Stage, table: pa.Table, params: dict) -> None:
    """It takes whatever strangers write, in any column: raises nothing, keeps every row, and gives declared reasons."""
    hostile = hostile_docs()
    result = stage(hostile, **params) if stage.kind == "map" else run_group(stage, [hostile], params)[0]
    assert result.num_rows == hostile.num_rows, f"{stage.name} loses rows"
    _assert_as_declared(stage, result, params)


def hostile_docs() -> pa.Table:
    """A document table of the texts of HOSTILE; its other columns, payloads too, hold them as well."""
    turned = [*HOSTILE[1:], HOSTILE[0]]
    short = [value[:500] for value in turned]
    columns = {"url": turned, "date": short, "language": short, "license": short, "meta": short}
    turns = [[{"role": value[:9], "content": value}, {"role": "assistant", "content": value}] for value in HOSTILE]
    columns |= {"messages": turns, "chosen": turns, "rejected": turns[::-1], "extras": turned, "tools": turned}
    columns |= {"group": short}
    columns |= {"payload": [value.encode() for value in HOSTILE], "http_status": [200] * len(HOSTILE)}
    named = ["text/html" if row % 2 else value for row, value in enumerate(short)]
    columns |= {
        "path": short,
        "content_type": named,
        "identified_type": named[::-1],
        "charset": short,
        "robots": turned,
    }
    pictures = pa.array([[{"bytes": value.encode(), "path": value}] for value in short], IMAGES)
    hashed = {
        "image_digests": [[value] for value in short],
        "image_hashes": pa.array([[2**64 - 1]] * len(short), _HASHES),
    }
    return docs(*HOSTILE, **columns, images=pictures, **hashed)


_HASHES = pa.list_(pa.uint64())


def order_free(stage: Stage, table: pa.Table, params: dict) -> None:
    """Verdicts on documents do not depend on their order, on partitions, or on the number of bins."""
    expected = _by_id(run_group(stage, [table], params))
    for seed, cuts in enumerate(((), (0.5,), (0.2, 0.2, 0.9))):
        rows = np.random.default_rng(seed).permutation(table.num_rows)
        parts = np.split(rows, [int(cut * len(rows)) for cut in cuts])
        partitions = [table.take(pa.array(part)) for part in parts]
        for bins in (1, 5) if "bins" in params else (None,):
            varied = params if bins is None else params | {"bins": bins}
            found = _by_id(run_group(stage, partitions, varied))
            _assert_same(expected, found, f"{stage.name} depends on the order of documents")


def verdicts(stage: Stage, table: pa.Table, params: dict) -> None:
    """It adds the columns and gives the reasons that it says, and takes a table without rows."""
    assert stage.declared.summary, f"{stage.name} has no docstring"
    (result,) = run_group(stage, [table], params)
    _assert_as_declared(stage, result, params)
    (empty,) = run_group(stage, [table.slice(0, 0)], params)
    assert empty.num_rows == 0


LAWS = {"map": (declared, row_local, total, unharmed), "group": (verdicts, order_free, unharmed)}
"""The laws of each kind of stage: functions of a stage, a document table and all its parameters."""


def reads_anything(path: Path, rows: int, format: str | None = None) -> pa.Table:
    """Hold a reader to a file of hostile values that has so many rows or records: it raises nothing, gives or counts
    each of them, and gives the reasons that it declares. Returns what it read."""
    reader, origin = format_for(path.name, format), Origin("test")
    found = pa.concat_tables(reader.read(File(path.name, str(path), path.stat().st_size), origin=origin))
    given = set(pc.unique(found["reject"]).drop_null().to_pylist())
    assert given <= {*(reader.reasons or ())}, f"{reader.name} uses undeclared reasons: {given}"
    assert found.num_rows + origin.skipped.total() == rows, f"{reader.name} loses rows"
    assert len(set(found["id"].to_pylist())) == found.num_rows, f"{reader.name} assigns an id twice"
    return found


def run_group(
    stage: Stage, partitions: list[pa.Table], params: dict, priorities: list[int] | None = None
) -> list[pa.Table]:
    """Carry out the steps of a group stage in memory.

    partitions  document tables of one schema
    priorities  of each partition's source; all 0 by default

    Returns the partitions with the columns that the stage adds or changes, and `reject`.
    """
    if params.get("bins") == 0:  # by size, which is the engine's to know
        params = params | {"bins": 3}
    inputs = [_numbered(part, place, priorities) for place, part in enumerate(partitions)]
    steps = stage(**params)
    apply = steps.pop().run if steps[-1].over == "apply" else None
    rows = run_steps(steps, inputs)[-1]
    results = []
    for docs_ in inputs:
        verdicts = _sent_to(rows, docs_)
        if apply:
            verdicts = apply(docs_.drop_columns("priority"), verdicts)
        index = pc.index_in(docs_["doc"], verdicts["doc"].combine_chunks())
        docs_ = docs_.drop_columns(["doc", "priority"])
        for name in ("reject", *stage.adds(params), *stage.declared.changes):
            docs_ = set_column(docs_, name, verdicts[name].take(index))
        results.append(docs_)
    return results


def run_steps(steps: list[Step], inputs: list[pa.Table]) -> list[pa.Table]:
    """What each step sends on. inputs: the partitions, with `doc` and `priority`."""
    sent: list[pa.Table] = []
    for step, before in zip(steps, [None, *steps], strict=False):
        rows = sent[-1] if sent else None
        if step.over == "docs":
            seen = [
                docs_ if step.reads is None else docs_.select(["doc", *_read_of(docs_, step.reads)]) for docs_ in inputs
            ]
            found = [step.run(docs_, *([] if rows is None else [_sent_to(rows, docs_)])) for docs_ in seen]
        elif step.over == "all":
            found = list(step.run(iter([rows]), np.array([docs_.num_rows for docs_ in inputs], np.int64)))
        else:
            bin = rows["bin"].to_numpy() % rows["bin"].type.to_pandas_dtype()(before.bins)
            each_bin = (rows.filter(pa.array(bin == number)).sort_by("doc") for number in range(before.bins))
            found = [step.run(rows) for rows in each_bin]
        sent.append(pa.concat_tables(found))
    return sent


def _read_of(docs_: pa.Table, reads: tuple[str, ...]) -> dict[str, None]:
    """What a step reads: columns of `MORE`, and counts, where there are such."""
    return {name: None for name in reads if name in docs_.column_names or name not in {*MORE, *COUNTED}}


def _numbered(docs_: pa.Table, place: int, priorities: list[int] | None) -> pa.Table:
    doc = np.arange(docs_.num_rows, dtype=np.uint64) | np.uint64(place) << np.uint64(32)
    priority = np.full(docs_.num_rows, priorities[place] if priorities else 0, np.int32)
    return docs_.append_column("doc", pa.array(doc)).append_column("priority", pa.array(priority))


def _sent_to(rows: pa.Table, docs_: pa.Table) -> pa.Table:
    return rows.filter(pc.is_in(rows["doc"], docs_["doc"].combine_chunks())).sort_by("doc")


def _by_id(partitions: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(partitions).sort_by("id")


def _assert_as_declared(stage: Stage, result: pa.Table, params: dict) -> None:
    for name, alias in stage.adds(params).items():
        found, said = result.schema.field(name).type, arrow_type(alias)
        assert found == said, f"{stage.name} adds {name} as {found} but declares {said}"
    given = set(pc.unique(_reasons(result)).drop_null().to_pylist())
    assert given <= set(stage.reasons(params)), f"{stage.name} uses undeclared reasons: {given}"


def _reasons(result: pa.Table) -> pa.ChunkedArray:
    if "reject" not in result.column_names:
        return pa.chunked_array([pa.nulls(result.num_rows, pa.string())])
    return result["reject"].cast(pa.string())


def _assert_same(left: pa.Table, right: pa.Table, message: str) -> None:
    """Equal to the bit, so that NaN is NaN and 0.0 is not -0.0."""
    assert left.schema.equals(right.schema), f"{message}: {left.schema} and {right.schema}"
    for name in left.column_names:
        a, b = left[name].combine_chunks(), right[name].combine_chunks()
        if pa.types.is_floating(a.type):
            bits = pa.int32() if a.type == pa.float32() else pa.int64()
            a, b = a.view(bits), b.view(bits)
        assert a.equals(b), f"{message}: column {name}"
