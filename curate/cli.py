"""The command line: one function a verb. It parses, calls the function of the same name, and renders.

What a command finds goes to stdout, talk goes to stderr. `--json` makes stdout one JSON object.
"""

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from curate.command import WORK, AllowCode, Json, ManifestArgument, Scheduler, Work, Workers, app, command
from curate.errors import CurateError, refusal
from curate.redact import in_error
from curate.terminal import say, show_json


@command
def demo(
    folder: Annotated[Path, typer.Argument(help="where the corpus, the manifest and the work folder go")] = Path(
        "curate-demo"
    ),
    workers: Workers = None,
    as_json: Json = False,
):
    """Make a corpus from what Python carries, and a release from it. Needs no network and no file."""
    from curate.demo import language_model, make_demo, recipe_of
    from curate.progress import follow
    from curate.train import train

    path = make_demo(folder)
    say(f"corpus and manifest in {folder}")
    if not language_model():
        say("languages are not identified: there is no lid.176.ftz in CURATE_MODEL_DIR or the user's cache")
    trained = follow(train(recipe_of(folder), folder / "work", workers=0))
    say(f"classifier in {trained.path}: ROC-AUC {trained.metrics['roc_auc']:.3f} on documents held out")
    result, lines, code = _release(str(path), folder / "work", workers, None, replace=True)
    return result, [*lines, f"again: curate run {path} --work {folder / 'work'}"], code


@command
def init(
    path: Annotated[Path, typer.Argument(help="the manifest to write")] = Path("manifest.yaml"),
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="a file, glob, folder or address; may be repeated")
    ] = None,
    as_json: Json = False,
):
    """Write a manifest to begin with."""
    from curate.demo import init_manifest

    init_manifest(path, inputs or [])
    return {"manifest": str(path)}, [f"wrote {path}", f"next: curate plan {path}"], 0


@command
def plan(manifest: ManifestArgument, work: Work = WORK, as_json: Json = False):
    """Say what a run would do, what it would reuse, and why the rest runs."""
    from curate.report import plan_lines
    from curate.status import explain_plan

    found = explain_plan(manifest, work)
    return found, plan_lines(found), 0


@command
def run(
    manifest: ManifestArgument,
    work: Work = WORK,
    workers: Workers = None,
    scheduler: Scheduler = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="replace a release of this version that has another digest")
    ] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="release nothing where no document is left")
    ] = False,
    allow_code: AllowCode = None,
    as_json: Json = False,
):
    """Make the release of a manifest. What was made before is reused; interrupted runs resume."""
    return _release(manifest, work, workers, scheduler, replace, allow_empty, allow_code)


def _release(
    manifest: str,
    work: Path,
    workers: int | None,
    scheduler: str | None,
    replace: bool = False,
    allow_empty: bool = False,
    allow_code: list[str] | None = None,
):
    from curate.progress import follow
    from curate.report import release_lines
    from curate.run import run

    released = follow(run(manifest, work, workers, scheduler, replace, allow_empty, allow_code or ()))
    result = {"release": str(released.path), "changed": released.changed, "lock": released.lock}
    return result, release_lines(released.lock, released.path, released.changed), 0


@command
def report(release: Annotated[Path, typer.Argument(help="folder of a release")], as_json: Json = False):
    """Say again what a release holds and what was left out of it. Its report.html shows the same in pictures."""
    from curate.lock import read_lock
    from curate.report import release_lines

    lock = read_lock(release)
    return lock, [*release_lines(lock, release), f"pictures: {release / 'report.html'}"], 0


@command
def status(manifest: ManifestArgument, work: Work = WORK, as_json: Json = False):
    """Say how far a run has come."""
    from curate.report import status_lines
    from curate.status import status

    found = status(manifest, work)
    return found, status_lines(found), 0


@command
def explain(
    manifest: ManifestArgument,
    document: Annotated[str, typer.Argument(help="id (or its first digits), or URL")],
    work: Work = WORK,
    as_json: Json = False,
):
    """Walk one document through every stage, to its shard and row or to the reason it is out."""
    from curate.explain import explain
    from curate.report import explain_lines

    found = explain(manifest, document, work)
    return {"documents": found}, explain_lines(found), 0


@command
def verify(
    release: Annotated[str, typer.Argument(help="folder of a release, or hf://datasets/ORG/NAME@vVERSION")],
    as_json: Json = False,
):
    """Hash a release again and compare it with its lock. Exit code 1 where they differ."""
    from curate.lock import read_lock, verify

    if release.startswith("hf://"):
        from curate.publish import verify_published

        lock, problems = verify_published(release)
    else:
        problems, lock = verify(release), read_lock(release)
    result = {
        "release": release,
        "digest": lock["digest"],
        "problems": [problem.as_dict() for problem in problems],
    }
    lines = [str(problem) for problem in problems] or [f"ok: {len(lock['files'])} files, {lock['digest']}"]
    return result, lines, 1 if problems else 0


@command
def publish(
    release: Annotated[Path, typer.Argument(help="folder of a release")],
    repo: Annotated[
        str | None, typer.Option(help="ORG/NAME on the Hub [default: the manifest's, else yours, named as the release]")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="make the repository private when it is made")] = False,
    branch: Annotated[str | None, typer.Option(help="branch to commit to [default: main]")] = None,
    pr: Annotated[bool, typer.Option("--pr", help="open a pull request; once merged, publish again to tag")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list the files, with no login and no network")] = False,
    as_json: Json = False,
):
    """Bring a release to the Hugging Face Hub: what is new, shards first, the tag last. After a break run it again."""
    from curate.publish import publish
    from curate.report import published_lines

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
    ids: Annotated[Path | None, typer.Option(help="file with ids, one a line")] = None,
    urls: Annotated[Path | None, typer.Option(help="file with URLs, one a line")] = None,
    domains: Annotated[Path | None, typer.Option(help="file with domains, one a line; including subdomains")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would go, and write nothing")] = False,
    as_json: Json = False,
):
    """Write the patch version of a release without the documents on lists. Only the shards that held them change."""
    from curate.release.takedown import RECORD, remove

    given = {kind: path for kind, path in (("ids", ids), ("urls", urls), ("domains", domains)) if path}
    if not given:
        raise CurateError("no list was given", fix="give --ids, --urls or --domains, or several of them")
    made = remove(release, **given, dry_run=dry_run)
    verb, changed = ("would remove", "would change") if dry_run else ("removed", "changed")
    lines = [f"{verb} {made.documents:,} documents"]
    lines += [f"  source {name}: {count:,}" for name, count in made.sources.items()]
    lines += [f"  by {cause}: {count:,}" for cause, count in made.causes.items()]
    lines += [f"list {one['list']}: {one['matched']:,} of {one['entries']:,} entries matched" for one in made.lists]
    lines += [f"{changed}: {name}" for name in made.changed]
    if not dry_run:
        lines += [f"release: {made.path}", f"later runs: add `removed: [{made.path / RECORD}]` to the manifest"]
    result = {"release": str(made.path), "version": made.version, "dry_run": dry_run, "documents": made.documents}
    result |= {"sources": made.sources, "causes": made.causes, "lists": made.lists, "changed": made.changed}
    return result, lines, 0


@command
def diff(
    old: Annotated[Path, typer.Argument(help="folder of a release")],
    new: Annotated[Path, typer.Argument(help="folder of another")],
    as_json: Json = False,
):
    """Say how a release became another: manifest, inputs, counts, documents, shards. Exit code 1 where they differ."""
    from curate.release.diff import diff
    from curate.report import diff_lines

    found = diff(old, new)
    return found, diff_lines(found), 0 if found["bump"] is None else 1


@command
def gc(
    manifests: Annotated[list[str], typer.Argument(help="manifests whose parts to keep")],
    work: Work = WORK,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would go")] = False,
    as_json: Json = False,
):
    """Remove the parts of the store that these manifests do not use."""
    from curate.report import size
    from curate.status import collect_garbage

    found = collect_garbage(manifests, work, dry_run)
    verb = "would remove" if dry_run else "removed"
    lines = [f"  {path}" for path in found["paths"]] if dry_run else []
    return found, [*lines, f"{verb} {found['removed']:,} parts, {size(found['bytes'])}; kept {found['kept']:,}"], 0


@command
def train(
    recipe: Annotated[
        str, typer.Argument(help="path of a classifier recipe, or the name of one that comes with curate")
    ],
    work: Work = WORK,
    workers: Workers = None,
    scheduler: Scheduler = None,
    allow_code: AllowCode = None,
    as_json: Json = False,
):
    """Train the fastText classifier of a recipe. One that is there already, of the same inputs, is left as it is."""
    from curate.progress import follow
    from curate.report import trained_lines
    from curate.train import train

    trained = follow(train(recipe, work, workers, scheduler, allow_code or []))
    result = {"classifier": str(trained.path), "changed": trained.changed, "lock": trained.lock}
    return result | {"metrics": trained.metrics}, trained_lines(trained), 0


@command
def calibrate(
    release: Annotated[
        str, typer.Argument(help="folder of a release, or hf://datasets/ORG/NAME@vVERSION; to compare: folder of a set")
    ],
    recipe: Annotated[str, typer.Option(help="gptq, awq, imatrix, kernel, or compare")] = "gptq",
    tokenizer: Annotated[
        str | None, typer.Option(help="a tokenizer.json [default: that of the release's tokens]")
    ] = None,
    sequences: Annotated[
        int | None, typer.Option(min=1, help="how many [default: gptq and awq 128, kernel 1024]")
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(
            min=2, help="tokens of a sequence, at most [default: awq 512; kernel the phase's context; else 2048]"
        ),
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=2, help="size of the text of imatrix [default: 262144]")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="of the draw")] = 0,
    phase: Annotated[str | None, typer.Option(help="draw from this phase [default: from all]")] = None,
    join: Annotated[
        bool, typer.Option(help="join documents shorter than a sequence; --no-join leaves them out")
    ] = True,
    end: Annotated[
        str | None,
        typer.Option(
            help="token between joined documents [default: the release's, or <|endoftext|>, </s> and their like]"
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="evaluation set, Parquet or JSONL, that must not be in the set; may be repeated"),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="folder of the set [default: calibration/NAME-VERSION/RECIPE in the work folder]"),
    ] = None,
    other: Annotated[
        str | None, typer.Option("--with", help="compare: another set, a release, or a Parquet or text file")
    ] = None,
    work: Work = WORK,
    as_json: Json = False,
):
    """Draw a calibration set for quantization or kernel tuning from a release; or say how far two sets differ."""
    from curate.calibration.calibrate import calibrate
    from curate.calibration.compare import compare_sets
    from curate.report import calibrated_lines, compared_lines

    if recipe == "compare":
        if other is None:
            raise CurateError("nothing to compare with", "--with", "name a set, a release, a Parquet or a text file")
        found = compare_sets(release, other)
        return found, compared_lines(found), 0
    if other is not None:
        raise CurateError("--with is for `--recipe compare`", "--with", "leave it out, or compare a set that is there")
    draw = {"sequences": sequences, "length": length, "tokens": tokens, "seed": seed, "phase": phase, "join": join}
    made = calibrate(release, recipe, tokenizer=tokenizer, end=end, against=against, to=to, work=work, **draw)
    return {"set": str(made.path), "changed": made.changed, "lock": made.lock}, calibrated_lines(made), 0


@command
def doctor(work: Work = WORK, as_json: Json = False):
    """Check the machine: Python, packages, memory, disk, models. Exit code 1 where something is missing."""
    from curate.doctor import examine

    checks = examine(work)
    lines = [f"{'ok ' if check['ok'] else 'no '} {check['name']}: {check['found']}" for check in checks]
    lines += [f"fix: {check['fix']}" for check in checks if not check["ok"]]
    return {"checks": checks}, lines, 0 if all(check["ok"] for check in checks) else 1


def main() -> None:
    """Run the command line. Exit codes: 0 done; 1 a check found something; 2 your input is wrong; 3 stopped and can be
    resumed; 70 our bug."""
    as_json = "--json" in sys.argv
    for stream in (sys.stdout, sys.stderr):  # a name of a file or a text may hold what the terminal cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(standalone_mode=True)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # a library in Rust that panics raises no Exception
        known = refusal(error)
        if known is None or os.environ.get("CURATE_DEBUG"):
            say(in_error(traceback.format_exc()))
        if known is None:
            say("this is a bug of curate: please report it with the lines above")
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
