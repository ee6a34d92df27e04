"""`curate explain`: follow one document to its shard and row, or to the reason it was rejected."""

import difflib
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.base import urls
from curate.documents import hashed
from curate.engine.evidence import NOT_DRAWN
from curate.engine.lane import Lane
from curate.engine.plan import Plan, shards
from curate.engine.store import Store
from curate.errors import CurateError
from curate.inspect.causes import Causes
from curate.inspect.followed import Work
from curate.inspect.page_blocks import blocks_of
from curate.inspect.released import is_release, released
from curate.manifest.manifest import Manifest
from curate.release.extend import rename
from curate.release.lock import shard_names

NEAREST = 3
"""Addresses that are named for one that no input holds."""

COMPARED = 2000
"""Addresses of a host that are compared with it."""


def explain(manifest: str | Path | Manifest, document: str, work: str | Path, blocks: bool = False) -> list[dict]:
    """Show what happened to the documents with this id (or its first digits, 6 or more) or this URL.

    manifest  a manifest that has run, or a release by its folder or hf:// address, which has no texts of what is out

    Returns one dictionary per document: its provenance, `steps` (each with the stage labels, the columns added or
    changed, and the reason if it was rejected there), `released` ({"shard", "row"}) or None, `places` (all such
    places, since a mixture may repeat a document), and for a duplicate `kept` (id of the document that was kept,
    similarity, and both texts: `text` of the kept one, `against` of this one). What caused a verdict is in `text` (as
    the stage saw it), `marks` and `url_marks` ([start, stop] in characters of the text and the URL), and `signals`
    ({"signal", "value", "op", "limit", "parameter", "caused"}). With `blocks`, the source is read again for the blocks
    of a page that `extract: {extractor: curate}` classified: `blocks`, see `page_blocks.blocks_of`.

    Raises CurateError for a document that no input holds, with the nearest URLs.
    """
    is_id = len(document) >= 6 and all(digit in "0123456789abcdef" for digit in document)
    if is_release(manifest):
        held = released(manifest)
        found = held.explain(document, is_id)
        known = held.urls
    else:
        ran = Work(manifest, work, whole=True)
        found = []
        for lane in ran.lanes:
            ids = ran.columns(lane, ["id", "url"])
            mask = pc.starts_with(ids["id"], document) if is_id else pc.equal(ids["url"], document)
            walked = [_walk(ran, lane, row) for row in pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist()]
            for one in walked if blocks else ():
                one["blocks"] = blocks_of(ran.plan, lane, one["id"])
            found += walked

        def known() -> pa.ChunkedArray:
            return pa.chunked_array([chunk for lane in ran.lanes for chunk in ran.columns(lane, ["url"])["url"].chunks])

    if not found:
        raise _unknown(document, is_id, known)
    return found


def _unknown(document: str, is_id: bool, known: Any) -> CurateError:
    """The error for a document that is not there, with the URLs that are nearest to one that no input holds."""
    if is_id:
        fix = "ids are 32 hexadecimal digits; take one from `curate sample` or `curate query`"
        return CurateError(f"no document has the id {document}", fix=fix)
    near = nearest(document, known().drop_null().cast(pa.string()))
    said = f"nearest: {', '.join(near)}" if near else f"no input holds a page of {urls.host(document) or document}"
    return CurateError(f"no document has the URL {document}: no input holds it", fix=said)


def nearest(url: str, known: pa.ChunkedArray) -> list[str]:
    """Of these URLs those that name the same page as a URL, else those of its host that resemble it most."""
    host = urls.host(url)
    if not host:
        return []
    likely = pc.match_substring_regex(known, rf"(?i)^(?:[a-z]+://)?(?:[^/]*@)?(?:www\.)?{_plain(host)}(?:[:/?#]|$)")
    there = list(dict.fromkeys(known.filter(likely).to_pylist()))
    same = [one for one in there if urls.page(one) == urls.page(url)]
    return same[:NEAREST] or difflib.get_close_matches(url, there[:COMPARED], NEAREST, cutoff=0)


def _plain(host: str) -> str:
    """A pattern of RE2 for a host, with or without `www.`."""
    return re.sub(r"([^\w-])", r"\\\1", host.removeprefix("www."))


def _walk(ran: Work, lane: Lane, row: int) -> dict:
    plan, store = ran.plan, ran.store
    one = ran.follow(lane, row)
    reason, steps = one.reason, one.steps
    found = one.provenance | {"steps": steps, "reason": reason}
    found["places"] = [] if reason else _released(plan, store, one.provenance)
    found["released"] = next(iter(found["places"]), None)
    found["removed"] = _removed(plan, store, found["id"])
    if (name := _own_removal(plan, store, found["id"])) and not reason:  # a copy of a document that is out
        reason = found["reason"] = f"removed.{name}"
        steps.append({"stages": ["removed"], "columns": {}, "reject": reason})
        found["released"] = None
    if not reason and not found["released"] and _drawn(plan, store):
        stage, found["reason"] = NOT_DRAWN.split(".")[0], NOT_DRAWN
        steps.append({"stages": [stage], "columns": {}, "reject": NOT_DRAWN})
    kept = one.values.get("duplicate_of")
    if one.reason and kept:
        text = ran.texts([kept]).get(kept)
        found["kept"] = {"id": kept, "similarity": one.values.get("similarity")}
        found["kept"] |= {"text": text, "against": one.values.get("text")}
    return found | told(one.causes(found.get("kept", {}).get("text")), one.values.get("text") if one.reason else None)


def told(found: Causes, text: str | None) -> dict:
    """What caused a verdict, as JSON values."""
    marks = {"marks": [*map(list, found.marks)], "url_marks": [*map(list, found.url)]}
    return {"text": text} | marks | {"signals": found.signals}


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
