"""From a manifest and its inputs to a Plan: jobs, fingerprints, and which job reads which part.

Pure: nothing is read or run.

The documents of a source file (or of a range of a big one, or of a bundle of small ones) are a *partition*; they keep
their order for good. A partition goes through the plan as a `Lane`, which gathers map stages until something needs
their result, and knows which part holds each column.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from curate.base.features import plainer
from curate.dedup import bucket
from curate.documents import COLUMNS, MORE, TRANSIENT
from curate.engine.job import Job
from curate.engine.lane import Lane
from curate.engine.mix_ranges import plan_ranges
from curate.engine.planner import EarlierShard, Planner
from curate.errors import CurateError, did_you_mean
from curate.manifest.call import Call
from curate.manifest.manifest import Manifest
from curate.mix.ranges import ranges_for
from curate.sources.partitions import Partition
from curate.tokens.requested import Encoding

PUBLISHED = ("id", "text", *MORE, "source", "path", "url", "date", "language", "license", "n_tokens", "meta")
PUBLISHED += ("role_tokens", "verified")
"""Columns of a released row, as far as the documents have them."""

EVIDENCE = ("id", "source", "path", "position", "url", "duplicate_of", "similarity", "cluster", "meta")
EVIDENCE += ("contamination", "contamination_ngram", "contamination_share", "selection_cluster", "selection_rank")
EVIDENCE += ("final_answer", "gold_answer", "unverifiable")
"""What a rejected document is recorded with, as far as it has it, beside its stage and reason."""

CLUSTERS = ("id", "source", "path", "position", "url", "cluster", "cluster_size", "duplicate_of", "similarity")
CLUSTERS += ("n_duplicates", "n_duplicate_sources", "duplicate_sources")
"""What a document that near-duplicates join with others is recorded with, kept or not."""

OVERLAPS = ("id", "source", "path", "position", "url")
OVERLAPS += ("contamination", "contamination_ngram", "contamination_ngrams", "contamination_share")
"""What a document that has n-grams in common with an evaluation set is recorded with, kept or not."""


REPEATS = ("id", "source", "path", "position", "url", "n_bytes_repeated", "repeated_passages")
"""What a document that lost passages is recorded with, kept or not."""


MISSING = {
    "unit": "add the stage `tokens`, or measure in bytes",
    "rehydrate": "add `counts: source` to `exact_dedup` or `near_dedup`",
}
"""{setting of the mixture: what to do where the column it needs is missing}"""


EVIDENCE_GROUP = 64
"""Partitions of which one job chooses evidence."""


@dataclass
class Plan:
    """All jobs before the shards, in an order in which they can run, and the lanes they leave behind."""

    manifest: Manifest
    lanes: list[Lane]
    jobs: dict[str, Job]
    mix: str
    unit: str
    """What the mixture is measured in."""
    choice: dict
    """What the mixture came to, see `Mixture.choice`."""
    evidence: dict[str, str]
    """{path in the release: fingerprint}"""
    references: list[Lane]
    """Shards of earlier releases."""
    encoding: Encoding | None
    """How documents become tokens, where token shards are asked for."""
    resources: dict[str, str]
    """{digest: path} of the files that jobs need."""
    not_taken: dict[str, list[dict]] = field(default_factory=dict)
    """{source: files that were found and not read}, as `curate.sources.inputs.Found` has them."""


def make(manifest: Manifest, inputs: dict[str, list[Partition]], against: Iterable[EarlierShard] = ()) -> Plan:
    """Plan a manifest over its partitions. Raises ManifestError where a stage reads what is not there.

    inputs   {source: its partitions}, in the manifest's order
    against  shards of earlier releases, whose documents come first in every keep order
    """
    planner, lanes = Planner(), []
    planner.indexed = manifest.indexed
    first = min((source.priority for source in manifest.spec.sources.values()), default=0)
    if share := manifest.spec.mixture.validation:  # what resembles a document that is held out goes, not that one
        planner.held = {"seed": manifest.spec.seed, "share": share, "priority": first - 1}
    for shard in against:
        planner.references.append(planner.earlier_shard(shard, first - 2))
    for name, source in manifest.spec.sources.items():
        partitions = inputs[name]
        mine = [
            Lane(name, number, len(partitions), partition, source.priority)
            for number, partition in enumerate(partitions)
        ]
        for lane in mine:
            lane.types = {column: str(spec.type) for column, spec in COLUMNS.items()}
            lane.types |= {column: str(MORE[column].type) for column in lane.partition.more}
            if lane.partition.payload:
                lane.types |= {column: str(spec.type) for column, spec in TRANSIENT.items()}
        planner.scope = name
        _through(planner, mine, manifest.pipelines[name])
        for lane in mine:
            planner.flush(lane)
        lanes += mine
    planner.scope = ""
    _through(planner, lanes, manifest.stages)
    for lane in lanes:
        planner.flush(lane)
    planner.problems += _unpublishable(manifest, lanes)
    planner.encode(manifest, lanes)
    planner.check()
    return _finish(planner, manifest, lanes)


def _finish(planner: Planner, manifest: Manifest, lanes: list[Lane]) -> Plan:
    """Add what comes after all stages: the order of the documents, the mixture, the evidence."""
    order, mixture, choice = [], manifest.spec.mixture, _choice(planner, manifest)
    unit = mixture.unit or ("tokens" if all("n_tokens" in lane.types for lane in lanes) else "bytes")
    ranges = ranges_for(len(lanes))
    needed = [("by", name) for name in mixture.columns] + ([("unit", "n_tokens")] if unit == "tokens" else [])
    needed += [("curve", mixture.curve.column)] if mixture.curve else []
    needed += [("rehydrate", "n_duplicates")] if mixture.rehydrate else []
    for lane in lanes:
        for setting, name in needed:
            if name not in lane.types:
                what = f"no column `{name}` for the mixture in source `{lane.source}`"
                fix = MISSING.get(setting) or did_you_mean(name, lane.types)
                planner.problems.append(CurateError(what, f"mixture.{setting}", fix))
        pictures = next((name for name in ("image_bytes", "images") if name in lane.columns), "id")
        reading = lane.reading(["id", "n_bytes", *(name for _, name in needed), "n_tokens", pictures])
        args = {"reading": reading, "seed": manifest.spec.seed, "by": mixture.by}
        args |= {"ranges": ranges} if ranges > 1 else {}
        args |= {"bucket": mixture.curve.column} if mixture.curve else {}
        args |= {"copies": True} if mixture.rehydrate else {}
        order.append(planner.add("order", f"{lane.name}: order", args, reading))
    planner.check()
    before = planner.barrier("order", order)
    args = {"before": before, "shard_bytes": manifest.spec.shards.size}
    args |= {"unit": unit, "mixture": choice, "version": 3}
    mix = planner.add("mix", "mix", args, [before]) if ranges == 1 else plan_ranges(planner, before, args, ranges)
    drawn = "" if mixture.takes_everything else mix
    evidence = {"evidence/rejected.parquet": _evidence(planner, lanes, "rejected", EVIDENCE, drawn)}
    asked = [call for call in manifest.stages if call.stage.name == "removed"]
    if asked:
        names, lists = ("id", "removed_in", "removed_by", "removed_url", "removed_text"), {}
        for call in asked:
            lists |= call.identity["params"]["lists"]
        more = {"version": manifest.version, "call": {"params": {"lists": lists}}}
        evidence["evidence/removed.parquet"] = _evidence(planner, lanes, "removed", names, **more)
    if any("cluster" in lane.columns for lane in lanes):
        evidence["evidence/near_duplicates.parquet"] = _evidence(planner, lanes, "near_duplicates", CLUSTERS)
    if any("contamination" in lane.columns for lane in lanes):
        evidence["evidence/decontamination.parquet"] = _evidence(planner, lanes, "decontamination", OVERLAPS)
    if any("repeated_passages" in lane.columns for lane in lanes):
        evidence["evidence/repeated_passages.parquet"] = _evidence(planner, lanes, "repeated_passages", REPEATS)
    return Plan(
        manifest,
        lanes,
        planner.jobs,
        mix,
        unit,
        choice,
        evidence,
        planner.references,
        planner.encoding,
        planner.resources,
    )


def _choice(planner: Planner, manifest: Manifest) -> dict:
    """What the mixture asks for; its curve by the buckets that a stage `bucket` makes."""
    mixture, found = manifest.spec.mixture, []
    if mixture.curve:
        for _, call in manifest.calls:
            if call.stage.name == "bucket" and mixture.curve.column in call.adds:
                found.append(bucket.edges(call.params["buckets"]))
        if not found or any(edges != found[0] for edges in found):
            what = f"no stage `bucket` adds `{mixture.curve.column}`, which the curve needs"
            if found:
                what = f"the buckets of `{mixture.curve.column}` do not begin at the same percentiles in all sources"
            planner.problems.append(CurateError(what, "mixture.curve", "put one stage `bucket` into `stages`"))
    return mixture.choice(found[0] if found else None)


def _evidence(planner: Planner, lanes: list[Lane], kind: str, names: tuple[str, ...], drawn: str = "", **more) -> str:
    """The job that writes a file of evidence; of many partitions, from what other jobs chose of groups of them."""
    readings = [lane.reading(name for name in names if name in lane.columns) for lane in lanes]
    args = {"types": {name: lane.types[name] for lane in lanes for name in names if name in lane.columns}}
    args |= ({"drawn": drawn} if drawn else {}) | more

    def add(task: str, label: str, mine: list[dict], also: dict) -> str:
        upstream = [fp for reading in mine for fp in reading]
        return planner.add(task, label, {"readings": mine} | args | also, [*upstream, drawn])

    label, groups = f"evidence: {kind}", range(0, len(lanes), EVIDENCE_GROUP)
    if kind == "removed" or len(groups) < 2:
        return add(kind, label, readings, {})
    parts = [
        add("chosen", f"{label} {n + 1}/{len(groups)}", readings[k : k + EVIDENCE_GROUP], {"kind": kind, "first": k})
        for n, k in enumerate(groups)
    ]
    return planner.add("joined", label, {"parts": parts}, parts)


def _unpublishable(manifest: Manifest, lanes: list[Lane]) -> Iterator[CurateError]:
    """The columns to publish that are not there, or of a type that `datasets` does not have."""
    where = f"{manifest.path or 'manifest'}  shards.columns"
    known = {name: kind for lane in lanes for name, kind in lane.types.items()}
    for name in manifest.spec.shards.columns:
        if name not in known:
            yield CurateError(f"no column `{name}` to publish", where, did_you_mean(name, known))
            continue
        try:
            plainer(known[name])
        except ValueError as error:
            fix = "leave it out, or change its type in the stage that adds it, for example to text"
            yield CurateError(f"column `{name}` cannot be published: {error}", where, fix)


def _through(planner: Planner, lanes: list[Lane], calls: list[Call]) -> None:
    for call in calls:
        if call.stage.kind == "map":
            for lane in lanes:
                planner.push(lane, call)
        else:
            planner.group(lanes, call)


class TokenParts(NamedTuple):
    """The parts of one token shard. packed: its sequences, if they are asked for; split: the number of its split."""

    tokenized: str
    packed: str | None
    split: int


class ShardJobs(NamedTuple):
    """What writes the shards: jobs, and fingerprints of what sends documents, of the shards, their index and their
    tokens, in order."""

    jobs: list[Job]
    scattered: list[str]
    data: list[str]
    index: list[str]
    tokens: list[TokenParts]


def shards(plan: Plan, splits: list[dict]) -> ShardJobs:
    """The jobs that write the shards of splits, as the mixture has cut them.

    They are planned once the mixture is made, since it is what knows how many there are.
    """
    planner, lanes, document = Planner(), plan.lanes, plan.manifest.spec
    planner.resources = plan.resources
    known = {name: kind for lane in lanes for name, kind in lane.types.items()}
    wanted = dict.fromkeys([*PUBLISHED, *document.shards.columns])
    types = {name: plainer(known[name]) for name in wanted if name in known}
    call, count = plan.manifest.indexed, sum(split["shards"] for split in splits)
    keys = {"keys": call.stage.index.column} if call and all(lane.indexed for lane in lanes) else {}
    scattered = []
    for place, lane in enumerate(lanes):
        reading = lane.reading([*(name for name in types if name in lane.columns), *keys.values()])
        license = document.sources[lane.source].license or document.license
        args = {"reading": reading, "types": types, "place": place, "mix": plan.mix, "license": license, "version": 2}
        args |= keys
        scattered.append(planner.add("scatter", f"{lane.name}: scatter", args, [*reading, plan.mix]))
    before, _ = planner.sent("scatter", scattered, count, size=sum(split["bytes"] for split in splits))
    data, index, tokens = [], [], []
    if document.extends and plan.encoding:  # the tokens of its shards are made anew, as this manifest wants them
        old = plan.references[: plan.references[0].of] if plan.references else []
        tokens += [_tokens(planner, plan, lane.name, lane.parts[0], 0, splits) for lane in old]
    of_split = [place for place, split in enumerate(splits) for _ in range(split["shards"])]
    for number, split in enumerate(of_split):
        label = f"shard {number + 1}/{count}"
        args = {"number": number, "before": before}
        data.append(planner.add("shard", label, args | {"columns": list(types)}, [before]))
        if call:
            args |= keys | {"call": call.stage.indexing(call.params)}
            more = [name for name in call.stage.index.more(**call.params) if name in types]
            args |= {"more": more} if more else {}
            index.append(planner.add("index", f"{label}: index", args, [before]))
        if plan.encoding:
            tokens.append(_tokens(planner, plan, label, data[-1], split, splits))
    return ShardJobs(list(planner.jobs.values()), scattered, data, index, tokens)


def _tokens(planner: Planner, plan: Plan, label: str, shard: str, split: int, splits: list[dict]) -> TokenParts:
    """Plan the tokens of a shard, and its sequences where a format has such."""
    asked, mixture = plan.manifest.spec.tokens, plan.manifest.spec.mixture
    args = {"call": plan.encoding.identity, "shard": shard}
    tokenized, packed = planner.add("tokenize", f"{label}: tokenize", args, [shard]), None
    if asked.packs:
        args = {"tokenized": tokenized, "context": asked.context_of(splits[split]["phase"], mixture)}
        args |= {"pack": asked.way, "pad": plan.encoding.pad} | ({"split": "never"} if asked.leaves_out else {})
        packed = planner.add("pack", f"{label}: pack", args, [tokenized])
    return TokenParts(tokenized, packed, split)
