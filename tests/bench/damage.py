"""Damage the store, the caches and the releases of small runs, then run the same commands again.

    python tests/bench/damage.py [--json] [--damages 300] [--seed 0]

Bits flip, files are cut, deleted, emptied, exchanged, become folders, links, pipes or huge, are of the future or of
another part, a digit of JSON changes. Then `verify` of the release, some of the commands that look at a work folder or
a release, and the runs that made it all. Prints `damages`, `healed_or_named` (the releases are as before, or an error
names the file), `wrong_releases` (another release, and nobody said so), `exit_70` (commands that failed as if by a bug
of ours), and `failing`.
"""

import argparse
import json
import os
import random
import re
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from releases import release, resembling, rows, sentence, write_jsonl, write_manifest, write_warc  # noqa: E402
from small_tokenizers import small_tokenizer  # noqa: E402

from curate.calibration.calibrate import calibrate  # noqa: E402
from curate.cli import render as report  # noqa: E402
from curate.cli.shown_documents import explain_lines, sample_lines  # noqa: E402
from curate.errors import CurateError, refusal  # noqa: E402
from curate.hub.publish import publish  # noqa: E402
from curate.inspect.explain import explain  # noqa: E402
from curate.inspect.sample import sample  # noqa: E402
from curate.inspect.status import gc, status  # noqa: E402
from curate.inspect.status import plan as plan_of_run  # noqa: E402
from curate.release.diff import diff  # noqa: E402
from curate.release.lock import load_lock, read_lock, verify  # noqa: E402
from curate.release.takedown import remove  # noqa: E402


@dataclass
class Outcome:
    """What came of the damages. failing: for each that is not healed or named: what it was and what happened."""

    damages: int = 0
    healed_or_named: int = 0
    wrong_releases: int = 0
    exit_70: int = 0
    failing: list[str] = field(default_factory=list)


class Place:
    """Three releases in one work folder: `mixed`, and `grows` 1.0.0 and 1.1.0, which extends it."""

    def __init__(self, home: Path):
        self.home, self.work, self.whole = home, home / "work", home / "whole"
        first, more = rows(1, 40, words=30), rows(2, 30, words=30)
        write_jsonl(home / "in" / "a.jsonl", first)
        write_jsonl(home / "in" / "b.jsonl.gz", [*more, *resembling(3, first[:10])])
        write_warc(home / "in" / "web.warc.gz", rows(4, 12, words=30))
        write_jsonl(home / "in" / "new.jsonl", [{"text": sentence(random.Random(row), 30)} for row in range(15)])
        (home / "urls.txt").write_text(first[1]["url"] + "\n")
        self.manifests = [write_manifest(home / f"{name}.yaml", made) for name, made in self.documents().items()]
        self.releases = {path: release(path, self.work).path for path in self.manifests}
        self.locks = {path: read_lock(made) for path, made in self.releases.items()}
        shutil.copytree(self.work, self.whole, symlinks=True)
        self.files = sorted(path.relative_to(self.whole) for path in self.whole.rglob("*") if path.is_file())

    def documents(self) -> dict[str, dict]:
        sources = {
            "rows": {"inputs": ["in/a.jsonl", "in/b.jsonl.gz"]},
            "web": {"inputs": ["in/web.warc.gz"], "pipeline": ["extract", "normalize"]},
        }
        near, base = {"near_dedup": {"max_removed": 1}}, {"version": "1.0.0", "license": "mit", "sources": sources}
        mixture = {"by": "source", "unit": "tokens", "weights": {"rows": 0.7, "web": 0.3}, "validation": 0.1}
        phases = {"main": (1500, 64), "late": (500, 32)}
        mixture["phases"] = [{"name": n, "budget": size, "context": most} for n, (size, most) in phases.items()]
        tokenizer = small_tokenizer()
        tokens = {"tokenizer": tokenizer, "formats": ["npy", "megatron"], "context": 64}
        stages = [{"length": {"min_words": 5}}, {"exact_dedup": "text"}, near, {"tokens": {"tokenizer": tokenizer}}]
        grown = {"rows": {"inputs": ["in/a.jsonl", "in/b.jsonl.gz", "in/new.jsonl"]}, "web": sources["web"]}
        growing = base | {"name": "grows", "stages": [near], "shards": {"size": "6KB"}, "removed": ["urls.txt"]}
        return {
            "mixed": base | {"name": "mixed", "stages": stages, "mixture": mixture, "tokens": tokens},
            "grows": growing,
            "grown": growing | {"version": "1.1.0", "sources": grown, "extends": "work/releases/grows/1.0.0"},
        }

    def restore(self) -> None:
        shutil.rmtree(self.work)
        shutil.copytree(self.whole, self.work, symlinks=True)


# Damages: each takes the file, the other files of the folder's kind and a source of chance, and says what it did


def _flip(path: Path, others: list[Path], chance: random.Random) -> None:
    data = bytearray(path.read_bytes() or b"\0")
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def _cut(path: Path, others: list[Path], chance: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: chance.randrange(max(path.stat().st_size, 1))])


def _delete(path: Path, others: list[Path], chance: random.Random) -> None:
    path.unlink()


def _empty(path: Path, others: list[Path], chance: random.Random) -> None:
    path.write_bytes(b"")


def _swap(path: Path, others: list[Path], chance: random.Random) -> None:
    other = chance.choice([one for one in others if one.suffix == path.suffix])
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)


def _digit(path: Path, others: list[Path], chance: random.Random) -> None:
    data = path.read_bytes()
    places = [found.start() for found in re.finditer(rb"\d", data)] or [0]
    at = chance.choice(places)
    path.write_bytes(data[:at] + str(chance.randrange(10)).encode() + data[at + 1 :])


def _folder(path: Path, others: list[Path], chance: random.Random) -> None:
    path.unlink()
    path.mkdir()
    if chance.random() < 0.5:
        (path / "file").write_bytes(b"x")


def _link(path: Path, others: list[Path], chance: random.Random) -> None:
    path.unlink()
    path.symlink_to(chance.choice([*others, path.parent, path.with_name("nowhere")]))


def _pipe(path: Path, others: list[Path], chance: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _huge(path: Path, others: list[Path], chance: random.Random) -> None:
    os.truncate(path, 1 << 40)


def _later(path: Path, others: list[Path], chance: random.Random) -> None:
    os.utime(path, (4e9, 4e9))


def _of_another(path: Path, others: list[Path], chance: random.Random) -> None:
    """A part and its marker, both sound, are those of another part."""
    other = chance.choice([one for one in others if one.suffix == path.suffix])
    for suffix in {path.suffix} | ({".json", ".parquet"} if path.suffix in (".json", ".parquet") else set()):
        if other.with_suffix(suffix).is_file() and path.with_suffix(suffix).is_file():
            path.with_suffix(suffix).write_bytes(other.with_suffix(suffix).read_bytes())


def _rights(path: Path, others: list[Path], chance: random.Random) -> None:
    path.chmod(0)


def _extra(path: Path, others: list[Path], chance: random.Random) -> None:
    with path.open("ab") as file:
        file.write(chance.randbytes(chance.choice((1, 100))))


def _lost_folder(path: Path, others: list[Path], chance: random.Random) -> None:
    shutil.rmtree(path.parent)


def _file_for_folder(path: Path, others: list[Path], chance: random.Random) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_bytes(b"x")


KINDS: list[Callable] = [_flip, _flip, _cut, _delete, _empty, _swap, _digit, _digit, _folder, _link, _rights, _extra]
KINDS += [_pipe, _huge, _later, _of_another]
KINDS += [_lost_folder, _file_for_folder]  # the last two: not of a file in the work folder itself

# What a person does next


def _commands(place: Place, chance: random.Random) -> list[Callable[[], object]]:
    """Commands that only look, each of which must end well or say what is wrong."""
    mixed, grows, grown = place.manifests
    old, new = place.releases[grows], place.releases[grown]
    any_, one = chance.choice(place.manifests), chance.choice([old, new, place.releases[mixed]])
    urls = place.home / "urls.txt"
    return [
        lambda: list(report.plan_lines(plan_of_run(any_, place.work))),
        lambda: list(report.status_lines(status(any_, place.work))),
        lambda: list(explain_lines(explain(any_, "https://1.example/2", place.work))),
        lambda: list(sample_lines(sample(any_, place.work, rejected=chance.random() < 0.5))),
        lambda: gc([str(any_)], place.work, dry_run=chance.random() < 0.5),
        lambda: list(report.release_lines(load_lock(one), one)),
        lambda: list(report.diff_lines(diff(old, new))),
        lambda: remove(one, urls=urls, dry_run=True),
        lambda: calibrate(str(one), "imatrix", tokenizer=small_tokenizer(), tokens=100, to=place.home / "set"),
        lambda: publish(one, repo="a/b", dry_run=True),
    ]


def _attempt(command: Callable[[], object], outcome: Outcome, what: str) -> CurateError | None:
    """Run a command as the command line does. Returns the error it ends with."""
    try:
        command()
    except Exception as error:
        known = refusal(error)
        if known is None:
            outcome.exit_70 += 1
            outcome.failing.append(f"{what}: exit 70: {traceback.format_exc()[-700:]}")
            return CurateError(f"{type(error).__name__}: {error}")
        return known
    return None


def _names(error: CurateError, names: set[str]) -> bool:
    return any(name in str(error) for name in names)


def _judge(place: Place, names: set[str], what: str, outcome: Outcome) -> bool:
    """Whether the runs heal what was damaged, or name it."""
    good = True
    for manifest in place.manifests:
        made: list = []
        error = _attempt(lambda manifest=manifest, made=made: made.append(_run(manifest, place.work)), outcome, what)
        if error:
            if not _names(error, names):
                outcome.failing.append(f"{what}: run {manifest.name}: does not name it: {error}")
                good = False
            continue
        path, lock = made[0]
        problems = verify(path)
        if lock != place.locks[manifest] or problems:
            outcome.wrong_releases += 1
            said = " ".join(map(str, problems))[:300] or _differing(lock, place.locks[manifest])
            outcome.failing.append(f"{what}: run {manifest.name}: another release: {said}")
            good = False
    return good


def _differing(lock: dict, other: dict) -> str:
    return f"the locks differ in {[name for name in {**lock, **other} if lock.get(name) != other.get(name)]}"


def _run(manifest: Path, work: Path) -> tuple[Path, dict]:
    made = release(manifest, work, replace=False, allow_empty=False)
    return made.path, read_lock(made.path)


def damage(place: Place, seed: int, outcome: Outcome) -> None:
    """One damage, and what came of it."""
    chance = random.Random(seed)
    place.restore()
    names = [name for name in place.files if name.parts[0] == chance.choice(("store", "releases"))]
    caches = [name for name in place.files if name.parts[0] not in ("store", "releases")]
    relative = chance.choice(caches if caches and chance.random() < 0.15 else names)
    path, kind = place.work / relative, chance.choice(KINDS if len(relative.parts) > 1 else KINDS[:-2])
    others = sorted(one for one in path.parent.iterdir() if one.is_file())
    if relative.parts[0] == "store":
        others = [place.work / name for name in names]
    before = {one: _content(one) for one in others}
    what = f"{seed} {kind.__name__.strip('_')} {relative}"
    kind(path, others, chance)
    changed = {one for one in others if not one.is_file() or _content(one) != before[one]}
    said = {one.name for one in changed} | {path.name, path.parent.name if path.parent.is_file() else path.name}
    outcome.damages += 1
    good = True
    if relative.parts[0] == "releases" and changed:
        good = _verified(place, relative, said, what, outcome)
    for command in chance.sample(_commands(place, chance), 2):
        _attempt(command, outcome, what)
    before_ = outcome.exit_70
    good &= _judge(place, said, what, outcome)
    outcome.healed_or_named += good and outcome.exit_70 == before_


def _content(path: Path) -> tuple[int, bytes] | None:
    """The size of a file and all of it, but of one that was made huge."""
    try:
        with path.open("rb") as file:
            return path.stat().st_size, file.read(1 << 24)
    except OSError:
        return None


def _verified(place: Place, relative: Path, said: set[str], what: str, outcome: Outcome) -> bool:
    """Whether `verify` names a damaged file of a release."""
    found: list[CurateError] = []
    home = place.work.joinpath(*relative.parts[:3])
    error = _attempt(lambda: found.extend(verify(home)), outcome, what)
    if any(_names(problem, said) for problem in [*found, *([error] if error else [])]):
        return True
    digests = [lock["digest"] for lock in place.locks.values()]
    if relative.name == "lock.json" and not error and read_lock(home)["digest"] in digests:
        return True  # what the lock only tells, such as a description, has no sum
    outcome.failing.append(f"{what}: verify does not name it: {[str(problem) for problem in found]} {error}")
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--damages", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        for number in range(given.damages):
            known = len(outcome.failing)
            damage(place, given.seed + number, outcome)
            for line in outcome.failing[known:] if not given.json else ():
                print(line, flush=True)
    result = vars(outcome) | {"failing": outcome.failing[:20]}
    print(json.dumps(result, indent=None if given.json else 1))
    sys.exit(outcome.healed_or_named != outcome.damages or outcome.wrong_releases or outcome.exit_70)


if __name__ == "__main__":
    main()
