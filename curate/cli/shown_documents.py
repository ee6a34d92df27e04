"""Documents for people: what happened to each, and what caused it, on a terminal."""

from collections.abc import Iterator

from curate.base.terminal import Marked
from curate.inspect.marked_text import excerpt, pieces, signal_text
from curate.inspect.side_by_side import side_by_side


def explain_lines(found: list[dict]) -> Iterator[str | Marked]:
    """What happened to each document, and where it is now."""
    for document in found:
        yield f"{document['id']}  {document['source']}"
        yield from _provenance(document)
        for step in document["steps"]:
            yield f"  {', '.join(step['stages'])}: {'rejected: ' + step['reject'] if step['reject'] else 'kept'}"
            if "text" in step:
                start = " ".join(step["text"]["start"].split())
                yield f"    text: {step['text']['characters']:,} characters: {start[:100]}"
            for name, value in step["columns"].items():
                yield f"    {name}: {value:.6g}" if isinstance(value, float) else f"    {name}: {value}"
        yield from _causes(document)
        for block in document.get("blocks", ()):
            signs = ", ".join(f"{one['feature']} {one['value']} ({one['weight']:+})" for one in block["because"])
            verdict = f"{'keep' if block['kept'] else 'drop'} {block['likely']:4.0%}"
            yield f"  {verdict}  {' '.join(block['text'].split())[:60]}"
            yield f"            {signs}"
        yield from _duplicate(document, (document.get("kept") or {}).get("against"))
        if removed := document["removed"]:
            yield f"  removed on request in version {removed['version']}, by the list `{removed['list']}`"
        places = document["places"]
        for place in places:
            yield f"  released: {place['shard']}, row {place['row']}"
        if len(places) > 1:
            yield f"  drawn {len(places):,} times by the mixture"


def sample_lines(found: list[dict]) -> Iterator[str | Marked]:
    """Each document with its verdict and what caused it."""
    for document in found:
        verdict = f"out: {document['stage']}.{document['reason']}" if document["reason"] else "kept"
        yield f"{document['id']}  {document['source']}  {verdict}"
        yield from _provenance(document, ("url",) if document["url"] else ("path", "position"))
        yield from _causes(document, brief=True)
        yield from _duplicate(document, document["text"])
        yield ""
    if not found:
        yield "no such documents"
    elif any(document["reason"] and document["text"] is None for document in found):
        yield "a release has no texts of what is out: name the manifest to see them"


def _provenance(document: dict, names: tuple[str, ...] = ()) -> Iterator[str | Marked]:
    for name in names or ("url", "path", "position", "date", "language", "license", "meta"):
        value = document.get(name)
        if name == "url" and value and document.get("url_marks"):
            yield Marked([("  url: ", False), *pieces(value, document["url_marks"])])
        elif value not in (None, ""):
            yield f"  {name}: {value}"


def _causes(document: dict, brief: bool = False) -> Iterator[str | Marked]:
    """The signals against their thresholds, and the places of the text. brief: the signals that were the cause, or
    else the first; and how the text begins where there are no places."""
    signals = document["signals"]
    for signal in [one for one in signals if one["caused"]] or signals[:1] if brief else signals:
        yield Marked([("  ", False), (signal_text(signal), signal["caused"])])
    if document["text"] is not None and not document.get("kept") and (document["marks"] or brief):
        yield from (Marked([("  | ", False), *line]) for line in excerpt(document["text"], document["marks"]))


def _duplicate(document: dict, text: str | None) -> Iterator[str]:
    if kept := document.get("kept"):
        similarity = "" if kept["similarity"] is None else f", similarity {kept['similarity']:.3f}"
        sides = "; this document on the left, the kept one on the right:" if text and kept["text"] else ""
        yield f"  duplicate of {kept['id']}{similarity}{sides}"
        if sides:
            yield from (f"    {line}" for line in side_by_side(text or "", kept["text"]))
