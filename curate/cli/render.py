"""The lines that commands print for people."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from curate.base.phrases import counted, reasons, size
from curate.base.terminal import table
from curate.engine.funnel import funnel_table
from curate.release.accounts import damage_lines, funnel_rows, not_taken_lines
from curate.release.card import empty_sources
from curate.release.typed_lock import Lock, Mixture, NotTaken

if TYPE_CHECKING:
    from curate.inspect.first_look import Look

__all__ = [
    "calibrated_lines",
    "compared_lines",
    "counted",
    "looked_lines",
    "plan_lines",
    "published_lines",
    "release_lines",
    "size",
    "status_lines",
    "trained_lines",
]


def plan_lines(found: dict) -> Iterator[str]:
    yield f"{found['name']} {found['version']}"
    yield ""
    rows = [("source", "files", "size", "partitions")]
    rows += [(name, s["files"], size(s["bytes"]), s["partitions"]) for name, s in found["sources"].items()]
    yield from table(rows, frozenset({1, 2, 3}))
    for name, source in found["sources"].items():
        yield from not_taken_lines(name, [NotTaken(**entry) for entry in source["not_taken"]])
    yield ""
    rows = [("step", "jobs", "run", "why")]
    for step in _of_stages(found["steps"]):
        why = [reason if count == step["run"] else f"{reason} ({count})" for reason, count in step["why"].items()]
        rows.append((step["step"], step["jobs"], step["run"], " | ".join(why) or "reused"))
    yield from table(rows, frozenset({1, 2}))
    yield ""
    for label, notes in found["notes"].items():
        yield from (f"{label}: {note}" for note in notes)
    yield from (f"warning: {warning}" for warning in found["warnings"])
    if found["run"]:
        need = found["estimate"]
        yield (
            f"estimate: {counted(need['documents'], 'document')}, {size(need['text_bytes'])} of text; "
            f"{size(need['worker_bytes'])} of memory per worker, "
            f"{size(need['largest_job_bytes'])} for the largest job, "
            f"{size(need['disk_bytes'])} of disk, {duration(need['seconds'])} on {counted(need['workers'], 'worker')}"
        )
    later = "" if found["shards_planned"] else "; the jobs that write shards are planned during the run"
    yield f"{found['run']:,} jobs to run, {found['reused']:,} reused{later}"


def _of_stages(steps: list[dict]) -> list[dict]:
    """The steps of a plan with those of one group stage as one: `near_dedup 1, web`, `near_dedup 1, all` ..."""
    found: dict[str, dict] = {}
    for step in steps:
        name = re.sub(r" \d+( counts)?(, .+)?$|, all$", "", step["step"])
        whole = found.setdefault(name, {"step": name, "jobs": 0, "run": 0, "why": Counter()})
        whole["jobs"] += step["jobs"]
        whole["run"] += step["run"]
        whole["why"].update(step["why"])
    return list(found.values())


def duration(seconds: int) -> str:
    """`2 h 5 min`, `40 s`."""
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min" if seconds >= 3600 else f"{seconds // 60} min"


def status_lines(found: dict) -> Iterator[str]:
    yield f"{found['name']} {found['version']}: {found['made']:,} of {found['jobs']:,} jobs done"
    running = f" and {found['running']:,} in running jobs" if found["running"] else ""
    yield f"documents read: {found['documents']:,}{running}, kept so far: {found['kept']:,}"
    if found["funnel"]:
        rows = (
            (row["source"], row["stage"], row["in"], row["kept"], reasons(row["reasons"])) for row in found["funnel"]
        )
        yield from funnel_table(rows)
    yield f"release: {found['release'] or 'not written yet'}"


def release_lines(lock: Lock, path: Path, changed: bool = True) -> Iterator[str]:
    """What went into a release and what was left out. changed: whether its folder was written anew."""
    yield from funnel_table(funnel_rows(lock))
    for name, source in lock.sources.items():
        yield from damage_lines(name, source.files)
        yield from not_taken_lines(name, source.not_taken)
    yield ""
    yield from mixture_lines(lock.mixture)
    text, rows = sum(shard.text_bytes for shard in lock.shards), sum(shard.rows for shard in lock.shards)
    drawn = f" (drawn {rows:,} times in all by the mixture)" if rows != lock.documents else ""
    shards = f"{size(text)} of text in {counted(len(lock.shards), 'shard')}"
    yield f"{counted(lock.documents, 'document')}{drawn}, {shards}; {lock.rejected:,} rejected"
    yield from (f"warning: no documents of source `{name}` were kept" for name in empty_sources(lock))
    for split in lock.tokens.splits if lock.tokens else ():
        packed = f", {split.sequences:,} sequences of {split.context:,}" if split.context else ""
        yield f"tokens of {split.name}: {split.tokens:,}{packed}"
        yield from (f"  {note}" for note in split.notes)
    yield from (f"warning: {warning}" for warning in lock.warnings)
    yield f"release: {path}{'' if changed else ' (unchanged)'}"
    yield f"digest: {lock.digest}"


def diff_lines(found: dict) -> Iterator[str]:
    yield f"{found['old']} -> {found['new']}"
    yield from (f"  {line}" for line in found["manifest"])
    for source, changes in found["inputs"].items():
        for kind, paths in changes.items():
            if paths:
                more = f" and {len(paths) - 3:,} more" if len(paths) > 3 else ""
                yield f"input {source}, {kind}: {', '.join(paths[:3])}{more}"
    if found["stages"]:
        rows = [("source", "stage", "in", "->", "kept", "->")]
        for stage in found["stages"]:
            counts = ["-" if count is None else count for name in ("in", "kept") for count in stage[name]]
            rows.append((stage["source"], stage["stage"], *counts))
        yield from table(rows, frozenset({2, 3, 4, 5}))
    for name, (was, now) in found["columns"].items():
        yield f"column {name}: {was or 'none'} -> {now or 'none'}"
    documents, shards = found["documents"], found["shards"]
    yield (
        f"documents: {documents['added']:,} added, {documents['removed']:,} removed, {documents['shared']:,} in both "
        f"({documents['text_changed']:,} with changed text)"
    )
    yield f"shards: {shards['shared']:,} of {shards['new']:,} unchanged; {size(shards['bytes_new'])} in new ones"
    yield f"required version bump: {found['bump'] or 'nothing'}"


def published_lines(published, dry_run: bool) -> Iterator[str]:
    for commit in published.commits:
        yield f"commit: {commit.title}"
        yield from (f"  {file.path}  {size(file.bytes)}" for file in commit.files)
        yield from (f"  {path}  deleted" for path in commit.delete)
    files = sum(len(commit.files) for commit in published.commits)
    verb = "would upload" if dry_run else "uploaded"
    commits = counted(len(published.commits), "commit")
    yield f"{verb} {counted(files, 'file')}, {size(published.bytes)}, in {commits}"
    where = f"{published.url} ({published.revision})"
    yield (
        f"{where}, tag {published.tag}"
        if published.tag
        else f"{where}; after it is merged, publish again to create the tag"
    )


def mixture_lines(mixture: Mixture) -> Iterator[str]:
    """What each phase holds, unless the mixture simply takes everything."""
    if not mixture.notes:
        return
    several = len(mixture.columns) > 1
    heading = "key" if several else mixture.columns[0]
    rows = [("phase", heading, "requested", f"share of {mixture.unit}", "documents", "drawn", "epochs")]
    shown = (
        (split, f"{column} {name}" if several else name, key)
        for split in mixture.splits
        for column, keys in mixture.margins(split)
        for name, key in keys.items()
    )
    for split, name, key in shown:
        asked = "" if key.asked is None else f"{key.asked:.2%}"
        epochs = "" if key.epochs is None else f"{key.epochs:.2f}"
        rows.append((split.name, name, asked, f"{key.share:.2%}", key.once, key.documents, epochs))
    yield from table(rows, frozenset({2, 3, 4, 5, 6}))
    yield ""


def trained_lines(trained) -> Iterator[str]:
    """What a model was trained on, and how it does on what was held out."""
    if "sets" in trained.lock:
        yield from _content_lines(trained)
        return
    rows = [("side", "source", "documents", "used", "held out")]
    for name, source in trained.lock["sources"].items():
        count = trained.lock["documents"][name]
        rows.append((source["side"], name, *(f"{count[key]:,}" for key in ("documents", "taken", "held_out"))))
    yield from table(rows, frozenset({2, 3, 4}))
    yield ""
    rows = [("kept", "min score", "precision", "recall")]
    for kept in trained.metrics["kept"]:
        numbers = (f"{kept['least_score']:.6f}", f"{kept['precision']:.4f}", f"{kept['recall']:.4f}")
        rows.append((f"{kept['share']:.0%}", *numbers))
    yield from table(rows, frozenset({0, 1, 2, 3}))
    yield ""
    yield f"ROC-AUC {trained.metrics['roc_auc']:.4f}, Brier score {trained.metrics['brier']:.4f}"
    yield f"classifier: {trained.path}{'' if trained.changed else ' (unchanged)'}"
    yield f"model.bin: sha256:{trained.lock['files']['model.bin']}"


def _content_lines(trained) -> Iterator[str]:
    """The same, of a model of main content."""
    rows = [("set", "pages", "blocks", "F1", "precision", "recall", "parts found", "left out")]
    for name, set_ in trained.lock["sets"].items():
        found = trained.metrics[name]
        keys = ("f1", "precision", "recall", "found", "left_out")
        shares = ("" if (share := found.get(key)) is None else f"{share:.3f}" for key in keys)
        rows.append((name, f"{set_['pages']:,}", f"{set_['blocks']:,}", *shares))
    yield from table(rows, frozenset(range(1, 8)))
    yield ""
    yield f"model: {trained.path}{'' if trained.changed else ' (unchanged)'}"
    yield f"model.npz: sha256:{trained.lock['files']['model.npz']}"


def calibrated_lines(made) -> Iterator[str]:
    """What a calibration set was drawn from."""
    lock = made.lock
    rows = [("source", "share", "requested", "drawn", "documents", "tokens")]
    for name, source in lock["sources"].items():
        counts = (source[key] for key in ("asked", "sequences", "documents", "tokens"))
        rows.append((name, f"{source['share']:.2%}", *counts))
    yield from table(rows, frozenset({1, 2, 3, 4, 5}))
    yield ""
    counts = lock["counts"]
    yield f"{counts['sequences']:,} sequences, {counts['tokens']:,} tokens, from {counts['documents']:,} documents"
    if lock["left_out"]:
        yield f"skipped: {reasons(lock['left_out'])}"
    if covered := lock.get("coverage"):
        yield f"covers {covered['mass']:.2%} of the release's tokens, {covered['vocabulary']['share']:.2%} of its ids"
    if not lock["decontaminated"] and not lock["against"]:
        yield "not decontaminated: pass evaluation sets with --against"
    yield f"set: {made.path}{'' if made.changed else ' (unchanged)'}"
    yield f"digest: {lock['digest']}"


def compared_lines(found: dict) -> Iterator[str]:
    """How far two sets differ, and where most."""
    one, other = found["set"], found["other"]
    rows = [("", "the set", "the other"), ("", one["name"], other["name"])]
    for label, key in (
        ("tokens", "tokens"),
        ("distinct tokens", "distinct_tokens"),
        ("median length", "median_length"),
    ):
        rows.append((label, *(f"{side[key]:,}" if side[key] is not None else "-" for side in (one, other))))
    yield from table(rows, frozenset({1, 2}))
    yield ""
    measures = {"tokens": "Jensen-Shannon", "lengths": "Kolmogorov-Smirnov", "sources": "total variation"}
    rows = [("distance of", "0 to 1", "measure")]
    for key, measure in measures.items():
        value = found["distance"][key]
        rows.append((key, "-" if value is None else f"{value:.4f}", measure))
    yield from table(rows, frozenset({1}))
    yield ""
    yield f"{one['missing']:.2%} of the other's tokens do not occur in the set"
    yield f"{other['missing']:.2%} of the set's tokens do not occur in the other"
    for key, column in (("largest", "token"), ("sources", "source")):
        entries = found[key] if key == "largest" else [{"source": name} | at for name, at in found[key].items()]
        if entries:
            yield ""
            rows = [(column, "the set", "the other")]
            for entry in entries:
                shares = (entry["set"], entry["other"])
                name = repr(entry[column]) if column == "token" else entry[column]
                rows.append((name, *("-" if share is None else f"{share:.3%}" for share in shares)))
            yield from table(rows, frozenset({1, 2}))
    yield from _coverage_lines(found["coverage"]["set"], found["coverage"]["other"])


def _coverage_lines(one: dict | None, other: dict | None) -> Iterator[str]:
    """What two sets have of their releases; nothing where only one of them is a set."""
    if not one or not other:
        return

    both = (one, other)
    found = [("tokens", [side["mass"] for side in both])]
    found.append(("ids", [side["vocabulary"]["share"] for side in both]))
    for kind, what in (("languages", "language"), ("roles", "role")):
        names = dict.fromkeys([*one[kind], *other[kind]])
        found += [(f"{what} {name}", [side[kind].get(name, {}).get("set", 0) for side in both]) for name in names]
    rows = [("of its release", "the set", "the other")]
    rows += [(label, *(f"{share:.2%}" for share in shares)) for label, shares in found]
    rows.append(("median length", *(f"{side['lengths']['set'].get('p50', 0):,}" for side in both)))
    yield ""
    yield from table(rows, frozenset({1, 2}))


def looked_lines(looks: "list[Look]") -> Iterator[str]:
    """What a first look at inputs has found, a paragraph a source."""
    for one in looks:
        if lines := list(one.lines()):
            yield ", ".join(one.inputs)
            yield from (f"  {line}" for line in lines)
            for document in one.documents:
                yield ""
                yield from (f"  {name:<8} {value}" for name, value in document.items())
            yield ""
