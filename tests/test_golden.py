"""The result of every stage on a small fixed corpus. A stage whose result changes raises its version.

`python tests/test_golden.py` renews `tests/golden/` once a stage's version was raised, or a stage was added.
The packages that results depend on are pinned in `tests/constraints.txt`. With another version of one, a result may
differ: the test still runs, and is expected to fail, which pytest reports with the package and both versions.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packaging.requirements import Requirement
from pictures import picture
from releases import record, release, response, rows, write_jsonl, write_manifest

from curate.base.messages import IMAGES
from curate.inspect.explain import explain
from curate.release.lock import read_lock
from curate.stage_api import find_stage, stage_homes

GOLDEN = Path(__file__).parent / "golden"
CONSTRAINTS = Path(__file__).parent / "constraints.txt"
LAYOUTS = {"conversation": "messages", "preference": "preference", "keep_best": "openr1-math"}
LAYOUTS |= {"verify_math": "prompt-completion"}
"""Of the stages that look at what is more than text."""
SOLVED = ["The answer is 2.", r"\boxed{1}", r"$\frac{0}{3}$", "?", "#### 2", "A: 1", r"The answer is $\frac{4}{2}$."]
SHAPES = {
    "messages": lambda text: {"messages": [_said("user", text[:9]), _said("assistant", text[9:])]},
    "preference": lambda text: {"prompt": text[:9], "chosen": text[9:], "rejected": text[20:]},
    "openr1-math": lambda text: {"problem": text[:3], "generations": [text, text[9:] or "?"]},
    "prompt-completion": lambda text: {"prompt": "?", "completion": SOLVED[len(text) % 7], "answer": len(text) % 3},
}
"""{layout: what makes a row of a text}"""
BESIDE = {"datatrove": ["spacy"]}
"""Packages that a result depends on besides those that the stage itself names."""
CALLS = {
    "length": {"length": {"min_words": 5}},
    "filter": {"filter": {"early": "position < 3", "long": "n_bytes > 500"}},
    "exact_dedup": {"exact_dedup": "normalized_text"},
    "keep_best": {"keep_best": {"order": ["-n_bytes"]}},
    "bucket": {"bucket": {"column": "n_bytes", "buckets": [40, 80]}},
    "keep_top": {"keep_top": {"fraction": 0.4, "column": "n_bytes"}},
    "select": {"select": {"count": 9, "order": ["-n_bytes"], "by": "minhash"}},
    "extract_curate": {"extract": {"extractor": "curate"}},
    "datatrove": {"datatrove": {"block": "datatrove.pipeline.filters.GopherQualityFilter"}},
}
MARKED_BY_NOTHING = {"images": {"mark": None}}
CALLS["images"] = MARKED_BY_NOTHING
BEFORE = {"image_dedup": [MARKED_BY_NOTHING]}
"""Stages that must stand before one."""
PAGE = "<html><head><title>{0}</title></head><body><nav>Menu</nav><main><h1>{0}</h1><p>{1}</p></main></body></html>"
ODD = ["Cafe\u0301\r\nline\u2028end", "a\x00b\x1fc", "\ufefftext", "- item\n- item\n- item", "x" * 3000]


def _said(role: str, content: str) -> dict:
    return {"role": role, "content": content}


def result_of(name: str, folder: Path) -> dict:
    """{"version", "packages", "digest"}: of all that a run with this stage says of every document."""
    texts = [row["text"] for row in rows(1, 25)] + ODD
    lines = [{"text": text, "url": f"http://a/{n % 20}"} for n, text in enumerate(texts)]
    if name in LAYOUTS:
        lines = [{"url": row["url"]} | SHAPES[LAYOUTS[name]](row["text"]) for row in lines]
    write_jsonl(folder / "in.jsonl", lines)
    pages = [response(f"http://a/{n}", PAGE.format(f"Page {n}", text)) for n, text in enumerate(texts[:8])]
    pages += [
        response("http://a/gone", "gone", "404 Not Found"),
        record("request", "http://a/", b"GET /", "text/plain"),
    ]
    pages += [response("http://a/pdf", "%PDF-1.4", kind="application/pdf"), response("http://a/void", "")]
    (folder / "in.warc.gz").write_bytes(b"".join(pages))
    pictures = [[{"bytes": picture(n // 2, 40 + n % 2, 30, "BMP"), "path": None}] for n in range(8)]
    table = {"text": texts[:8], "url": [f"http://a/{n}" for n in range(8)], "images": pa.array(pictures, IMAGES)}
    pq.write_table(pa.table(table), folder / "in.parquet")
    inputs = ["in.warc.gz"] if name.startswith("extract") else ["in.jsonl"]
    inputs = ["in.parquet"] if name.startswith("image") else inputs
    source = {"inputs": inputs, "layout": "curate"} if inputs == ["in.parquet"] else {"inputs": inputs}
    source |= {"pipeline": [*BEFORE.get(name, []), CALLS.get(name, name)]}
    source |= {"layout": LAYOUTS[name]} if name in LAYOUTS else {}
    document = {"name": "golden", "version": "1.0.0", "license": "cc0-1.0", "sources": {"only": source}}
    manifest = write_manifest(folder / "manifest.yaml", document)
    release(manifest, folder / "work")
    [*_, stage] = read_lock(folder / "work" / "releases" / "golden" / "1.0.0")["stages"]
    found = [explained for n in range(20) for explained in _of_url(manifest, f"http://a/{n}", folder / "work")]
    content = json.dumps(
        [[one["id"], one["reason"], one["steps"]] for one in found] + [stage["sources"]], sort_keys=True
    )
    digest = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
    return {"version": stage["version"], "packages": stage["packages"], "digest": digest}


def _of_url(manifest: Path, url: str, work: Path) -> list[dict]:
    from curate.errors import CurateError

    try:
        return explain(manifest, url, work)
    except CurateError:  # the archive has fewer pages
        return []


def ours() -> list[str]:
    """The stages that need no model or word list, and `extract` with the model that comes with curate."""
    stages = [name for name, home in sorted(stage_homes().items()) if home.startswith("curate.") and not _needs(name)]
    return sorted([*stages, "extract", "extract_curate"])


def _needs(name: str) -> bool:
    return find_stage(name).resources_from is not None


def pinned() -> dict[str, str]:
    """{package: version} of the constraints."""
    lines = [line for line in CONSTRAINTS.read_text().splitlines() if not line.startswith("#")]
    return {wanted.name: str(wanted.specifier).removeprefix("==") for wanted in map(Requirement, lines)}


def others(packages: dict[str, str]) -> list[str]:
    """What is installed in another version than one of these, or not at all."""
    found = []
    for name, version in packages.items():
        try:
            here = installed(name)
        except PackageNotFoundError:
            here = "not installed"
        if here != version:
            found.append(f"{name} {here} (made with {version})")
    return found


@pytest.mark.parametrize("name", ours())
def test_a_result_changes_with_its_version_alone(tmp_path, request, name):
    path = GOLDEN / f"{name}.json"
    assert path.exists(), f"run `python {__file__}` for the new stage `{name}`"
    golden = _golden(name)
    if found := others(golden["packages"] | {beside: pinned()[beside] for beside in BESIDE.get(name, [])}):
        request.applymarker(pytest.mark.xfail(reason=", ".join(found), strict=False))
    now = result_of(name, tmp_path)
    assert golden["packages"] == now["packages"]
    assert golden["version"] == now["version"], f"`{name}` has another version: run `python {__file__}`"
    assert golden["digest"] == now["digest"], (
        f"`{name}` gives another result: raise its version, run `python {__file__}`"
    )


def test_the_constraints_are_what_the_results_were_made_with():
    made_with = {name: version for one in ours() for name, version in _golden(one)["packages"].items()}
    beside = [name for names in BESIDE.values() for name in names]
    assert pinned() == made_with | {name: pinned()[name] for name in beside}


def test_another_version_is_named_and_no_version_is_too():
    here = installed("pyarrow")
    assert others({"pyarrow": here}) == []
    assert others({"pyarrow": "1.0", "no-such-package": "2.0"}) == [
        f"pyarrow {here} (made with 1.0)",
        "no-such-package not installed (made with 2.0)",
    ]


def test_with_another_version_a_golden_test_is_no_skip(tmp_path):
    """The result is compared, whatever it is; what pytest reports is the package and both versions."""
    for path in (*GOLDEN.parent.glob("*.py"), *GOLDEN.parent.glob("*.txt")):
        shutil.copy(path, tmp_path)
    golden = tmp_path / "golden" / "code.json"
    golden.parent.mkdir()
    golden.write_text(json.dumps(_golden("code") | {"packages": {"pyarrow": "1.0"}, "digest": "another"}))
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-o", "addopts=", "-rA", "test_golden.py"]
    command += ["-k", "with_its_version_alone and code"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert f"pyarrow {installed('pyarrow')} (made with 1.0)" in ended.stdout
    assert "1 xfailed" in ended.stdout


def _golden(name: str) -> dict:
    return json.loads((GOLDEN / f"{name}.json").read_text())


if __name__ == "__main__":
    for name in sys.argv[1:] or ours():
        with tempfile.TemporaryDirectory() as folder:
            (GOLDEN / f"{name}.json").write_text(json.dumps(result_of(name, Path(folder)), indent=1) + "\n")
