"""The command line: one function a verb. It parses, calls the function of the same name, and renders.

What a command finds goes to stdout, talk goes to stderr. `--json` makes stdout one JSON object.
"""

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.base.redact import in_error
from curate.base.terminal import say, show_json
from curate.cli.verbs import WORK, AllowCode, Json, ManifestArgument, Scheduler, Set, Work, Workers, app, command, obey
from curate.errors import CurateError, refusal

if TYPE_CHECKING:
    from curate.manifest.manifest import Manifest


@command
def demo(
    folder: Annotated[Path, typer.Argument(help="folder for the corpus, the manifest and the results")] = Path(
        "curate-demo"
    ),
    workers: Workers = None,
    as_json: Json = False,
):
    """Build a release from files bundled with Python. Works offline; no input needed."""
    from curate.demo import language_model, make_demo, recipe_of
    from curate.inspect.progress import follow
    from curate.models.train import train

    path = make_demo(folder)
    say(f"corpus and manifest: {folder}")
    if not language_model():
        say("no language identification: lid.176.ftz is not in CURATE_MODEL_DIR or the cache (optional)")
    trained = follow(train(recipe_of(folder), folder / "work", workers=0))
    say(f"classifier: {trained.path}, ROC-AUC {trained.metrics['roc_auc']:.3f} on held-out documents")
    result, lines, code = _release(str(path), folder / "work", workers, None, replace=True)
    return result, [*lines, f"run it again: curate run {path} --work {folder / 'work'}"], code


@command
def init(
    path: Annotated[Path, typer.Argument(help="manifest to write")] = Path("manifest.yaml"),
    inputs: Annotated[list[str] | None, typer.Option("--input", help="file, glob, folder or URL; repeatable")] = None,
    as_json: Json = False,
):
    """Create a starter manifest."""
    from curate.demo import init_manifest

    init_manifest(path, inputs or [])
    return {"manifest": str(path)}, [f"wrote {path}", f"next: curate plan {path}"], 0


@command
def plan(manifest: ManifestArgument, settings: Set = None, work: Work = WORK, as_json: Json = False):
    """Show what a run would do and what it would reuse. Says why the rest runs."""
    from curate.cli.render import plan_lines
    from curate.inspect.status import explain_plan

    found = explain_plan(_loaded(manifest, settings), work)
    return found, plan_lines(found), 0


@command
def run(
    manifest: ManifestArgument,
    settings: Set = None,
    work: Work = WORK,
    workers: Workers = None,
    scheduler: Scheduler = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="overwrite a release of this version that has a different digest")
    ] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="write a release even if no document is left")
    ] = False,
    allow_code: AllowCode = None,
    as_json: Json = False,
):
    """Build the release of a manifest. Earlier results are reused; interrupted runs resume."""
    return _release(_loaded(manifest, settings), work, workers, scheduler, replace, allow_empty, allow_code)


def _loaded(manifest: str, settings: list[str] | None) -> "Manifest":
    """The manifest with what `--set` says."""
    from curate.manifest.manifest import load
    from curate.manifest.settings import parse

    return load(manifest, set=parse(settings or ()))


def _release(
    manifest: "str | Manifest",
    work: Path,
    workers: int | None,
    scheduler: str | None,
    replace: bool = False,
    allow_empty: bool = False,
    allow_code: list[str] | None = None,
):
    from curate.cli.render import release_lines
    from curate.inspect.progress import follow
    from curate.release.make import run_events

    released = follow(run_events(manifest, work, workers, scheduler, replace, allow_empty, allow_code or ()))
    result = {"release": str(released.path), "changed": released.changed, "lock": released.lock}
    return result, release_lines(released.typed, released.path, released.changed), 0


@command
def report(
    release: Annotated[str, typer.Argument(help="folder of a release, or hf://datasets/ORG/NAME@vVERSION")],
    as_json: Json = False,
):
    """Summarize a release: what it holds and what was left out. Its report.html shows the same in charts."""
    from curate.cli.render import release_lines
    from curate.release.fetched import PAGES, hold
    from curate.release.typed_lock import as_json as to_json

    held = hold(release, PAGES)
    lines = [*release_lines(held.lock, held.folder), f"charts: {held.folder / 'report.html'}"]
    return to_json(held.lock), lines, 0


@command
def status(manifest: ManifestArgument, settings: Set = None, work: Work = WORK, as_json: Json = False):
    """Show the progress of a run."""
    from curate.cli.render import status_lines
    from curate.inspect.status import status

    found = status(_loaded(manifest, settings), work)
    return found, status_lines(found), 0


@command
def explain(
    manifest: ManifestArgument,
    document: Annotated[str, typer.Argument(help="id, the first digits of an id, or URL")],
    settings: Set = None,
    work: Work = WORK,
    as_json: Json = False,
):
    """Trace one document through every stage. Ends with its shard and row, or with the reason it was rejected."""
    from curate.cli.render import explain_lines
    from curate.inspect.explain import explain

    found = explain(_loaded(manifest, settings), document, work)
    return {"documents": found}, explain_lines(found), 0


@command
def verify(
    release: Annotated[str, typer.Argument(help="folder of a release, or hf://datasets/ORG/NAME@vVERSION")],
    as_json: Json = False,
):
    """Hash a release again and compare it with its lock. Exits with 1 if they differ."""
    from curate.release.lock import verified

    if release.startswith("hf://"):
        from curate.hub.publish import verify_published

        lock, problems = verify_published(release)
    else:
        lock, problems = verified(release)
    result = {
        "release": release,
        "digest": lock.digest,
        "problems": [problem.as_dict() for problem in problems],
    }
    lines = [line for problem in problems for line in problem.lines] or [f"ok: {len(lock.files)} files, {lock.digest}"]
    return result, lines, 1 if problems else 0


@command
def publish(
    release: Annotated[Path, typer.Argument(help="folder of a release")],
    repo: Annotated[
        str | None,
        typer.Option(help="ORG/NAME on the Hub [default: from the manifest, else your account and the release's name]"),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="create the repository as private")] = False,
    branch: Annotated[str | None, typer.Option(help="branch to commit to [default: main]")] = None,
    pr: Annotated[
        bool, typer.Option("--pr", help="open a pull request; once it is merged, publish again to tag")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="list the files to upload; needs no login and no network")
    ] = False,
    as_json: Json = False,
):
    """Upload a release to the Hugging Face Hub. Sends only what is new, the tag last. Safe to rerun if interrupted."""
    from curate.cli.render import published_lines
    from curate.hub.publish import publish

    found = publish(
        release,
        repo=repo,
        private=private,
        branch=branch,
        pr=pr,
        dry_run=dry_run,
        report=lambda event: say(f"{event.kind}: {event.text}"),
    )
    return found.as_dict(), published_lines(found, dry_run), 0


@command
def remove(
    release: Annotated[Path, typer.Argument(help="folder of a release")],
    ids: Annotated[Path | None, typer.Option(help="file with one id per line")] = None,
    urls: Annotated[Path | None, typer.Option(help="file with one URL per line")] = None,
    domains: Annotated[Path | None, typer.Option(help="file with one domain per line; includes subdomains")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be removed; write nothing")] = False,
    as_json: Json = False,
):
    """Take documents out of a release, as a patch version. Only the shards that held them change."""
    from curate.cli.render import counted
    from curate.release.takedown import RECORD, remove

    given = {kind: path for kind, path in (("ids", ids), ("urls", urls), ("domains", domains)) if path}
    if not given:
        raise CurateError("no list given", fix="pass --ids, --urls or --domains, or several of them")
    made = remove(release, **given, dry_run=dry_run)
    verb, changed = ("would remove", "would change") if dry_run else ("removed", "changed")
    lines = [f"{verb} {counted(made.documents, 'document')}"]
    lines += [f"  source {name}: {count:,}" for name, count in made.sources.items()]
    lines += [f"  by {cause}: {count:,}" for cause, count in made.causes.items()]
    lines += [f"list {one['list']}: {one['matched']:,} of {one['entries']:,} entries matched" for one in made.lists]
    lines += [f"{changed}: {name}" for name in made.changed]
    if not dry_run:
        lines += [f"release: {made.path}", f"for later runs, add to the manifest: `removed: [{made.path / RECORD}]`"]
    result = {"release": str(made.path), "version": made.version, "dry_run": dry_run, "documents": made.documents}
    result |= {"sources": made.sources, "causes": made.causes, "lists": made.lists, "changed": made.changed}
    return result, lines, 0


@command
def diff(
    old: Annotated[str, typer.Argument(help="folder of an older release, or hf://datasets/ORG/NAME@vVERSION")],
    new: Annotated[str, typer.Argument(help="folder or address of a newer release")],
    as_json: Json = False,
):
    """Show what changed between two releases. Exits with 1 if they differ."""
    from curate.cli.render import diff_lines
    from curate.release.diff import diff

    found = diff(old, new)
    return found, diff_lines(found), 0 if found["bump"] is None else 1


@command
def gc(
    manifests: Annotated[list[str], typer.Argument(help="keep cached results used by these manifests")],
    work: Work = WORK,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be removed")] = False,
    as_json: Json = False,
):
    """Delete cached results that these manifests do not use."""
    from curate.cli.render import size
    from curate.inspect.status import collect_garbage

    found = collect_garbage(manifests, work, dry_run)
    verb = "would remove" if dry_run else "removed"
    lines = [f"  {path}" for path in found["paths"]] if dry_run else []
    return (
        found,
        [*lines, f"{verb} {found['removed']:,} cached results, {size(found['bytes'])}; kept {found['kept']:,}"],
        0,
    )


@command
def train(
    recipe: Annotated[str, typer.Argument(help="path of a classifier recipe, or the name of a built-in one")],
    work: Work = WORK,
    workers: Workers = None,
    scheduler: Scheduler = None,
    allow_code: AllowCode = None,
    as_json: Json = False,
):
    """Train the fastText classifier of a recipe. Does nothing if it exists already for the same inputs."""
    from curate.cli.render import trained_lines
    from curate.inspect.progress import follow
    from curate.models.train import train

    trained = follow(train(recipe, work, workers, scheduler, allow_code or []))
    result = {"classifier": str(trained.path), "changed": trained.changed, "lock": trained.lock}
    return result | {"metrics": trained.metrics}, trained_lines(trained), 0


@command
def calibrate(
    release: Annotated[
        str,
        typer.Argument(help="folder of a release, or hf://datasets/ORG/NAME@vVERSION"),
    ],
    recipe: Annotated[str, typer.Option(help="gptq, awq, imatrix or kernel")] = "gptq",
    tokenizer: Annotated[
        str | None, typer.Option(help="a tokenizer.json [default: the one the release counted tokens with]")
    ] = None,
    sequences: Annotated[
        int | None, typer.Option(min=1, help="number of sequences [default: gptq and awq 128, kernel 1024]")
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(
            min=2, help="maximum tokens per sequence [default: awq 512; kernel the phase's context; else 2048]"
        ),
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=2, help="imatrix: tokens of text [default: 262144]")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="random seed of the draw")] = 0,
    phase: Annotated[str | None, typer.Option(help="draw from this phase [default: all]")] = None,
    join: Annotated[
        bool, typer.Option(help="join documents shorter than a sequence; --no-join leaves them out")
    ] = True,
    end: Annotated[
        str | None,
        typer.Option(
            help="token between joined documents [default: the release's, else <|endoftext|>, </s> or similar]"
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="evaluation set (Parquet or JSONL) to keep out of the set; repeatable"),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="output folder [default: calibration/NAME-VERSION/RECIPE in the work folder]"),
    ] = None,
    other: Annotated[str | None, typer.Option("--with", hidden=True)] = None,
    work: Work = WORK,
    as_json: Json = False,
):
    """Draw a calibration set from a release. For quantization and kernel tuning."""
    from curate.calibration.calibrate import calibrate
    from curate.cli.render import calibrated_lines

    if other is not None or recipe == "compare":
        raise CurateError("comparing is a verb of its own", "--recipe", "use `curate compare SET OTHER`")
    draw = {"sequences": sequences, "length": length, "tokens": tokens, "seed": seed, "phase": phase, "join": join}
    made = calibrate(release, recipe, tokenizer=tokenizer, end=end, against=against, to=to, work=work, **draw)
    return {"set": str(made.path), "changed": made.changed, "lock": made.lock}, calibrated_lines(made), 0


@command
def compare(
    calibration_set: Annotated[str, typer.Argument(metavar="SET", help="folder of a calibration set")],
    other: Annotated[str, typer.Argument(help="another set, a release, or a Parquet or text file")],
    as_json: Json = False,
):
    """Say how far a calibration set is from another, or from a file."""
    from curate.calibration.distance import compare
    from curate.cli.render import compared_lines

    found = compare(calibration_set, other)
    return found, compared_lines(found), 0


@command
def doctor(work: Work = WORK, as_json: Json = False):
    """Check this machine: Python, packages, memory, disk, models. Exits with 1 if something is missing."""
    from curate.inspect.doctor import examine

    checks = examine(work)
    lines = [f"{'ok ' if check['ok'] else 'no '} {check['name']}: {check['found']}" for check in checks]
    lines += [f"fix: {check['fix']}" for check in checks if not check["ok"]]
    return {"checks": checks}, lines, 0 if all(check["ok"] for check in checks) else 1


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
