"""Replace, count or reject personal data: e-mail and IP addresses, phone numbers, secret keys."""

import re
from collections.abc import Callable
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents import TALLY, flat
from curate.stage_api import reject, set_column, stage
from curate.stages._personal_data import KINDS, Kind


@stage(version=3, packages=("phonenumbers", "pyarrow"))
def pii(
    docs: pa.Table,
    *,
    kinds: list[Literal["email", "ip", "phone", "secret"]] = ["email", "ip", "phone", "secret"],  # noqa: B006
    preset: Literal["precision", "recall"] = "precision",
    mode: Literal["replace", "reject", "mark"] = "replace",
    email_as: str = "email@example.com",
    ip_as: str = "192.0.2.1",
    phone_as: str = "+1 202-555-0100",
    secret_as: str = "<SECRET>",
) -> pa.Table:
    """Find personal data, and replace it, reject the document, or only count it.

    email   ASCII addresses as people write them, under an existing top-level domain; not file names, logins within
            URLs, SSH copy targets, or program expressions
    ip      public IPv4 and IPv6 addresses (RFC 6890); not version or section numbers. Ambiguous ones, such as 1.2.3.4,
            need a networking term before them or a port after them
    phone   numbers valid in their country's numbering plan (libphonenumber), with `+` and a country code, or North
            American ones with the area code in parentheses or after a telephony term; not dates, order numbers, lists
    secret  keys and tokens of known issuers, private keys in PEM, JSON web tokens

    kinds      the kinds to find; FineWeb uses email and ip
    preset     precision: as above. recall: everything with the right form, regardless of context: any domain, any
               public address, any number of 8 to 15 digits written like a telephone number
    mode       replace: write the replacement instead. reject: reject the document. mark: only count
    email_as, ip_as, phone_as, secret_as
               the replacement. The defaults are addresses and numbers reserved for examples, so sentences remain
               readable. Matches equal to the replacement are not counted

    Reads: text
    Changes: text
    Adds: n_emails (int32, matches), n_ips (int32, matches), n_phones (int32, matches), n_secrets (int32, matches)
    Reasons: email, ip, phone, secret
    """
    text = flat(docs["text"])
    stand_ins = {"email": email_as, "ip": ip_as, "phone": phone_as, "secret": secret_as}
    reasons, found = {}, {}
    for name in ("secret", "email", "ip", "phone"):  # a key may look like a number inside
        counts = np.zeros(docs.num_rows, np.int32)
        if name in kinds:
            changed = _find(text, KINDS[name], preset, stand_ins[name], counts)
            text = changed if mode == "replace" else text
        if mode == "reject":
            reasons[name] = pa.array(counts > 0)
        found[name] = pa.array(counts)
        docs = set_column(docs, f"n_{name}s", found[name])
    docs = set_column(docs, TALLY, pa.StructArray.from_arrays([*found.values()], names=[*found]))
    return reject(set_column(docs, "text", text), **{name: reasons[name] for name in KINDS if name in reasons})


def _find(text: pa.Array, kind: Kind, preset: str, stand_in: str, counts: np.ndarray) -> pa.Array:
    """The text with all matches replaced. counts: int32[rows], filled with their number."""
    likely = pc.fill_null(pc.match_substring_regex(text, kind.hint), False)
    rows = np.flatnonzero(likely.to_numpy(zero_copy_only=False))
    if not len(rows):
        return text
    holds: Callable[[re.Match], int] = getattr(kind, preset)
    found = 0

    def replace(match: re.Match) -> str:
        nonlocal found
        length = holds(match)
        if not length or match[0][:length] == stand_in:
            return match[0]
        found += 1
        return stand_in + match[0][length:]

    changed = []
    for row in rows:
        found = 0
        changed.append(kind.pattern.sub(replace, text[row].as_py()))
        counts[row] = found
    return pc.replace_with_mask(text, likely, pa.array(changed, text.type))
