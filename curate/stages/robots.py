"""Reject pages that ask not to be indexed, or not to be used for machine learning."""

import html
import re
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from curate.documents import flat
from curate.stage_api import reject, stage

HEAD_BYTES = 1 << 20
"""How far into a page its head is looked for."""

_META = re.compile(rb"<meta[\s/][^<>]{0,4096}>", re.IGNORECASE)
_NO_MARKUP = re.compile(rb"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1|\Z)", re.IGNORECASE | re.DOTALL)
_END = re.compile(rb"</head|<body", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""(?<![a-z-])([a-z-]++)\s*+=\s*+(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_WITH_VALUE = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
_MEANS = {"noindex": "noindex", "none": "noindex", "noai": "noai"}


@stage(version=1)
def robots(
    docs: pa.Table,
    *,
    rules: list[Literal["noindex", "noai", "tdm_reservation"]] = ["noindex", "noai", "tdm_reservation"],  # noqa: B006
    agents: list[str] = [],  # noqa: B006
) -> pa.Table:
    """Reject pages whose headers or `<meta>` tags ask not to be indexed, or not to be used for machine learning.

    No built-in pipeline uses this stage. Put it directly before or after `extract`, since archives are read once;
    documents that are not archived pages pass. For pages in UTF-16, only the headers are checked.

    rules   noindex: `noindex` or `none` in X-Robots-Tag or `<meta name="robots">`. noai: `noai` there (DeviantArt's).
            tdm_reservation: `1` in TDM-Reservation, header or `<meta>` (W3C's TDM Reservation Protocol)
    agents  names of crawlers, such as `ccbot`: rules for any of them apply like rules for all crawlers

    Reads: payload, robots
    Reasons: noindex, noai, tdm_reservation
    """
    names = frozenset(agent.lower() for agent in agents)
    said: list[set[str]] = [set() for _ in range(docs.num_rows)]
    if "robots" in docs.column_names:
        for row, headers in enumerate(docs["robots"].to_pylist()):
            said[row] |= _of_headers(headers or "", names)
    if "payload" in docs.column_names:
        payloads = flat(docs["payload"])
        wanted = "|".join(re.escape(name) for name in ("robots", "tdm-reservation", *sorted(names)))
        likely = pc.match_substring_regex(payloads, rf"(?i)<meta[\s/][^<>]*(?:{wanted})")
        for row in pc.indices_nonzero(pc.fill_null(likely, False)).to_pylist():
            said[row] |= _of_page(payloads[row].as_py(), names)
    masks = {rule: pa.array([rule in what for what in said], pa.bool_()) for rule in RULES if rule in rules}
    return reject(docs, **masks)


RULES = ("noindex", "noai", "tdm_reservation")


def _of_headers(headers: str, agents: frozenset[str]) -> set[str]:
    """What header lines, `name: value` each, ask for."""
    found = set()
    for line in headers.splitlines():
        name, _, value = line.partition(":")
        found |= _of(name.strip().lower().replace("x-robots-tag", "robots"), value, agents)
    return found


def _of_page(payload: bytes, agents: frozenset[str]) -> set[str]:
    """What the `<meta>` tags in the head of a page ask for."""
    head = _NO_MARKUP.sub(b"", payload[:HEAD_BYTES])
    end = _END.search(head)
    found = set()
    for tag in _META.findall(head, 0, end.start() if end else len(head)):
        text = tag.decode("utf-8", "replace")
        attributes = {name.lower(): html.unescape("".join(values)) for name, *values in _ATTRIBUTE.findall(text)}
        found |= _of(attributes.get("name", "").strip().lower(), attributes.get("content", ""), agents)
    return found


def _of(name: str, value: str, agents: frozenset[str]) -> set[str]:
    """What a directive asks for: `robots`, `tdm-reservation` or an agent, and its value."""
    if name == "tdm-reservation":
        return {"tdm_reservation"} if value.strip() == "1" else set()
    if name != "robots" and name not in agents:
        return set()
    found, speaks = set(), True
    for token in value.lower().split(","):
        agent, colon, rest = token.partition(":")
        if colon and agent.strip() not in _WITH_VALUE:  # from here on, to this agent
            speaks, token = agent.strip() in agents or agent.strip() == "*", rest
        if speaks and token.strip() in _MEANS:
            found.add(_MEANS[token.strip()])
    return found
