"""What happened to the inputs, for the card and the report: kept, not read, damaged."""

from collections.abc import Iterator

from curate.base.phrases import counted, reasons
from curate.release.typed_lock import Input, Lock, NotTaken, Source


def funnel_counts(lock: Lock) -> Iterator[tuple[str, str, int, int, dict[str, int]]]:
    """(source, stage, documents in, documents kept, {reason: documents}) of what was read, then of the stages."""
    for name, source in lock.sources.items():
        steps = [("read", source.read)]
        steps += [(stage.label, stage.sources.get(name)) for stage in lock.stages]
        yield from ((name, step, got.in_, got.kept, got.reasons) for step, got in steps if got)


def funnel_rows(lock: Lock) -> Iterator[tuple[str, str, int, int, str]]:
    """As `funnel_counts`, with the reasons as text."""
    yield from ((*row, reasons(why)) for *row, why in funnel_counts(lock))


def not_taken_lines(source: str, not_taken: list[NotTaken]) -> Iterator[str]:
    """Files that were found and not read, a line for each reason."""
    for entry in not_taken:
        more = entry.files - len(entry.paths)
        names = ", ".join(entry.paths) + (f" and {more:,} more" if more else "")
        yield f"not read in {source} ({entry.why}): {counted(entry.files, 'file')}: {names}"


def damage_lines(source: str, files: list[Input]) -> Iterator[str]:
    """Files of which something could not be read, and other notes on them."""
    for file in files:
        if file.lost:
            yield f"damaged in {source}: {file.path}: {file.lost:,} bytes lost, {file.documents:,} documents read"
            yield from (f"  {place}" for place in file.damage)
        if file.bad_rows:
            yield f"unusable rows in {source}: {file.path}: {file.bad_rows:,}"
        yield from (f"note on {source}: {file.path}: {note}" for note in file.notes)


def accounts(sources: dict[str, Source]) -> Iterator[str]:
    """For the card: damaged files by name, the others counted, since their names are of no use elsewhere."""
    for name, source in sources.items():
        for file in source.files:
            if file.lost:
                yield f"{file.path} of {name} is damaged: {file.lost:,} of its bytes could not be read."
        for entry in source.not_taken:
            verb = "was" if entry.files == 1 else "were"
            yield f"{counted(entry.files, 'file')} of {name} {verb} found but not read: {entry.why}."
