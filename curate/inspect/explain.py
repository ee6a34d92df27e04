"""`curate explain`: follow one document to its shard and row, or to the reason it was rejected."""

import re
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.documents import COLUMNS, REJECT, hashed
from curate.engine.evidence import NOT_DRAWN
from curate.engine.lane import Lane
from curate.engine.plan import Plan, shards
from curate.engine.store import Store
from curate.errors import CurateError
from curate.inspect.page_blocks import blocks_of
from curate.manifest.manifest import Manifest, load
from curate.release.extend import rename
from curate.release.lock import shard_names
from curate.release.make import recall


def explain(manifest: str | Path | Manifest, document: str, work: str | Path, blocks: bool = False) -> list[dict]:
    """Show what happened to the documents with this id (or its first digits, 6 or more) or this URL.

    Returns one dictionary per document: its provenance, `steps` (each with the stage labels, the columns added or
    changed, and the reason if it was rejected there), `released` ({"shard", "row"}) or None, `places` (all such
    places, since a mixture may repeat a document), and for a duplicate `kept` (id of the document that was kept,
    similarity, and both texts: `text` of the kept one, `against` of this one). With `blocks`, the source is read again
    for the blocks of a page that `extract: {extractor: curate}` classified: `blocks`, see `page_blocks.blocks_of`.
    """
    manifest = manifest if isinstance(manifest, Manifest) else load(manifest)
    plan, store = recall(manifest, work), Store(Path(work) / "store")
    is_id = len(document) >= 6 and all(digit in "0123456789abcdef" for digit in document)
    found = []
    for lane in plan.lanes:
        if store.marker(lane.parts[0]) is None:
            raise CurateError("this manifest has not run yet", str(work), "run `curate run` first")
        ids = store.open(lane.parts[0]).read(columns=["id", "url"])
        mask = pc.starts_with(ids["id"], document) if is_id else pc.equal(ids["url"], document)
        walked = [_walk(plan, store, lane, row) for row in pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist()]
        for one in walked if blocks else ():
            one["blocks"] = blocks_of(plan, lane, one["id"])
        found += walked
    if not found:
        what = f"no document has the {'id' if is_id else 'URL'} {document}"
        raise CurateError(what, fix="look it up in the shards of the release or in evidence/rejected.parquet")
    return found


def _walk(plan: Plan, store: Store, lane: Lane, row: int) -> dict:
    steps: list[dict] = []
    provenance: dict[str, Any] = {}
    reason = None
    for fp in lane.parts:
        if (marker := store.marker(fp)) is None:
            break
        values = store.row(fp, row)
        if not provenance:
            provenance = {name: values.get(name) for name in COLUMNS if name not in ("text", "n_bytes")}
        job, reason = plan.jobs[fp], values.pop(REJECT.name)
        text = values.pop("text", None)
        shown = {name: _shown(value) for name, value in values.items() if name not in COLUMNS and value is not None}
        failures = [one for found in marker.get("failures", {}).values() for one in found]
        said = [one["error"] for one in failures if one["id"] == provenance["id"]]
        shown |= {"error": said[0]} if said and reason else {}
        step = {"stages": _labels(job.args), "columns": shown, "reject": reason}
        if text is not None:
            step["text"] = {"characters": len(text), "start": text[:200]}
        steps.append(step)
        if reason:
            break
    found = provenance | {"steps": steps, "reason": reason}
    found["places"] = [] if reason else _released(plan, store, provenance)
    found["released"] = next(iter(found["places"]), None)
    found["removed"] = _removed(plan, store, provenance["id"])
    if (name := _own_removal(plan, store, provenance["id"])) and not reason:  # a copy of a document that is out
        reason = found["reason"] = f"removed.{name}"
        steps.append({"stages": ["removed"], "columns": {}, "reject": reason})
        found["released"] = None
    if not reason and not found["released"] and _drawn(plan, store):
        stage, found["reason"] = NOT_DRAWN.split(".")[0], NOT_DRAWN
        steps.append({"stages": [stage], "columns": {}, "reject": NOT_DRAWN})
    kept = steps[-1]["columns"].get("duplicate_of") if steps else None
    if reason and kept:
        found["kept"] = {"id": kept, "similarity": steps[-1]["columns"].get("similarity")}
        found["kept"] |= {"text": _text(plan, store, kept), "against": _text(plan, store, provenance["id"])}
    return found


def _shown(value: Any) -> Any:
    """A value as JSON can say it: of bytes, such as those of a picture, how many there are."""
    if isinstance(value, dict):
        return {key: _shown(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shown(inner) for inner in value]
    return f"{len(value):,} bytes" if isinstance(value, bytes) else value


def _removed(plan: Plan, store: Store, id: str) -> dict | None:
    """The first version of the release that is without the document on request, and by which list."""
    key, found = hashed(id), []
    for path in sorted((store.root.parent / "releases" / plan.manifest.name).glob("*/evidence/removed.parquet")):
        found += pq.read_table(path, filters=[("id_sha256", "=", key)]).select(["version", "list"]).to_pylist()
    return min(found, key=lambda entry: [int(part) for part in re.findall(r"\d+", entry["version"])], default=None)


def _own_removal(plan: Plan, store: Store, id: str) -> str | None:
    """The list that a document of the manifest's own release is out by."""
    release = store.root.parent / "releases" / plan.manifest.name / plan.manifest.version
    path = release / "evidence/removed.parquet"
    rows = pq.read_table(path, filters=[("id_sha256", "=", hashed(id))]).to_pylist() if path.is_file() else []
    return next((row["list"] for row in rows if row.get("document", True)), None)


def _text(plan: Plan, store: Store, document: str) -> str | None:
    """The latest text of a document, of this run or of an earlier release."""
    for lane in [*plan.lanes, *plan.references]:
        holder = lane.columns["text"]
        row = pc.index(store.open(lane.parts[0]).read(columns=["id"])["id"], document).as_py()
        if row >= 0:
            return store.row(holder, row)["text"]
    return None


def _labels(args: dict) -> list[str]:
    if "label" in args:
        return [args["label"]]
    return [*(["read"] if "read" in args else []), *(stage["label"] for stage in args["stages"])]


def _drawn(plan: Plan, store: Store) -> bool:
    """Whether all shards are made."""
    mixed = store.marker(plan.mix)
    return mixed is not None and all(map(store.marker, shards(plan, mixed["splits"]).data))


def _released(plan: Plan, store: Store, document: dict) -> list[dict]:
    """The shard and row of each place that a document is in: more than one where the mixture repeats it."""
    mixed = store.marker(plan.mix)
    if mixed is None:
        return []
    places: list[dict] = []
    fps = shards(plan, mixed["splits"]).data
    names = [f"data/{name}" for name in shard_names(mixed["splits"])]
    if plan.manifest.spec.extends:
        names = [*rename(names, plan.references[0].of if plan.references else 0).values()]
    for name, fp in zip(names, fps, strict=True):
        if store.marker(fp) is None:
            continue
        ids = store.open(fp).read(columns=["id"])["id"]
        rows = pc.indices_nonzero(pc.equal(ids, document["id"])).to_pylist()
        places += [{"shard": name, "row": row} for row in rows]
    return places
