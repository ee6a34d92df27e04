"""Manifest and inputs to a Plan: jobs, their fingerprints, and who reads whose part. Pure: nothing is read or run.

The documents of a source file (or of a range of a big one, or of a bundle of small ones) are a *partition*; they keep
their order for good. A partition goes through the plan as a `Lane`, which gathers map stages until something needs
their result, and knows which part holds each column.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from curate.documents import COLUMNS, REJECT, TRANSIENT
from curate.errors import CurateError, ManifestError, did_you_mean
from curate.job import Job, fingerprint
from curate.lane import Lane, input_bytes, types_of
from curate.manifest import Call, Manifest
from curate.mix.tokens import Encoding, encoding
from curate.sources import File
from curate.sources.partitions import Partition
from curate.stage import arrow_type
from curate.vocabulary.features import plainer

PUBLISHED = ("id", "text", "source", "path", "url", "date", "language", "license", "n_tokens", "meta")
"""Columns of a released row, as far as the documents have them."""

EVIDENCE = ("id", "source", "path", "position", "url", "duplicate_of", "similarity", "cluster", "meta")
EVIDENCE += ("contamination", "contamination_ngram", "contamination_share", "selection_cluster", "selection_rank")
"""What a rejected document is recorded with, as far as it has it, beside its stage and reason."""

CLUSTERS = ("id", "source", "path", "position", "url", "cluster", "cluster_size", "duplicate_of", "similarity")
"""What a document that near-duplicates join with others is recorded with, kept or not."""

OVERLAPS = ("id", "source", "path", "position", "url")
OVERLAPS += ("contamination", "contamination_ngram", "contamination_ngrams", "contamination_share")
"""What a document that has n-grams in common with an evaluation set is recorded with, kept or not."""

BIN_BYTES = 256 << 20
"""Input for which a group stage has one bin more, unless its `bins` says how many."""


@dataclass(frozen=True)
class Shard:
    """A shard of an earlier release. data, index: its files, the index aligned row by row; columns: {name: type}; rows:
    as its lock has them; keys: what the index has, {"column", "width" (bytes of a value)}."""

    release: str
    number: int
    of: int
    data: File
    index: File | None
    columns: dict[str, str]
    rows: int | None = None
    keys: dict | None = None


@dataclass
class Plan:
    """All jobs before the shards, in an order in which they can run, and the lanes they leave behind."""

    manifest: Manifest
    lanes: list[Lane]
    jobs: dict[str, Job]
    mix: str
    unit: str
    """What the mixture is measured in."""
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


class Planner:
    """Adds jobs to a plan. The same job asked for twice is one."""

    def __init__(self):
        self.jobs: dict[str, Job] = {}
        self.problems: list[CurateError] = []
        self.references: list[Lane] = []
        self.resources: dict[str, str] = {}
        self.held: dict | None = None
        self.encoding: Encoding | None = None
        self.labels: dict[str, str] = {}
        self.equipped: set[int] = set()
        self.tried: set[tuple] = set()
        self.scope = ""

    def add(self, task: str, label: str, args: dict, upstream: Iterable[str] = (), where: dict | None = None) -> str:
        """Add a job, or find it. where: also {part that stands in its identity: the one that it reads instead}."""
        upstream = tuple(dict.fromkeys(filter(None, upstream)))
        fp, where = fingerprint(task, args, upstream), where or {}
        if self.labels.setdefault(label, fp) != fp:  # a stage of all sources that a source's own list has as well
            label += ", all sources"
        read = tuple(where.get(part, part) for part in upstream)
        self.jobs.setdefault(fp, Job(fp, task, label, args, self.resources | where, read, self.scope))
        return fp

    def gate(self, label: str, fps: list[str]) -> str:
        """One job that all of these go through, so that many that read many are not joined each to each."""
        return self.add("gate", f"{label}, all", {"parts": fps}, fps)

    # Map stages

    def push(self, lane: Lane, call: Call) -> None:
        """Let a map stage wait for its neighbours, or start a job where it must have its own."""
        if call.stage.alone:
            self.flush(lane)
        if self.has_resources(call) and self.has_columns(lane, call) and self.succeeds(lane, call):
            lane.waiting.append(call)
        lane.types |= call.adds

    def has_resources(self, call: Call) -> bool:
        """Whether the files that the stage needs are at hand, downloaded if they must be."""
        if id(call) in self.equipped:
            return True
        try:
            self.resources |= call.stage.resources(call.params)
        except CurateError as error:
            at = f"; looked for at {error.where}" if error.where else ""
            self.problems.append(CurateError(error.what + at, call.place, error.fix))
            return False
        self.equipped.add(id(call))
        return True

    def encode(self, manifest: Manifest) -> None:
        """Find the tokenizer of the token shards, and what they need of it."""
        if manifest.document.tokens:
            try:
                self.encoding, path = encoding(manifest.document.tokens)
            except CurateError as error:
                where = f"{manifest.path or 'manifest'}  tokens.{error.where}"
                self.problems.append(CurateError(error.what, where, error.fix))
            else:
                self.resources[self.encoding.tokenizer] = str(path)

    def has_columns(self, lane: Lane, call: Call) -> bool:
        """Whether the lane has what the stage reads. What is missing becomes a problem."""
        missing = [name for name in call.reads if name not in lane.types]
        if not lane.parts:  # what is no archive has no payload, and stages that read one know
            missing = [name for name in missing if name not in TRANSIENT]
        for name in missing:
            what = f"no column `{name}` for stage `{call.label}` in source `{lane.source}`"
            fix = did_you_mean(name, lane.types)
            if name in TRANSIENT:
                fix = f"put `{call.label}` before filters and stages that compare documents: a payload is read once"
            self.problems.append(CurateError(what, call.place, fix))
        return not missing

    def succeeds(self, lane: Lane, call: Call) -> bool:
        """Try a stage on no documents, if it is one that can tell more mistakes that way."""
        if not call.stage.dry:
            return True
        reads = [name for name in call.reads if name in lane.types]
        tried = (id(call), *(lane.types[name] for name in reads))
        if tried in self.tried:
            return True
        columns = {name: pa.array([], arrow_type(lane.types[name])) for name in reads}
        try:
            call.stage.function(pa.table(columns), **call.params)
        except CurateError as error:
            self.problems.append(call.blame(error))
            return False
        self.tried.add(tried)
        return True

    def flush(self, lane: Lane) -> None:
        """Make one job of the map stages that wait; of none, where nothing has read the partition yet."""
        if lane.parts and not lane.waiting:
            return
        calls, lane.waiting = lane.waiting, []
        # What a stage makes anew is read as well: rows that are out keep what they have.
        made: dict[str, None] = {} if lane.parts else dict.fromkeys(COLUMNS)
        wanted: dict[str, None] = {}
        for call in calls:
            wanted |= {name: None for name in call.reads if name not in made}
            wanted |= {name: None for name in call.stage.declared.changes if name not in made}
            made |= dict.fromkeys([*call.adds, *call.stage.declared.changes])
        if "text" in made:
            made["n_bytes"] = None
        args = {
            "lane": lane.source,
            "stages": [{"label": call.label, **call.identity} for call in calls],
            "columns": {name: lane.types[name] for name in made},
        }
        what = ", ".join(call.label for call in calls) or "read"
        if lane.parts:
            reading = lane.reading([*wanted, "n_bytes", *(name for name in made if name in lane.columns)])
            args["reading"] = reading
            fp = self.add("map", f"{lane.name}: {what}", args, reading)
        else:
            args["read"] = lane.partition.identity
            where = {piece.file.path: piece.file for piece in lane.partition.pieces}
            fp = self.add("map", f"{lane.name}: {what}", args, where=where)
            for column in TRANSIENT:
                lane.types.pop(column, None)
        self.settle(lane, fp, made)

    def settle(self, lane: Lane, fp: str, columns: Iterable[str]) -> None:
        """Note that a part holds these columns of the lane, and who is out by now."""
        if not lane.parts:
            lane.types = {name: kind for name, kind in lane.types.items() if name not in TRANSIENT}
        lane.parts.append(fp)
        lane.columns |= dict.fromkeys([*columns, REJECT.name], fp)

    def adopt(self, shard: Shard, priority: int) -> Lane:
        """The lane of a shard of an earlier release: its files are parts as they stand."""
        lane = Lane(shard.release, shard.number, shard.of, None, priority)
        for file in (shard.data, shard.index):
            if file is not None:
                label = f"{lane.name}: {file.path}"
                args = {"digest": file.digest, "rows": shard.rows}
                args |= shard.keys if file is shard.index else {}
                fp = self.add("adopt", label, args, where={"url": file.url})
                lane.parts.append(fp)
                names = shard.columns if file is shard.data else {"band_keys": "binary"}
                lane.types = names | lane.types
                lane.columns = dict.fromkeys(names, fp) | lane.columns
        return lane

    # Group stages

    def group(self, lanes: list[Lane], call: Call) -> None:
        """Plan the steps of a group stage over these lanes, and the part each lane gets of its verdicts.

        Documents of earlier releases take part where the stage is over all sources, and get no verdict.
        """
        for lane in lanes:
            self.flush(lane)
            self.has_columns(lane, call)
        if not self.has_resources(call) or self.problems:
            return
        params = dict(call.params)
        if params.get("bins") == 0:
            params["bins"] = min(1 << (input_bytes(lanes) // BIN_BYTES).bit_length(), 1024)
        taking_part = lanes if self.scope or call.stage.new_only else [*lanes, *self.references]
        said = before = self.steps(taking_part, call, params)
        if params.get("bins", 1) != 1:  # where the work is cut says nothing of the verdicts
            params["bins"], aside = 1, Planner()
            aside.held = self.held
            said = aside.steps(taking_part, call, params)
        last, identity = call.stage.steps(params)[-1]
        applied = last.over == "apply"  # carried out where verdicts are collected
        types = types_of(lanes)
        columns = call.adds | {name: types[name] for name in call.stage.declared.changes}
        if "text" in columns:
            columns["n_bytes"] = "int64"
        for place, lane in enumerate(lanes):
            needed = ["n_bytes", *(("id", *call.reads) if applied else ())]
            reading = lane.reading([*needed, *(name for name in columns if name in lane.columns)])
            args = {"label": call.label, "place": place, "before": said, "columns": columns, "reading": reading}
            args |= {"lane": lane.source} | ({"call": identity} if applied else {})
            label, where = f"{lane.name}: {call.label}", {said: before} if said != before else {}
            fp = self.add("collect", label, args, [*reading, said], where)
            lane.types |= columns
            self.settle(lane, fp, columns)

    def steps(self, lanes: list[Lane], call: Call, params: dict) -> str:
        """Plan the steps of a group stage, without one that is applied. Returns the gate of its verdicts."""
        before, bins, local, types = "", 0, False, types_of(lanes)
        everything, whose = ("id", "priority", *call.reads), {"label": call.label}
        for number, (step, identity) in enumerate(call.stage.steps(params)):
            if step.over == "apply":
                break
            base = {"call": identity, "over": step.over, "bins": step.bins} | ({"local": True} if local else {})
            base |= {"before": before} if before else {}
            label = f"{f'{self.scope}: ' if self.scope else ''}{call.label} {number + 1}"
            if step.over == "docs":
                index = call.stage.index if number == 0 else None
                fps = []
                for place, lane in enumerate(lanes):
                    indexed = index and index.column in lane.columns
                    names = (index.column,) if indexed else everything if step.reads is None else step.reads
                    args = self.documents(lane, names, types)
                    args |= base | ({"place": place} if before else {})
                    fps.append(self.add("step", f"{label}, {lane.name}", args, [*args["reading"], before], whose))
            elif step.over == "bins":
                fps = [
                    self.add("step", f"{label}, bin {bin + 1}/{bins}", base | {"bin": bin}, [before], whose)
                    for bin in range(bins)
                ]
            else:
                heads = self.gate(f"{label} counts", [lane.parts[-1] for lane in lanes])
                fps = [self.add("step", label, base | {"heads": heads}, [before, heads], whose)]
            before, bins, local = self.gate(label, fps), step.bins, step.over == "docs"
        return before

    def documents(self, lane: Lane, names: tuple[str, ...], types: dict[str, str]) -> dict:
        """What a job must know to read these columns, one of which may be `priority`, of a lane."""
        args = {}
        if "priority" in names:
            args["priority"] = lane.priority
            if self.held and lane.partition:
                args["held"], names = self.held, ("id", *names)
        args["reading"] = lane.reading(names) or lane.reading(["id"])
        return args | {"types": {name: types[name] for name in names if name in types}}

    def finish(self, manifest: Manifest, lanes: list[Lane]) -> Plan:
        """Add what comes after all stages: the order of the documents, the mixture, the evidence."""
        order, mixture = [], manifest.document.mixture
        unit = mixture.unit or ("tokens" if all("n_tokens" in lane.types for lane in lanes) else "bytes")
        needed = {"by": mixture.by} | ({"unit": "n_tokens"} if unit == "tokens" else {})
        for lane in lanes:
            for setting, name in needed.items():
                if name not in lane.types:
                    what = f"no column `{name}` for the mixture in source `{lane.source}`"
                    fix = "add the stage `tokens`, or measure in bytes" if setting == "unit" else ""
                    place = f"mixture.{setting}"
                    self.problems.append(CurateError(what, place, fix or did_you_mean(name, lane.types)))
            reading = lane.reading(["id", "n_bytes", mixture.by, "n_tokens"])
            args = {"reading": reading, "seed": manifest.document.seed, "by": mixture.by}
            order.append(self.add("order", f"{lane.name}: order", args, reading))
        self.check()
        before = self.gate("order", order)
        args = {"before": before, "shard_bytes": manifest.document.shards.size}
        args |= {"unit": unit, "mixture": mixture.choice(), "version": 2}
        mix = self.add("mix", "mix", args, [before])
        drawn = "" if mixture.takes_everything else mix
        evidence = {"evidence/rejected.parquet": self.evidence(lanes, "rejected", EVIDENCE, drawn)}
        asked = [call for call in manifest.stages if call.stage.name == "removed"]
        if asked:
            names, lists = ("id", "removed_in", "removed_by", "removed_url", "removed_text"), {}
            for call in asked:
                lists |= call.identity["params"]["lists"]
            more = {"version": manifest.version, "call": {"params": {"lists": lists}}}
            evidence["evidence/removed.parquet"] = self.evidence(lanes, "removed", names, **more)
        if any("cluster" in lane.columns for lane in lanes):
            evidence["evidence/near_duplicates.parquet"] = self.evidence(lanes, "near_duplicates", CLUSTERS)
        if any("contamination" in lane.columns for lane in lanes):
            evidence["evidence/decontamination.parquet"] = self.evidence(lanes, "decontamination", OVERLAPS)
        return Plan(manifest, lanes, self.jobs, mix, unit, evidence, self.references, self.encoding, self.resources)

    def check(self) -> None:
        """Raise ManifestError with all problems so far, if there are any."""
        if self.problems:
            unique = {str(problem): problem for problem in self.problems}
            raise ManifestError(list(unique.values()))

    def evidence(self, lanes: list[Lane], kind: str, names: tuple[str, ...], drawn: str = "", **more) -> str:
        readings = [lane.reading(name for name in names if name in lane.columns) for lane in lanes]
        types = {name: lane.types[name] for lane in lanes for name in names if name in lane.columns}
        upstream = [fp for reading in readings for fp in reading]
        args = {"readings": readings, "types": types} | ({"drawn": drawn} if drawn else {}) | more
        return self.add(kind, f"evidence: {kind}", args, [*upstream, drawn])


def make(manifest: Manifest, inputs: dict[str, list[Partition]], against: Iterable[Shard] = ()) -> Plan:
    """Plan a manifest over its partitions. Raises ManifestError where a stage reads what is not there.

    inputs   {source: its partitions}, in the manifest's order
    against  shards of earlier releases, whose documents come first in every keep order
    """
    planner, lanes = Planner(), []
    first = min((source.priority for source in manifest.document.sources.values()), default=0)
    if share := manifest.document.mixture.validation:  # what resembles a document that is held out goes, not that one
        planner.held = {"seed": manifest.document.seed, "share": share, "priority": first - 1}
    for shard in against:
        planner.references.append(planner.adopt(shard, first - 2))
    for name, source in manifest.document.sources.items():
        partitions = inputs[name]
        mine = [
            Lane(name, number, len(partitions), partition, source.priority)
            for number, partition in enumerate(partitions)
        ]
        for lane in mine:
            lane.types = {column: str(spec.type) for column, spec in COLUMNS.items()}
            if lane.partition.archive:
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
    planner.encode(manifest)
    planner.check()
    return planner.finish(manifest, lanes)


def _unpublishable(manifest: Manifest, lanes: list[Lane]) -> Iterator[CurateError]:
    """The columns to publish that are not there, or of a type that `datasets` does not have."""
    where = f"{manifest.path or 'manifest'}  shards.columns"
    known = {name: kind for lane in lanes for name, kind in lane.types.items()}
    for name in manifest.document.shards.columns:
        if name not in known:
            yield CurateError(f"no column `{name}` to publish", where, did_you_mean(name, known))
            continue
        try:
            plainer(known[name])
        except ValueError as error:
            fix = "leave it out, or have its stage add it as another type, such as text"
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


class Shards(NamedTuple):
    """What writes the shards: jobs, and fingerprints of what sends documents, of the shards, their index and their
    tokens, in order."""

    jobs: list[Job]
    scattered: list[str]
    data: list[str]
    index: list[str]
    tokens: list[TokenParts]


def shards(plan: Plan, splits: list[dict]) -> Shards:
    """The jobs that write the shards of splits, as the mixture has cut them.

    They are planned once the mixture is made, since it is what knows how many there are.
    """
    planner, lanes, document = Planner(), plan.lanes, plan.manifest.document
    planner.resources = plan.resources
    known = {name: kind for lane in lanes for name, kind in lane.types.items()}
    wanted = dict.fromkeys([*PUBLISHED, *document.shards.columns])
    types = {name: plainer(known[name]) for name in wanted if name in known}
    scattered = []
    for place, lane in enumerate(lanes):
        reading = lane.reading([name for name in types if name in lane.columns])
        license = document.sources[lane.source].license or document.license
        args = {"reading": reading, "types": types, "place": place, "mix": plan.mix, "license": license, "version": 2}
        scattered.append(planner.add("scatter", f"{lane.name}: scatter", args, [*reading, plan.mix]))
    before = planner.gate("scatter", scattered)
    data, index, tokens = [], [], []
    call, count = plan.manifest.indexed, sum(split["shards"] for split in splits)
    if document.extends and plan.encoding:  # the tokens of its shards are made anew, as this manifest wants them
        old = plan.references[: plan.references[0].of] if plan.references else []
        tokens += [_tokens(planner, plan, lane.name, lane.parts[0], 0, splits) for lane in old]
    of_split = [place for place, split in enumerate(splits) for _ in range(split["shards"])]
    for number, split in enumerate(of_split):
        label = f"shard {number + 1}/{count}"
        data.append(planner.add("shard", label, {"number": number, "before": before}, [before]))
        if call:
            args = {"call": call.stage.indexing(call.params), "shard": data[-1]}
            index.append(planner.add("index", f"{label}: index", args, [data[-1]]))
        if plan.encoding:
            tokens.append(_tokens(planner, plan, label, data[-1], split, splits))
    return Shards(list(planner.jobs.values()), scattered, data, index, tokens)


def _tokens(planner: Planner, plan: Plan, label: str, shard: str, split: int, splits: list[dict]) -> TokenParts:
    """Plan the tokens of a shard, and its sequences where a format has such."""
    asked, mixture = plan.manifest.document.tokens, plan.manifest.document.mixture
    args = {"call": plan.encoding.identity, "shard": shard}
    tokenized, packed = planner.add("tokenize", f"{label}: tokenize", args, [shard]), None
    if asked.packs:
        args = {"tokenized": tokenized, "context": asked.context_of(splits[split]["phase"], mixture)}
        args |= {"pack": asked.pack, "pad": plan.encoding.pad}
        packed = planner.add("pack", f"{label}: pack", args, [tokenized])
    return TokenParts(tokenized, packed, split)
