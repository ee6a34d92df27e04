"""A program that uses the library, for `test_types.py`: mypy must find all of it sound, and what is ignored wrong."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

import curate


@curate.stage(version=1)
def short(docs: pa.Table, *, characters: int = 80) -> pa.Table:
    """Reject short documents.

    Reads: text
    Reasons: short
    """
    return curate.reject(docs, short=pc.less(pc.utf8_length(docs["text"]), characters))


def release_of(manifest: str) -> str:
    curate.load(manifest)
    made: curate.Release = curate.run(manifest, "work", workers=0, allow_code=["own.stages"], progress=False)
    if problems := made.verify():
        raise problems[0]
    table: pa.Table = made.query("select source, count(*) as n from documents group by source")
    return f"{made.name} {made.version} {made.digest} {table.num_rows} {made.documents('train').count_rows()}"


def look(folder: Path) -> str | None:
    try:
        opened = curate.open_release(folder)
    except curate.Stopped as error:
        return error.fix
    except curate.CurateError as error:
        return f"{error.what}, {error.where}"
    tried: pa.Table = curate.apply_stages(["a text", None], ["length", {"filter": {"long": "n_bytes > 9"}}])
    again: pa.Table = curate.apply_stages(tried, ["normalize"])
    return f"{opened.card} {again.num_rows} {curate.status(folder / 'manifest.yaml', 'work')['jobs']}"


def others(manifest: Path) -> None:
    for event in curate.run_events(manifest, workers=2):
        print(event)
    print(curate.plan(manifest, "work")["estimate"])
    curate.init("manifest.yaml", ["crawl/*.warc.gz"])
    print(curate.train("recipe.yaml", progress=False).metrics)
    curate.fetch(manifest)
    print(curate.remove("release", ids="ids.txt").version, curate.diff("old", "new")["bump"])
    curate.publish(Path("release"), dry_run=True)
    curate.report("release").read_text()
    curate.doctor()
    curate.explain(manifest, "https://a.example/", "work")
    curate.gc([str(manifest)], "work", dry_run=True)
    curate.calibrate("work/releases/a/1.0.0", "awq", sequences=8).lock["digest"]
    curate.compare("one", Path("two"))["distance"]


def wrong() -> None:
    curate.runn("manifest.yaml")  # type: ignore[attr-defined]
    curate.run("manifest.yaml", wrokers=2)  # type: ignore[call-arg]
    curate.run(["manifest.yaml"])  # type: ignore[arg-type]
    print(curate.open_release("work").digests)  # type: ignore[attr-defined]
    curate.apply_stages(["a text"], [1])  # type: ignore[list-item]
