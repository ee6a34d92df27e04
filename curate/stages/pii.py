"""Personal data: e-mail and IP addresses, telephone numbers, secret keys."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.stage import reject, set_column, stage
from curate.stages._secrets import HINT, SECRET


@dataclass(frozen=True)
class Kind:
    """How one kind of personal data is found.

    hint     an RE2 pattern that every text with it matches: what it passes over costs nothing more
    pattern  what it looks like; every repeat in it is bounded, so that it takes linear time
    holds    whether a match is one
    """

    hint: str
    pattern: re.Pattern
    holds: Callable[[str], bool] = bool


def _is_public(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return parsed.is_global and not parsed.is_multicast


def _is_number(phone: str) -> bool:
    return 8 <= sum(character.isdigit() for character in phone) <= 15


_EMAIL = (
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}\b"
)
_IPV4 = r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\w|\.[0-9])"
_IPV6 = r"(?<![\w:.])[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}(?![\w:])"
_ABROAD = r"(?<![\w+./-])\+[1-9][0-9]{0,2}(?:[ .-]?\([0-9]{1,4}\))?(?:[ .-]?[0-9]{1,12}){1,6}\b"
_AREA = r"(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])"
_NORTH_AMERICA = rf"(?<![\w+./-])(?:1[ .-])?{_AREA}[2-9][0-9]{{2}}[ .-][0-9]{{4}}(?![\w-])"

KINDS = {
    "email": Kind(r"[A-Za-z0-9._%+-]@[A-Za-z0-9-]{1,63}\.", re.compile(_EMAIL)),
    "ip": Kind(
        r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[23][0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}:",
        re.compile(f"{_IPV4}|{_IPV6}"),
        _is_public,
    ),
    "phone": Kind(
        r"\+[1-9][0-9 .()-]{7}|[0-9]{3}[) .-] ?[0-9]{3}[ .-][0-9]{4}",
        re.compile(f"{_ABROAD}|{_NORTH_AMERICA}"),
        _is_number,
    ),
    "secret": Kind(HINT, SECRET),
}


@stage(version=1, packages=("pyarrow",))
def pii(
    docs: pa.Table,
    *,
    kinds: list[Literal["email", "ip", "phone", "secret"]] = ["email", "ip", "phone", "secret"],  # noqa: B006
    mode: Literal["replace", "reject", "mark"] = "replace",
    email_as: str = "email@example.com",
    ip_as: str = "192.0.2.1",
    phone_as: str = "+1 202-555-0100",
    secret_as: str = "<SECRET>",
) -> pa.Table:
    """Find personal data, and replace it, reject the document, or only count.

    email   addresses as people write them: ASCII, no quotes and comments of RFC 5322
    ip      public IPv4 and IPv6 addresses; private, multicast, reserved and example ranges stay (RFC 6890)
    phone   numbers with `+` and a country code, of 8 to 15 digits (E.164), and North American ones in groups of 3, 3, 4
    secret  keys and tokens of known issuers, private keys in PEM, JSON web tokens

    kinds      which of these; FineWeb has email and ip
    mode       replace: write what stands in for it. reject: the document goes. mark: the counts are all
    email_as, ip_as, phone_as, secret_as
               what stands in for it. By default addresses and numbers that are set apart for examples, so that a
               sentence stays a sentence. A match that is this already does not count

    Reads: text
    Changes: text
    Adds: n_emails (int32, matches), n_ips (int32, matches), n_phones (int32, matches), n_secrets (int32, matches)
    Reasons: email, ip, phone, secret
    """
    text = docs["text"].combine_chunks()
    stand_ins = {"email": email_as, "ip": ip_as, "phone": phone_as, "secret": secret_as}
    reasons = {}
    for name in ("secret", "email", "ip", "phone"):  # a key may look like a number inside
        counts = np.zeros(docs.num_rows, np.int32)
        if name in kinds:
            changed = _find(text, KINDS[name], stand_ins[name], counts)
            text = changed if mode == "replace" else text
        if mode == "reject":
            reasons[name] = pa.array(counts > 0)
        docs = set_column(docs, f"n_{name}s", pa.array(counts))
    return reject(set_column(docs, "text", text), **{name: reasons[name] for name in KINDS if name in reasons})


def _find(text: pa.Array, kind: Kind, stand_in: str, counts: np.ndarray) -> pa.Array:
    """The text with all matches replaced. counts: int32[rows], filled with their number."""
    likely = pc.fill_null(pc.match_substring_regex(text, kind.hint), False)
    rows = np.flatnonzero(likely.to_numpy(zero_copy_only=False))
    if not len(rows):
        return text
    found = 0

    def replace(match: re.Match) -> str:
        nonlocal found
        if match[0] == stand_in or not kind.holds(match[0]):
            return match[0]
        found += 1
        return stand_in

    changed = []
    for row in rows:
        found = 0
        changed.append(kind.pattern.sub(replace, text[row].as_py()))
        counts[row] = found
    return pc.replace_with_mask(text, likely, pa.array(changed, text.type))
