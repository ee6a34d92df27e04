"""The verbs that take a release: report, verify, publish, remove, diff, calibrate, compare."""

from pathlib import Path
from typing import Annotated

import typer

from curate.base.terminal import say
from curate.cli.verbs import WORK, Json, Set, Work, command, loaded
from curate.errors import CurateError


@command
def report(
    place: Annotated[str, typer.Argument(help="a manifest that has run, or a release: its folder or hf:// address")],
    compare: Annotated[
        str | None, typer.Option(help="an earlier release, by its folder or hf:// address: show what changed since")
    ] = None,
    settings: Set = None,
    work: Work = WORK,
    as_json: Json = False,
):
    """Summarize a release, and name the page that shows it in charts. Of a manifest, the page has texts, too."""
    from curate.cli.render import release_lines
    from curate.inspect.run_report import is_run, release_of, report
    from curate.release.typed_lock import as_json as to_json

    where = loaded(place, settings) if is_run(place) else place
    page = report(where, work, compare)
    held = release_of(where, work)
    return to_json(held.lock), [*release_lines(held.lock, held.folder), f"charts: {page}"], 0


@command
def verify(
    release: Annotated[str, typer.Argument(help="folder of a release, or hf://datasets/ORG/NAME@vVERSION")],
    as_json: Json = False,
):
    """Rehash a release and check it against its lock. Exits with 1 if they differ."""
    from curate.inspect.opened import verified

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
        typer.Option(
            help="ORG/NAME on the Hub [default: from the manifest, otherwise your account and the release's name]"
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="create the repository as private")] = False,
    branch: Annotated[str | None, typer.Option(help="branch to commit to [default: main]")] = None,
    pr: Annotated[
        bool, typer.Option("--pr", help="open a pull request; after it is merged, publish again to create the tag")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="list the files to upload; needs no login and no network")
    ] = False,
    as_json: Json = False,
):
    """Upload a release to the Hugging Face Hub. Skips unchanged files, tags last. Safe to rerun if interrupted."""
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
    """Write a patch version of a release without certain documents. Only the shards that contained them change."""
    from curate.cli.render import counted
    from curate.release.takedown import RECORD, remove

    given = {kind: path for kind, path in (("ids", ids), ("urls", urls), ("domains", domains)) if path}
    if not given:
        raise CurateError("no list given", fix="pass one or more of --ids, --urls and --domains")
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


RELEASES = "folders of releases, or hf://datasets/ORG/NAME@vVERSION"


@command
def calibrate(
    releases: Annotated[list[str], typer.Argument(metavar="RELEASE...", help=RELEASES)],
    recipe: Annotated[str, typer.Option(help="gptq, awq, imatrix or kernel")] = "gptq",
    tokenizer: Annotated[
        str | None, typer.Option(help="a tokenizer.json [default: the one the release counted tokens with]")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="share of each release, such as 0.7,0.3 [default: in proportion to their tokens]")
    ] = None,
    chat_template: Annotated[
        str | None, typer.Option(help="tokenizer_config.json or .jinja file that turns conversations into text")
    ] = None,
    date: Annotated[str | None, typer.Option(help="current date for the chat template to write")] = None,
    sequences: Annotated[
        int | None, typer.Option(min=1, help="number of sequences [default: 128 for gptq and awq, 1024 for kernel]")
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="maximum tokens per sequence [default: 512 for awq, the phase's context for kernel, otherwise 2048]",
        ),
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=2, help="imatrix: tokens of text [default: 262144]")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="random seed")] = 0,
    phase: Annotated[str | None, typer.Option(help="draw only from this phase [default: all]")] = None,
    join: Annotated[
        bool, typer.Option(help="join documents shorter than a sequence; --no-join leaves them out")
    ] = True,
    end: Annotated[
        str | None,
        typer.Option(
            help="token between joined documents [default: the release's, otherwise <|endoftext|>, </s> or similar]"
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="skip documents that overlap this evaluation set (Parquet or JSONL); repeatable"),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="output folder [default: calibration/NAME-VERSION/RECIPE in the work folder]")
    ] = None,
    other: Annotated[str | None, typer.Option("--with", hidden=True)] = None,
    work: Work = WORK,
    as_json: Json = False,
):
    """Draw a calibration set from one or more releases. For quantization and kernel tuning."""
    from curate.calibration.calibrate import calibrate
    from curate.cli.render import calibrated_lines

    if other is not None or recipe == "compare":
        raise CurateError("`compare` is a separate command", "--recipe", "use `curate compare SET OTHER`")
    draw = {"sequences": sequences, "length": length, "tokens": tokens, "seed": seed, "phase": phase, "join": join}
    draw |= {"weights": _numbers(weights), "chat_template": chat_template, "date": date}
    made = calibrate(releases, recipe, tokenizer=tokenizer, end=end, against=against, to=to, work=work, **draw)
    return {"set": str(made.path), "changed": made.changed, "lock": made.lock}, calibrated_lines(made), 0


@command
def compare(
    calibration_set: Annotated[str, typer.Argument(metavar="SET", help="folder of a calibration set")],
    other: Annotated[str, typer.Argument(help="another set, a release, or a Parquet or text file")],
    as_json: Json = False,
):
    """Measure how much a calibration set differs from other data. Takes another set, a release, or a file."""
    from curate.calibration.distance import compare
    from curate.cli.render import compared_lines

    found = compare(calibration_set, other)
    return found, compared_lines(found), 0


def _numbers(text: str | None) -> list[float] | None:
    """The numbers of `0.7,0.3`."""
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise CurateError(
            f"`{text}` is not a list of numbers", "--weights", "pass one per release, such as 0.7,0.3"
        ) from None
