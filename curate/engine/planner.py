"""Add jobs to a plan: fused map stages, steps of group stages, shards of earlier releases.

Pure: nothing is read or run.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from curate.base.messages import SAID
from curate.documents import COLUMNS, MORE, REJECT, RESERVED, TRANSIENT
from curate.engine.job import Job, fingerprint
from curate.engine.lane import Lane, text_bytes, types_of
from curate.errors import CurateError, ManifestError, did_you_mean
from curate.manifest.call import Call
from curate.manifest.manifest import Manifest
from curate.sources import File
from curate.stage_api import Step, arrow_type, which_adds
from curate.tokens.requested import Encoding, encoding

BIN_BYTES = 256 << 20
"""Text for which a group stage has one bin more, unless its `bins` says how many: it sends no more than that."""

MOST_SLICES = 1 << 17
"""Parts times bins from which on parts are merged before they are read: so that a reader opens few files."""

MERGED = 64
"""Parts that are merged to one."""

LARGE_SLICE = 64 << 10
"""Bytes of a slice that take longer to copy than a file to open."""


@dataclass(frozen=True)
class EarlierShard:
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


def changed(lane: Lane, call: Call) -> list[str]:
    """The columns of a lane that a stage changes: messages too, where it changes text."""
    changes = [*call.stage.declared.changes]
    return [*changes, *(name for name in SAID if name in lane.types)] if "text" in changes else changes


class Planner:
    """Adds jobs to a plan. The same job asked for twice is one."""

    def __init__(self):
        self.jobs: dict[str, Job] = {}
        self.problems: list[CurateError] = []
        self.references: list[Lane] = []
        self.resources: dict[str, str] = {}
        self.held: dict | None = None
        self.indexed: Call | None = None
        self.encoding: Encoding | None = None
        self.labels: dict[str, str] = {}
        self.equipped: set[int] = set()
        self.tried: set[tuple] = set()
        self.scope = ""
        self.most_slices = MOST_SLICES

    def add(self, task: str, label: str, args: dict, upstream: Iterable[str] = (), where: dict | None = None) -> str:
        """Add a job, or find it. where: also {part that stands in its identity: the one that it reads instead}."""
        upstream = tuple(dict.fromkeys(filter(None, upstream)))
        fp, where = fingerprint(task, args, upstream), where or {}
        if self.labels.setdefault(label, fp) != fp:  # a stage of all sources that a source's own list has as well
            label += ", all sources"
        read = tuple(where.get(part, part) for part in upstream)
        self.jobs.setdefault(fp, Job(fp, task, label, args, self.resources | where, read, self.scope))
        return fp

    def barrier(self, label: str, fps: list[str]) -> str:
        """One job that all of these go through, so that many that read many are not joined each to each."""
        return self.add("barrier", f"{label}, all", {"parts": fps}, fps)

    def sent(self, label: str, fps: list[str], bins: int, local: bool = False, size: int = 0) -> tuple[str, bool]:
        """The barrier of parts with rows for so many bins, or of merged ones where those have too many slices.

        size: bytes of all rows, where it is known: slices that are large are not merged. Returns the barrier, and
        whether `doc` is a row of its partition, as it was before if `local`.
        """
        slices = len(fps) * bins
        merging = len(fps) > 1 and slices > self.most_slices and size < slices * LARGE_SLICE
        if merging:
            groups = [(first, fps[first : first + MERGED]) for first in range(0, len(fps), MERGED)]
            fps = [
                self.add(
                    "merge",
                    f"{label}: merge {number + 1}/{len(groups)}",
                    {"parts": group, "first": first, "local": local},
                    group,
                )
                for number, (first, group) in enumerate(groups)
            ]
        return self.barrier(label, fps), local and not merging

    # Map stages

    def push(self, lane: Lane, call: Call) -> None:
        """Let a map stage wait for its neighbours, or start a job where it must have its own."""
        if call.stage.alone:
            self.flush(lane)
        ready = self.has_resources(call) and self.has_columns(lane, call) and self.adds_its_own(call)
        if ready and self.succeeds(lane, call):
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

    def encode(self, manifest: Manifest, lanes: list[Lane]) -> None:
        """Find the tokenizer of the token shards and their chat template, and what they need of both."""
        if manifest.spec.tokens:
            try:
                self.encoding, files = encoding(manifest.spec.tokens)
            except CurateError as error:
                where = f"{manifest.path or 'manifest'}  tokens.{error.where}"
                self.problems.append(CurateError(error.what, where, error.fix))
                return
            if self.encoding.chat and not any("messages" in lane.types for lane in [*lanes, *self.references]):
                where = f"{manifest.path or 'manifest'}  tokens.chat_template"
                fix = "read conversations, for example with `layout: messages`, or remove `chat_template`"
                self.problems.append(CurateError("no source has `messages` for a chat template", where, fix))
            self.resources |= {digest: str(path) for digest, path in files.items()}

    def has_columns(self, lane: Lane, call: Call) -> bool:
        """Whether the lane has what the stage reads. What is missing becomes a problem."""
        missing = [name for name in call.reads if name not in lane.types]
        if "text" in call.reads:  # which stands for what only some sources have
            missing = [name for name in missing if name not in MORE]
        if not lane.parts:  # what is no archive has no payload, and stages that read one know
            missing = [name for name in missing if name not in TRANSIENT]
        for name in missing:
            what = f"no column `{name}` for stage `{call.label}` in source `{lane.source}`"
            giver = which_adds(name)
            fix = f"add the stage `{giver}` before it" if giver else did_you_mean(name, lane.types)
            if name in MORE:
                fix = f"its rows have only text: set a `layout:` of conversations, or remove `{call.label}`"
            if name in TRANSIENT:
                fix = f"put `{call.label}` before filters and stages that compare documents: a payload is read once"
            self.problems.append(CurateError(what, call.place, fix))
        return not missing

    def adds_its_own(self, call: Call) -> bool:
        """Whether none of the columns that the stage adds is one of curate's. One that is becomes a problem."""
        taken = sorted(RESERVED & call.adds.keys())
        for name in taken:
            what = f"stage `{call.label}` cannot add a column `{name}`: the name is reserved"
            self.problems.append(CurateError(what, call.place, "choose another name"))
        return not taken

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
        made: dict[str, None] = {} if lane.parts else dict.fromkeys([*COLUMNS, *lane.partition.more])
        wanted: dict[str, None] = {}
        for call in calls:
            wanted |= {name: None for name in call.reads if name not in made}
            changes = changed(lane, call)
            wanted |= {name: None for name in changes if name not in made}
            made |= dict.fromkeys([*call.adds, *changes])
        if "text" in made:
            made["n_bytes"] = None
        args = {
            "source": lane.source,
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
            fp = self.add("map", f"{lane.name}: {what}", args, where=lane.partition.where)
            for column in TRANSIENT:
                lane.types.pop(column, None)
        self.settle(lane, fp, made)

    def settle(self, lane: Lane, fp: str, columns: Iterable[str]) -> None:
        """Note that a part holds these columns of the lane, and who is out by now."""
        if not lane.parts:
            lane.types = {name: kind for name, kind in lane.types.items() if name not in TRANSIENT}
        lane.parts.append(fp)
        lane.columns |= dict.fromkeys([*columns, REJECT.name], fp)

    def earlier_shard(self, shard: EarlierShard, priority: int) -> Lane:
        """The lane of a shard of an earlier release: its files are used as parts, unchanged."""
        lane = Lane(shard.release, shard.number, shard.of, None, priority)
        for file in (shard.data, shard.index):
            if file is not None:
                label = f"{lane.name}: {file.path}"
                args = {"digest": file.digest, "rows": shard.rows}
                args |= shard.keys if file is shard.index else {}
                fp = self.add("earlier", label, args, where={"url": file.url})
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
            if len(changed(lane, call)) > len(call.stage.declared.changes):
                what = f"`{call.label}` cannot change conversations, which source `{lane.source}` has"
                fix = "remove it, or move it to the pipelines of the text sources"
                self.problems.append(CurateError(what, call.place, fix))
        self.adds_its_own(call)
        if not self.has_resources(call) or self.problems:
            return
        taking_part = lanes if self.scope or call.stage.new_only else [*lanes, *self.references]
        before, said = self.verdicts(taking_part, call, text_bytes(lanes))
        self.collect(lanes, call, before, said)

    def verdicts(self, lanes: list[Lane], call: Call, size: int) -> tuple[str, str]:
        """Plan the steps of a group stage. Returns the barrier of its verdicts, and what stands for it in the identity
        of the parts made of them: the barrier as it would be if all went to one bin and nothing were merged, since the
        verdicts do not depend on where the work is cut."""
        params = dict(call.params)
        if params.get("bins") == 0:
            params["bins"] = min(1 << (size // BIN_BYTES).bit_length(), 1024)
        before = self.steps(lanes, call, params)
        aside = Planner()
        aside.held, aside.indexed, aside.most_slices = self.held, self.indexed, sys.maxsize
        return before, aside.steps(lanes, call, params | ({"bins": 1} if "bins" in params else {}))

    def collect(self, lanes: list[Lane], call: Call, before: str, said: str) -> None:
        """Plan the part that each lane gets of the verdicts. before, said: see `verdicts`."""
        params = call.params | ({"bins": 1} if "bins" in call.params else {})
        last, identity = call.stage.steps(params)[-1]
        applied = last.over == "apply"  # carried out where verdicts are collected
        types = types_of(lanes)
        columns = call.adds | {name: types[name] for name in call.stage.declared.changes}
        if "text" in columns:
            columns["n_bytes"] = "int64"
        for place, lane in enumerate(lanes):
            needed = ["n_bytes", *(("id", *(call.reads if last.reads is None else last.reads)) if applied else ())]
            reading = lane.reading([*needed, *(name for name in columns if name in lane.columns)])
            args = {"label": call.label, "place": place, "before": said, "columns": columns, "reading": reading}
            args |= {"source": lane.source} | ({"call": identity} if applied else {})
            label, where = f"{lane.name}: {call.label}", {said: before} if said != before else {}
            fp = self.add("collect", label, args, [*reading, said], where)
            lane.types |= columns
            self.settle(lane, fp, columns)

    def steps(self, lanes: list[Lane], call: Call, params: dict) -> str:
        """Plan the steps of a group stage, without one that is applied. Returns the barrier of its verdicts."""
        before, bins, local, types, whose = "", 0, False, types_of(lanes), {"label": call.label}
        for number, (step, identity) in enumerate(call.stage.steps(params)):
            if step.over == "apply":
                break
            base = {"call": identity, "over": step.over, "bins": step.bins} | ({"local": True} if local else {})
            base |= {"before": before} if before else {}
            label = f"{f'{self.scope}: ' if self.scope else ''}{call.label} {number + 1}"
            if step.over == "docs":
                fps = []
                for place, lane in enumerate(lanes):
                    args = self.looked_at(lane, call, step, types, first=number == 0)
                    args |= base | ({"place": place} if before else {})
                    fps.append(self.add("step", f"{label}, {lane.name}", args, [*args["reading"], before], whose))
            elif step.over == "bins":
                fps = [
                    self.add("step", f"{label}, bin {bin + 1}/{bins}", base | {"bin": bin}, [before], whose)
                    for bin in range(bins)
                ]
            else:
                heads = self.barrier(f"{label} counts", [lane.parts[-1] for lane in lanes])
                fps = [self.add("step", label, base | {"heads": heads}, [before, heads], whose)]
            bins = step.bins
            before, local = self.sent(label, fps, bins or len(lanes), step.over == "docs")
        return before

    def looked_at(self, lane: Lane, call: Call, step: Step, types: dict[str, str], first: bool) -> dict:
        """What a job must know to read what a step looks at in a lane. The first step of a stage with an index reads
        the lane's keys in place of texts, where there are any."""
        index = call.stage.index if first else None
        if index and call is self.indexed:
            self.keys(lane, call)
        if index and index.column in lane.columns:
            return self.documents(lane, (index.column,), {})
        names = ("id", "priority", *call.reads) if step.reads is None else step.reads
        return self.documents(lane, names, types)

    def keys(self, lane: Lane, call: Call) -> None:
        """Plan the part with a lane's keys for the release's index, unless it has them. The stage reads it in place of
        texts, as it reads the index of an earlier release, and the new index is made of it."""
        index = call.stage.index
        if index.column in lane.columns:
            return
        names = [*index.reads, *(name for name in index.more(**call.params) if name in lane.columns)]
        reading = lane.reading(names)
        args = {"call": call.stage.indexing(call.params), "column": index.column, "reading": reading}
        fp = self.add("keys", f"{lane.name}: {call.label} keys", args, reading, {"label": call.label})
        lane.keyed = {name: lane.columns[name] for name in names}
        lane.columns[index.column] = fp

    def documents(self, lane: Lane, names: tuple[str, ...], types: dict[str, str]) -> dict:
        """What a job must know to read these columns, one of which may be `priority`, of a lane."""
        args = {}
        if "priority" in names:
            args["priority"] = lane.priority
            if self.held and lane.partition:
                args["held"], names = self.held, ("id", *names)
        args["reading"] = lane.reading(names) or lane.reading(["id"])
        return args | {"types": {name: types[name] for name in names if name in types}}

    def check(self) -> None:
        """Raise ManifestError with all problems so far, if there are any."""
        if self.problems:
            unique = {str(problem): problem for problem in self.problems}
            raise ManifestError(list(unique.values()))
