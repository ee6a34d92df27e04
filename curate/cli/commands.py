"""One function per verb, and the order of verbs in `--help`.

Each parses, calls the library's function of the same name, and renders. The verbs that take a release are in
`curate.cli.release_commands`.

What a command finds goes to stdout, talk goes to stderr. `--json` makes stdout one JSON object.
"""

import os
import sys
import traceback
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.base.redact import in_error
from curate.base.terminal import say, show_json
from curate.cli import release_commands  # noqa: F401 (its verbs register themselves)
from curate.cli.verbs import (
    WORK,
    AllowCode,
    Json,
    ManifestArgument,
    PlaceArgument,
    ProfileFile,
    Scheduler,
    Set,
    Work,
    Workers,
    app,
    command,
    loaded,
    obey,
)
from curate.errors import refusal

if TYPE_CHECKING:
    from curate.manifest.manifest import Manifest

ORDER = (
    "demo init fetch plan run report status explain sample query "
    "verify publish remove diff gc train calibrate compare doctor"
)
"""Of the verbs in `curate --help`."""


@command
def demo(
    folder: Annotated[Path, typer.Argument(help="folder for the corpus, the manifest and the results")] = Path(
        "curate-demo"
    ),
    workers: Workers = None,
    as_json: Json = False,
):
    """Build a release from files bundled with Python. Works offline; no input needed."""
    from curate.demo_corpus import language_model, make_demo, recipe_of
    from curate.inspect.making import train

    path = make_demo(folder)
    say(f"corpus and manifest: {folder}")
    if not language_model():
        say("no language identification: lid.176.ftz is not in CURATE_MODEL_DIR or the cache (optional)")
    trained = train(recipe_of(folder), folder / "work", workers=0)
    say(f"classifier: {trained.path}, ROC-AUC {trained.metrics['roc_auc']:.3f} on held-out documents")
    result, lines, code = _release(str(path), folder / "work", workers, None, replace=True)
    return result, [*lines, f"run it again: curate run {path} --work {folder / 'work'}"], code


@command
def init(
    path: Annotated[Path, typer.Argument(help="manifest to write")] = Path("manifest.yaml"),
    inputs: Annotated[list[str] | None, typer.Option("--input", help="file, glob, folder or URL; repeatable")] = None,
    as_json: Json = False,
):
    """Inspect the inputs and write a commented manifest for them."""
    from curate.cli.render import looked_lines
    from curate.inspect.starter import init

    found = init(path, inputs or [])
    result = {"manifest": str(path), "sources": [asdict(one) for one in found]}
    return result, [*looked_lines(found), f"wrote {path}", f"next: curate plan {path}"], 0


@command
def fetch(manifest: ManifestArgument, settings: Set = None, as_json: Json = False):
    """Download the models and lists that a manifest needs. Includes tokenizers and evaluation sets, not inputs."""
    from curate.cli.render import size
    from curate.inspect.fetch import fetch

    found = fetch(loaded(manifest, settings))
    lines = [f"{file['stage']}: {file['path']}, {size(file['bytes'])}" for file in found]
    return {"files": found}, lines or ["this manifest needs no files besides its inputs"], 0


@command
def plan(manifest: ManifestArgument, settings: Set = None, work: Work = WORK, as_json: Json = False):
    """Show what a run would reuse and what it would run, and why."""
    from curate.cli.render import plan_lines
    from curate.inspect.status import plan

    found = plan(loaded(manifest, settings), work)
    return found, plan_lines(found), 0


@command
def run(
    manifest: ManifestArgument,
    settings: Set = None,
    work: Work = WORK,
    workers: Workers = None,
    scheduler: Scheduler = None,
    profile: ProfileFile = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="overwrite a release of this version that has a different digest")
    ] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="write a release even if it contains no documents")
    ] = False,
    allow_code: AllowCode = None,
    as_json: Json = False,
):
    """Build the release of a manifest. Earlier results are reused; interrupted runs resume."""
    return _release(loaded(manifest, settings), work, workers, scheduler, replace, allow_empty, allow_code, profile)


def _release(
    manifest: "str | Manifest",
    work: Path,
    workers: int | None,
    scheduler: str | None,
    replace: bool = False,
    allow_empty: bool = False,
    allow_code: list[str] | None = None,
    profile: Path | None = None,
):
    from curate.cli.render import release_lines
    from curate.inspect.progress import follow
    from curate.release.make import run_events

    events = run_events(manifest, work, workers, scheduler, replace, allow_empty, allow_code or (), profile)
    released = follow(events)
    result = {"release": str(released.path), "changed": released.changed, "lock": released.lock}
    return result, release_lines(released.typed, released.path, released.changed), 0


@command
def status(manifest: ManifestArgument, settings: Set = None, work: Work = WORK, as_json: Json = False):
    """Show the progress of a run. Includes how many documents each stage has kept so far."""
    from curate.cli.render import status_lines
    from curate.inspect.status import status

    found = status(loaded(manifest, settings), work)
    return found, status_lines(found), 0


@command
def explain(
    place: Annotated[str, typer.Argument(metavar="MANIFEST", help="a manifest that has run, or a release")],
    document: Annotated[str, typer.Argument(help="id, the first digits of an id, or URL")],
    blocks: Annotated[bool, typer.Option("--blocks", help="show the verdict on each block of the page")] = False,
    settings: Set = None,
    work: Work = WORK,
    as_json: Json = False,
):
    """Trace one document through every stage. Ends with its shard and row, or with the reason it was rejected."""
    from curate.cli.shown_documents import explain_lines
    from curate.inspect.explain import explain
    from curate.inspect.released import is_release

    found = explain(place if is_release(place) else loaded(place, settings), document, work, blocks)
    return {"documents": found}, explain_lines(found), 0


@command
def sample(
    place: PlaceArgument = None,
    stage: Annotated[str | None, typer.Option(help="documents that this stage rejected")] = None,
    reason: Annotated[str | None, typer.Option(help="documents that were rejected for this reason")] = None,
    source: Annotated[str | None, typer.Option(help="documents of this source")] = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="rejected documents, whatever the reason")] = False,
    near: Annotated[
        str | None,
        typer.Option(metavar="STAGE.PARAMETER", help="documents near this threshold, such as length.min_words"),
    ] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="near-duplicates, each with the document that was kept")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="number of documents")] = 10,
    html: Annotated[Path | None, typer.Option(help="write them to this file, as a page for the browser")] = None,
    settings: Set = None,
    work: Work = WORK,
    as_json: Json = False,
):
    """Show documents of a release or a run, and what decided on each. The same ones every time."""
    from curate.cli.shown_documents import sample_lines
    from curate.inspect.released import is_release
    from curate.inspect.sample import sample
    from curate.inspect.sampled_page import write_page

    where = loaded(place, settings) if place and not is_release(place) else place
    asked = {"stage": stage, "reason": reason, "source": source, "rejected": rejected, "near": near, "pairs": pairs}
    found = sample(where, work, **asked, limit=limit)
    if html:
        write_page(html, found, place or str(work), asked)
    return {"documents": found}, [f"wrote {html}"] if html else sample_lines(found), 0


class Format(StrEnum):
    """How a table is printed."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


@command
def query(
    sql: Annotated[str, typer.Argument(help="one SELECT in DuckDB's SQL")],
    place: PlaceArgument = None,
    format: Annotated[Format, typer.Option(help="table, csv, json (one object per line) or parquet")] = Format.table,
    work: Work = WORK,
    as_json: Json = False,
):
    """Ask a release, or the results of a manifest, in SQL. Tables: documents, rejected, near_duplicates, and others."""
    from curate.cli.answers import answer_lines, write_answer
    from curate.inspect.query import query

    found = query(sql, place, work)
    if as_json or not write_answer(found, format):
        return {"columns": found.column_names, "rows": found.to_pylist()}, answer_lines(found, format), 0
    return {}, (), 0


@command
def gc(
    manifests: Annotated[list[str], typer.Argument(help="keep cached results used by these manifests")],
    work: Work = WORK,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be removed")] = False,
    as_json: Json = False,
):
    """Delete cached results that none of the given manifests uses."""
    from curate.cli.render import size
    from curate.inspect.status import gc

    found = gc(manifests, work, dry_run)
    verb = "would remove" if dry_run else "removed"
    lines = [f"  {path}" for path in found["paths"]] if dry_run else []
    return (
        found,
        [*lines, f"{verb} {found['removed']:,} cached results, {size(found['bytes'])}; kept {found['kept']:,}"],
        0,
    )


@command
def train(
    recipe: Annotated[str, typer.Argument(help="path of a recipe, or the name of a built-in one")],
    work: Work = WORK,
    workers: Workers = None,
    scheduler: Scheduler = None,
    profile: ProfileFile = None,
    allow_code: AllowCode = None,
    as_json: Json = False,
):
    """Train a classifier or a main-content model. Does nothing if the same inputs already produced one."""
    from curate.cli.render import trained_lines
    from curate.inspect.making import train

    trained = train(recipe, work, workers=workers, scheduler=scheduler, allow_code=allow_code or (), profile=profile)
    result = {"classifier": str(trained.path), "changed": trained.changed, "lock": trained.lock}
    return result | {"metrics": trained.metrics}, trained_lines(trained), 0


@command
def doctor(work: Work = WORK, as_json: Json = False):
    """Check this machine: Python, packages, memory, disk, models. Exits with 1 if something is missing."""
    from curate.inspect.doctor import doctor

    checks = doctor(work)
    lines = [f"{'ok  ' if check['ok'] else 'FAIL'} {check['name']}: {check['found']}" for check in checks]
    lines += [f"fix: {check['fix']}" for check in checks if not check["ok"]]
    return {"checks": checks}, lines, 0 if all(check["ok"] for check in checks) else 1


app.registered_commands.sort(key=lambda verb: ORDER.index(verb.name or ""))


def main() -> None:
    """Run the command line. Exit codes: 0 done; 1 a check found something; 2 your input is wrong; 3 stopped, can be
    resumed; 70 our bug."""
    as_json = "--json" in sys.argv
    for stream in (sys.stdout, sys.stderr):  # a name of a file or a text may hold what the terminal cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(obey(app))
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # a library in Rust that panics raises no Exception
        known = refusal(error)
        if known is None or os.environ.get("CURATE_DEBUG"):
            say(in_error(traceback.format_exc()))
        if known is None:
            say("this is a bug in curate: please report it with the lines above")
            sys.exit(70)
        notes = getattr(known, "__notes__", [])
        if as_json:
            show_json({"error": known.as_dict() | ({"notes": notes} if notes else {})})
        for note in notes:
            say(f"{note}\n")
        say(str(known))
        sys.exit(known.exit_code)


if __name__ == "__main__":
    main()
