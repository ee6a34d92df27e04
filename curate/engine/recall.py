"""Remember a manifest's last plan: `status`, `explain` and `gc` need no inputs or network.

`plan` and `run` always look anew. What is remembered counts only for the same text of the manifest, in the same folder,
with the same stages and readers; where it is damaged it is as if it were not there.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from curate.engine.job import ENGINE, Job
from curate.engine.lane import Lane
from curate.engine.plan import Plan
from curate.manifest.manifest import Manifest
from curate.models.resources import read_note, write_text
from curate.sources import File
from curate.sources.format_api import formats
from curate.sources.partitions import Partition, Piece
from curate.tokens.requested import Encoding

FORMAT = 1
SUFFIX = ".plan.json"


def memory_of(manifest: Manifest, work: Path) -> Path:
    """Where the last plan of a manifest of this text, in this folder, is noted."""
    scopes = [*manifest.pipelines.items(), ("", manifest.stages)]
    stages = [[scope, call.label, call.stage.version, call.params] for scope, calls in scopes for call in calls]
    taken = sorted(manifest.environment.items())
    readers = [[name, reader.version] for name, reader in formats().items()]
    key = json.dumps([FORMAT, ENGINE, readers, manifest.name, manifest.text, str(manifest.folder), stages, taken])
    return Path(work) / "plans" / f"{manifest.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}{SUFFIX}"


def remember(plan: Plan, manifest: Manifest, work: Path) -> None:
    """Note the plan of a manifest. Nothing depends on it; addresses of inputs may hold secrets, so it is for its owner
    alone. plan: its manifest may have more lists of what stays out, those that earlier releases carry."""
    path = memory_of(manifest, work)
    path.parent.mkdir(parents=True, exist_ok=True)
    noted = {field.name: getattr(plan, field.name) for field in fields(plan) if field.name != "manifest"}
    noted["lists"] = next((call.params["lists"] for call in plan.manifest.stages if call.label == "removed"), {})
    body = json.dumps(noted, default=_plain)
    write_text(path, f"{_digest(path, body)}\n{body}", private=True)


def recall(manifest: Manifest, work: Path) -> Plan | None:
    """The last plan of a manifest; None where there is none, or the note is damaged."""
    path = memory_of(manifest, work)
    try:
        digest, _, body = read_note(path).decode("ascii").partition("\n")
        if digest != _digest(path, body):
            return None
        noted = json.loads(body)
        return Plan(
            manifest=manifest.leaving_out(noted.pop("lists")),
            jobs={fp: _job(job) for fp, job in noted.pop("jobs").items()},
            lanes=[_lane(lane) for lane in noted.pop("lanes")],
            references=[_lane(lane) for lane in noted.pop("references")],
            encoding=Encoding(**encoding) if (encoding := noted.pop("encoding")) else None,
            **noted,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def remember_jobs(plan: Plan, jobs: Iterable[Job], work: Path) -> None:
    """Note the jobs of a plan, so that the next one can say what changed. Nothing depends on it."""
    path = _jobs_of(plan, work)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({job.label: {"fp": job.fp, "args": job.args} for job in jobs}))


def jobs_before(plan: Plan, work: Path) -> dict[str, dict]:
    """{label: {"fp", "args"}} of the last plan of a manifest of this name; none where it was not planned, or the note
    is damaged."""
    try:
        noted = json.loads(read_note(_jobs_of(plan, work)))
        return {label: {"fp": job["fp"], "args": dict(job["args"])} for label, job in noted.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _jobs_of(plan: Plan, work: Path) -> Path:
    return Path(work) / "plans" / f"{plan.manifest.name}.json"


def _plain(value: object) -> dict:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _job(noted: dict) -> Job:
    where = {name: File(**at) if isinstance(at, dict) else at for name, at in noted["where"].items()}
    return Job(**noted | {"where": where, "upstream": tuple(noted["upstream"])})


def _lane(noted: dict) -> Lane:
    partition = noted["partition"]
    if partition is not None:
        held = [(File(**piece["file"]), piece["rows"]) for piece in partition["pieces"]]
        pieces = tuple(Piece(file, tuple(rows) if rows else None) for file, rows in held)
        pictures = tuple(File(**place) for place in partition["pictures"])
        partition = Partition(**partition | {"pieces": pieces, "pictures": pictures})
    return Lane(**noted | {"partition": partition})


def _digest(path: Path, body: str) -> str:
    """Of a note and its name: the note of another manifest, copied here, is damage too."""
    return hashlib.sha256(f"{path.name}\n{body}".encode()).hexdigest()
