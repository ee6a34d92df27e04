"""Make the lock of a run from its plan, what its jobs counted, and the parts of the release."""

from collections.abc import Sequence
from importlib.metadata import version

from curate.engine.damage import file_reads, told
from curate.engine.job import Job
from curate.engine.plan import Plan, TokenParts
from curate.engine.shard_tasks import add
from curate.engine.store import Store
from curate.engine.token_tasks import tokens_of
from curate.manifest.manifest import Manifest
from curate.mix.mixture import notes
from curate.release.checked_lock import check
from curate.release.lock import FORMAT, release_digest, shard_names
from curate.release.typed_lock import File, Lock
from curate.sources import FileRead

REJECTED, CLUSTERS, REMOVED = (f"evidence/{name}.parquet" for name in ("rejected", "near_duplicates", "removed"))


def lay_out(plan: Plan, store: Store, shards: list[str], index: list[str]) -> dict[str, str]:
    """{path in the release: fingerprint of the part that lies there}. shards, index: in order."""
    names = shard_names(store.marker(plan.mix)["splits"])
    parts = {f"data/{name}": fp for name, fp in zip(names, shards, strict=True)}
    parts |= {f"index/{name}": fp for name, fp in zip(names, index, strict=False)}
    return parts | plan.evidence


def deduplicating(manifest: Manifest) -> list[str]:
    """The stages over all sources that keep only one of documents that are alike."""
    return [call.label for call in manifest.stages if call.stage.kind == "group" and "keep" in call.params]


def make_lock(
    plan: Plan,
    store: Store,
    parts: dict[str, str],
    tokens: list[TokenParts],
    scattered: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> Lock:
    """The lock of a run, from its plan, what its jobs counted, and the parts that lie in the release.

    scattered  the parts that documents went to their shards by, which know each document once
    warnings   what the run has to say beside its numbers

    Raises CurateError for token shards without one full sequence.
    """
    manifest, document = plan.manifest, plan.manifest.spec
    files = [_file(store, path, fp) for path, fp in parts.items()]
    mixture, once = _mixture(plan, store), _once(store, scattered)
    rejected = store.marker(plan.evidence[REJECTED])
    made = {
        "lock": FORMAT,
        "name": manifest.name,
        "version": manifest.version,
        "license": document.license,
        "publish": document.publish.model_dump(),
        "description": document.description.strip(),
        "card": manifest.card,
        "digest": release_digest(files),
        "documents": sum(count["documents"] for count in once.get("source", {}).values()),
        "drawn": sum(split["documents"] for split in mixture["splits"]),
        "rejected": rejected["rows"],
        "sources": _sources(plan, store),
        "stages": _stages(plan, store),
        "kept": _kept(plan, store),
        "composition": _composition(store, parts),
        "unique": once,
        "columns": _columns(store, parts),
        "examples": rejected["examples"],
        "clusters": _counted(plan, store, CLUSTERS, "clusters"),
        "removed": _counted(plan, store, REMOVED, "removed"),
        "mixture": mixture,
        "tokens": tokens_of(plan, store, tokens, mixture["splits"]) if plan.encoding else None,
        "files": files,
        "index": manifest.indexed.stage.index.scheme(**manifest.indexed.params) if manifest.indexed else None,
        "versions": _versions(plan),
        "warnings": [*warnings],
    }
    return check(made, "lock.json")


def _file(store: Store, path: str, fp: str) -> File:
    """The entry of a file that is a part of the store."""
    marker = store.marker(fp)
    return File(
        path=path, **{name: marker[name] for name in ("rows", "text_bytes", "bytes", "sha256") if name in marker}
    )


def _composition(store: Store, parts: dict[str, str]) -> dict:
    """{column: {value: amount}} of the rows of all shards."""
    found: dict = {}
    for fp in parts.values():
        add(found, store.marker(fp).get("composition", {}))
    return _in_order(found)


def _once(store: Store, scattered: Sequence[str]) -> dict:
    """{column: {value: amount}} of the documents, each once."""
    found: dict = {}
    for fp in scattered:
        add(found, store.counts(fp)["unique"])
    return _in_order(found)


def _in_order(composition: dict) -> dict:
    return {name: dict(sorted(counts.items())) for name, counts in composition.items()}


def _counted(plan: Plan, store: Store, path: str, name: str) -> list:
    """What the job of a file of evidence counted, where there is one."""
    fp = plan.evidence.get(path)
    return store.marker(fp)[name] if fp else []


def _mixture(plan: Plan, store: Store) -> dict:
    """What was asked of the mixture and what came of it, by split and key."""
    mixture, mixed = plan.manifest.spec.mixture, store.marker(plan.mix)
    asked = {phase.name: {"experimental": phase.experimental} for phase in mixture.phases}
    for phase in mixture.phases:
        asked[phase.name] |= {"context": phase.context} if phase.context else {}
    return {
        "by": mixture.told_apart_by if len(mixture.told_apart_by) > 1 else mixture.told_apart_by[0],
        "unit": plan.unit,
        "repeats": mixture.most_repeats,
        "left_out": mixed["left_out"],
        **{name: plan.choice[name] for name in ("curve", "rehydrate") if name in plan.choice},
        "notes": notes(mixture, plan.choice, plan.unit, deduplicating(plan.manifest)),
        "splits": [asked.get(split["phase"], {"experimental": False}) | split for split in mixed["splits"]],
    }


def _stages(plan: Plan, store: Store) -> list[dict]:
    """The stages in the order of the manifest, each with what it was asked and what it counted by source."""
    counted: dict[tuple[str, str], dict[str, dict]] = {}
    for job in _working(plan):
        marker = store.marker(job.fp)
        for label, count in marker["stages"].items():
            add(counted.setdefault((job.scope, label), {}).setdefault(marker["source"], {}), count)
    return [
        {
            "scope": scope or "all",
            "label": call.label,
            **call.identity,
            "max_removed": call.max_removed,
            "notes": call.stage.notes(call.params),
            "scheme": call.stage.index.scheme(**call.params) if call.stage.index else None,
            "sources": counted.get((scope, call.label), {}),
        }
        for scope, call in plan.manifest.calls
    ]


def _sources(plan: Plan, store: Store) -> dict[str, dict]:
    """The sources with what was read of them, file by file."""
    document, reads = plan.manifest.spec, file_reads(plan, store)
    found: dict[str, dict] = {
        name: {
            "description": source.description,
            "license": source.license or document.license,
            "read": {"in": 0, "kept": 0, "reasons": {}},
            "skipped": {},
            "files": {},
            "not_taken": plan.not_taken.get(name, []),
        }
        for name, source in document.sources.items()
    }
    for job in _working(plan):
        if "read" in job.args:
            marker = store.marker(job.fp)
            source = found[marker["source"]]
            add(source["read"], marker["read"])
            add(source["skipped"], marker["skipped"])
            for path, file_digest, _ in job.args["read"]["pieces"]:  # a file that is read in ranges is one entry
                entry = source["files"].setdefault(path, {"path": path, "digest": file_digest, "documents": 0})
                entry["documents"] += marker["files"][path]
    for name, source in found.items():
        source["files"] = [entry | told(reads[name].get(path, FileRead())) for path, entry in source["files"].items()]
    return found


def _versions(plan: Plan) -> dict[str, str]:
    """{package: version} of all that affects the result."""
    found = {"pyarrow": version("pyarrow")} | (plan.encoding.packages if plan.encoding else {})
    for job in _working(plan):
        for call in [*job.args.get("stages", []), *([job.args["read"]] if "read" in job.args else [])]:
            found |= call["packages"]
    return dict(sorted(found.items()))


def _working(plan: Plan) -> list[Job]:
    """The jobs that count documents."""
    return [job for job in plan.jobs.values() if job.task in ("map", "collect")]


def _kept(plan: Plan, store: Store) -> dict[str, dict]:
    """Documents and bytes of each source that no stage rejected."""
    kept: dict[str, dict] = {}
    for lane in plan.lanes:
        last = store.marker(lane.parts[-1])
        add(kept.setdefault(lane.source, {}), {"documents": last["kept"], "bytes": last["kept_bytes"]})
    return kept


def _columns(store: Store, parts: dict[str, str]) -> dict[str, str]:
    """{column: Arrow type} of the shards."""
    first = next((fp for path, fp in parts.items() if path.startswith("data/")), None)
    return {field.name: str(field.type) for field in store.open(first).schema_arrow} if first else {}
