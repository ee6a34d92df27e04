"""Fuzzes the targets of `fuzz_targets`, in a process of its own, which a crash or a hang may take down.

    python tests/fuzz/fuzz_loop.py FOLDER SEED SECONDS EXECUTIONS TARGET ...

Inputs are mutations of a target's seeds, by bytes and by tokens. Where atheris is installed (coverage of Python code),
and `CURATE_FUZZ=atheris` is set, it chooses them; else they are the same for the same seed. The parent, `fuzz`, starts
such processes and collects what they find.
"""

import faulthandler
import hashlib
import json
import os
import random
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20
"""An input that takes longer hangs."""

MEMORY = 1 << 30
"""Bytes by which one input may raise the memory of the process: all are smaller than 1 MB."""

LONGEST = 1 << 16

_TOKEN = re.compile(rb"[A-Za-z_]+|\d+|[ \t]+|\r?\n|.", re.DOTALL)
_ODD = [b"0", b"-1", b"1e999", b"99999999999999999999", b"null", b"true", b"[]", b"{}", b'""', b"\xff", b"\x00", b"nan"]
_ODD += [b"\r\n\r\n", b"\xed\xa0\x80", b"\\ud800", b"../../x", b"[" * 200, b"a" * 5000, b"&a *a", b"<<: ", b"!!python"]
_ODD += [b"2147483647", b"-9223372036854775808", b"1" * 5000, b"\xe2\x80\xae", b"\x1b[2J", b".", b"0.1", b"'", b'"']
_NUMBERS = [0, 1, 2, 127, 128, 255, 1 << 15, (1 << 16) - 1, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, (1 << 63) - 1]


@dataclass
class Findings:
    """What fuzzing came to. found: {target: [{"kind", "error", "input" (path)}]}"""

    executions: dict[str, int] = field(default_factory=dict)
    found: dict[str, list[dict]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(map(len, self.found.values()))


def mutated(data: bytes, seeds: list[bytes], chance: random.Random) -> bytes:
    """The input with some changes, mostly few."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5, 12))):
        data = chance.choice((_bytes, _bytes, _tokens))(data, seeds, chance)
    return data[:LONGEST]


def _bytes(data: bytes, seeds: list[bytes], chance: random.Random) -> bytes:
    at, kind = chance.randrange(len(data) + 1), chance.randrange(8)
    end = min(at + chance.choice((1, 2, 4, 8, 50, 400)), len(data))
    if kind == 0 and at < len(data):
        return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + data[end:]
    if kind == 2:
        return data[:end] + data[at:end] * chance.choice((1, 2, 30)) + data[end:]
    if kind == 3:
        return data[:at]
    if kind == 4:
        other = chance.choice(seeds)
        return data[:at] + other[chance.randrange(len(other) + 1) :]
    if kind == 5:
        form = chance.choice(("<H", "<I", "<Q", ">I"))
        number = chance.choice(_NUMBERS) & ((1 << 8 * struct.calcsize(form)) - 1)
        return data[:at] + struct.pack(form, number) + data[at + struct.calcsize(form) :]
    if kind == 6:
        return data[:at] + chance.randbytes(end - at) + data[end:]
    return data[:at] + chance.choice(_ODD) + data[end if chance.random() < 0.5 else at :]


def _tokens(data: bytes, seeds: list[bytes], chance: random.Random) -> bytes:
    start = chance.randrange(max(len(data) - 400, 1))
    window = _TOKEN.findall(data, start, start + 2000)
    if not window:
        return data
    stop, kind = start + sum(map(len, window)), chance.randrange(5)
    one, other = chance.randrange(len(window)), chance.randrange(len(window))
    if kind == 0:
        window[one] = chance.choice(_ODD)
    elif kind == 1:
        del window[min(one, other) : max(one, other) + 1]
    elif kind == 2:
        window[one], window[other] = window[other], window[one]
    elif kind == 3:
        window[one:one] = window[min(one, other) : max(one, other) + 1]
    else:
        donor = _TOKEN.findall(chance.choice(seeds)[:4000]) or [b""]
        window[one] = chance.choice(donor)
    return data[:start] + b"".join(window) + data[stop:]


# In the process that may be taken down


class Watch:
    """Runs a target, noting before each input what it is and after it what it did."""

    def __init__(self, name: str, folder: Path, attempt: Callable[[str, bytes], None]):
        self.name, self.folder, self.attempt = name, folder, attempt
        self.input, self.log = folder / "input", open(folder / "log", "a", buffering=1)  # noqa: SIM115
        self.executions, self.seen = 0, set()
        self.nowhere = open(os.devnull, "w")  # noqa: SIM115

    def __call__(self, data: bytes, seconds: float = SECONDS) -> None:
        self.input.write_bytes(data)
        before = _memory()
        faulthandler.dump_traceback_later(seconds, exit=True, file=self.nowhere)
        try:
            self.attempt(self.name, data)
        except BaseException as error:  # a panic of Rust is one too
            self.tell(error, data)
        finally:
            faulthandler.cancel_dump_traceback_later()
        if _memory() - before > MEMORY:
            self.note("memory", f"{(_memory() - before) >> 20} MiB more", data)
        self.executions += 1
        if self.executions % 20 == 0:
            self.count()

    def tell(self, error: BaseException, data: bytes) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        where = next((frame for frame in reversed(frames) if "/curate/" in frame.filename), frames[-1])
        if (key := (type(error), where.filename, where.lineno)) not in self.seen:
            self.seen.add(key)
            said = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
            self.note("error", said[:400], data)

    def note(self, kind: str, said: str, data: bytes) -> None:
        path = self.folder / f"{self.name}-{hashlib.sha256(data).hexdigest()[:16]}"
        path.write_bytes(data)
        found = {"target": self.name, "kind": kind, "error": said, "input": str(path)}
        self.log.write(json.dumps(found) + "\n")

    def count(self) -> None:
        self.log.write(json.dumps({"target": self.name, "executions": self.executions}) + "\n")


def _memory() -> int:
    """The most bytes this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def main() -> None:
    folder, seed, seconds, executions, *names = sys.argv[1:]
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]
    guided = os.environ.get("CURATE_FUZZ") == "atheris"
    if guided:
        import atheris

        kernels = [f"curate.kernels.{path.stem}" for path in (ROOT / "curate" / "kernels").glob("*.py")]
        with atheris.instrument_imports(include=["curate"], exclude=["curate.kernels", *kernels]):
            import fuzz_targets
    else:
        import fuzz_targets
    for name in names:
        watch, starts = Watch(name, Path(folder), fuzz_targets.attempt), fuzz_targets.seeds(name)
        for start in starts:
            watch(start, 10 * SECONDS)  # kernels are compiled: none of it is counted against an input
        watch.count()
        if guided:
            _guided(watch, starts, int(seed), float(seconds), int(executions), fuzz_targets.clean)
        for data in _inputs(starts, f"{name} {seed}", float(seconds), int(executions)):
            watch(data)
        watch.count()
    fuzz_targets.clean()


def _inputs(starts: list[bytes], seed: str, seconds: float, executions: int) -> Iterator[bytes]:
    chance, end = random.Random(seed), time.monotonic() + seconds
    for _ in range(executions):
        if time.monotonic() > end:
            return
        yield mutated(chance.choice(starts), starts, chance)


def _guided(watch: Watch, starts: list[bytes], seed: int, seconds: float, executions: int, clean) -> None:
    """Let atheris choose. Does not return."""
    import atheris

    corpus = watch.folder / f"corpus-{watch.name}"
    corpus.mkdir(exist_ok=True)
    for number, start in enumerate(starts):
        (corpus / f"seed-{number}").write_bytes(start)

    def other(data: bytes, most: int, seed: int) -> bytes:
        if seed % 2:
            return atheris.Mutate(data, most)
        return mutated(data, starts, random.Random(seed))[:most]

    def one(data: bytes) -> None:
        watch(data)
        if watch.executions == executions:
            end()

    def end() -> None:
        watch.count()
        clean()
        os._exit(0)

    options = [f"-max_total_time={int(seconds)}", f"-max_len={LONGEST}", f"-seed={seed + 1}", "-rss_limit_mb=0"]
    stop = time.monotonic() + seconds
    atheris.Setup(
        ["fuzz", *options, str(corpus)],
        lambda data: end() if time.monotonic() > stop else one(data),
        custom_mutator=other,
    )
    atheris.Fuzz()


# In the process that stays


def fuzz(
    names: list[str], keep: Path, seconds: float = 1e9, executions: int = 1 << 60, seed: int = 0, guided: bool = False
) -> Findings:
    """Fuzz these targets one after the other, for so long or so often each.

    keep  folder that gets the inputs that fail

    After a crash or a hang the target goes on with another seed for the time that is left.
    """
    keep.mkdir(parents=True, exist_ok=True)
    found = Findings(dict.fromkeys(names, 0), {})
    rounds = [[name] for name in names] if guided else [names]
    for round in rounds:
        _round(round, found, keep, seconds, executions, seed, guided)
    return found


def _round(names: list[str], found: Findings, keep: Path, seconds, executions, seed, guided) -> None:
    env = os.environ | {"CURATE_FUZZ": "atheris" if guided else "plain"}
    while names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, folder, str(seed), str(seconds), str(executions), *names]
            done = subprocess.run(
                command, env=env | {"TMPDIR": folder}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            counted, current = _collect(Path(folder), found, keep)
            for name, count in counted.items():
                found.executions[name] += count
            if done.returncode == 0:
                return
            said = done.stderr.decode(errors="replace").strip().splitlines()
            current = current or names[0]
            kind = "hang" if done.returncode == 1 and not said else "crash"
            lost = Path(folder) / "input"
            data = lost.read_bytes() if lost.is_file() else b""
            path = keep / f"{current}-{hashlib.sha256(data).hexdigest()[:16]}"
            path.write_bytes(data)
            error = f"exit {done.returncode}: {' '.join(said[-3:])}"[-400:]
            found.found.setdefault(current, []).append({"kind": kind, "error": error, "input": str(path)})
        names = names[names.index(current) :]
        seconds, executions = seconds - (time.monotonic() - began), executions - counted.get(current, 0)
        seed += 1
        if seconds <= 0 or executions <= 0 or len(found.found[current]) > 20 or not counted:
            names = names[1:]


def _collect(folder: Path, found: Findings, keep: Path) -> tuple[dict[str, int], str]:
    """Read the log of a process: (executions by target, the target that it was at)."""
    counted, current = {}, ""
    log = folder / "log"
    for line in log.read_text().splitlines() if log.is_file() else ():
        told = json.loads(line)
        current = told["target"]
        if "executions" in told:
            counted[current] = told["executions"]
            continue
        kept = keep / Path(told["input"]).name
        kept.write_bytes(Path(told["input"]).read_bytes())
        entry = {"kind": told["kind"], "error": told["error"], "input": str(kept)}
        known = found.found.setdefault(current, [])
        if entry["error"].rpartition("(")[2] not in {one["error"].rpartition("(")[2] for one in known}:
            known.append(entry)
    return counted, current


if __name__ == "__main__":
    main()
