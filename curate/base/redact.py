"""Remove what must not leave the machine: credentials, URL queries, local paths.

Patterns begin with a fixed text or at a border and have no repetition within another, so that time grows with the text.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

MASK, QUERY, HERE = "REDACTED", "?REDACTED", "LOCAL/"
"""What stands in the place of a credential, of a query, and of the folder of an absolute path."""

PLACES = frozenset(
    [
        "inputs",
        "images",
        "paths",
        "base",
        "extends",
        "against",
        "removed",
        "card",
        "tokenizer",
        "model",
        "path",
        "lists",
        "sets",
        "list",
        "file",
    ]
)
PROSE = frozenset(["description", "notes", "card"])
"""Names in manifests and locks below which files are named, and below which people write."""


class Exposed(NamedTuple):
    """Something in a text that must not be published. kind: what it is; line: from 1; hint: how it begins."""

    kind: str
    line: int
    hint: str


_PRIVATE_KEY = r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_PRIVATE_KEY += r"(?:(?:(?!-----)[\s\S]){0,32768}-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_PRIVATE_KEY += r"|(?:\s[#\s]{0,80}[A-Za-z0-9+/=]{16,})*)"
"""All of a key, also where its end was cut off, or where it stands in comments."""

_CREDENTIALS = {
    "a Hugging Face token": r"\b(?:hf|api_org)_[A-Za-z0-9]{30,}",
    "an AWS key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})",
    "a GitLab token": r"\bgl(?:pat|rt|dt)-[A-Za-z0-9_-]{20,}",
    "an API key": r"\bsk-[A-Za-z0-9_-]{20,}",
    "a Slack token": r"\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}",
    "a Slack webhook": r"\bhooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{20,}",
    "a Google API key": r"\bAIza[A-Za-z0-9_-]{35}",
    "a PyPI token": r"\bpypi-[A-Za-z0-9_-]{40,}",
    "an npm token": r"\bnpm_[A-Za-z0-9]{36,}",
    "a JSON web token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+",
    "a private key": _PRIVATE_KEY,
    "an AWS secret key": r"(?i:\b(?:aws_?)?secret_?(?:access_?)?key)[\"']?\s{0,4}[:=]\s{0,4}[\"']?[A-Za-z0-9/+=]{40}",
    "an AWS session token": r"(?i:\baws_?session_?token)[\"']?\s{0,4}[:=]\s{0,4}[\"']?[A-Za-z0-9/+=]{40,}",
    "an Azure key": r"\b(?:Account|SharedAccess)Key=[A-Za-z0-9+/]{20,}={0,2}",
    "a presigned URL": r"(?i:\bX-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)=[A-Za-z0-9%/+=@_~-]{8,})",
    "an Azure signature": r"\bsig=[A-Za-z0-9+/%]{8,}(?:%[0-9A-Fa-f]{2}|=)",
    "a Google token": r"\b(?:ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{28})",
    "a Stripe key": r"\b[rs]k_live_[A-Za-z0-9]{16,}",
    "a Docker token": r"\bdckr_pat_[A-Za-z0-9_-]{20,}",
    "a Databricks token": r"\bdapi[0-9a-f]{32}\b",
    "an access token": r"\b(?:nvapi-|hvs\.|gsk_|r8_|xai-|pplx-|lin_api_|dop_v1_|AGE-SECRET-KEY-1)[A-Za-z0-9_-]{24,}",
    "a SendGrid key": r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
    "an authorization header": r"(?i:\bAuthorization[\"']?: {0,4}[\"']?(?:Bearer|Basic|token) )"
    r"[A-Za-z0-9._~+/-]{8,}={0,2}",
}
CREDENTIALS = re.compile("|".join(f"({pattern})" for pattern in _CREDENTIALS.values()))
KINDS = list(_CREDENTIALS)

_USER = r"(?:[^\s/?#@\"<>,]{0,256}|[^\s/?#@:\"<>,\[\]]{0,256}:(?!/|\d{0,5}(?:[/?#]|$))[^\s@\"<>,]{1,256})@"
"""User and password in a URL. A password may have any sign in it, though a `/` should be written `%2F`: so what follows
`:` and is no port is a password."""

# A URL ends at white space, quotes, brackets, and what ends a value in YAML, Markdown and HTML.
URL = re.compile(rf"\b[A-Za-z][A-Za-z0-9+.-]{{1,30}}://(?:{_USER})?(?:\[[\w.:%]{{0,60}}\])?[^\s\"'<>`\\{{}}|^\[\]]*")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,30}://\S*")
"""A URL within a text, and a text that is one."""

SECRET_WORDS = ("token", "secret", "passw", "pwd", "apikey", "accesskey", "credential", "signature")
SECRET_NAMES = frozenset(["sig", "key", "auth", "authorization"])
SIGNED = ("x-amz-", "x-goog-")
"""Parameters of a query that give access: by a word in the name, by the name, by how it begins."""

_ROOTS = (
    "home|Users|root|mnt|data|srv|var|tmp|scratch|opt|etc|work|workspace|media|Volumes|private|nfs|gpfs|lustre|dev|proc"
)
HOME = re.compile(
    r"(?<![\w./:%~-])(?:/(?:home|Users)/[^\s/\"'<>`,;:)\]}]+|/root(?=/)|[A-Za-z]:\\+Users\\+[^\s\\\"'<>`,;)\]}]+)"
)
"""The home folder of a person, which has their name."""

ABSOLUTE = re.compile(rf"file://|~[\w.-]*/|\\\\\w|[A-Za-z]:[\\/]|/(?:{_ROOTS})/")
"""How the path of a file on this machine begins."""


_AS_PATH = re.compile(r"(?:(?<=\bhttps)|(?<=\bhttp)|(?<=\bftp)|(?<=\bs3)|(?<=\bgs)|(?<=\bhf)):/(?=[^/\s])")
"""What is left of `://` where an address was taken for a path."""


def bare_url(url: str) -> str:
    """The address without user, password, query and fragment."""
    scheme, separator, rest = url.partition("://")
    return scheme + separator + re.split(r"[?#]", rest[_after_user(rest) :], maxsplit=1)[0]


def _after_user(rest: str) -> int:
    """Where the host begins in what follows `://`."""
    host = re.match(r"[^/?#]*", rest)[0]
    if re.match(r"[^@:\[\]]*:(?!\d{0,5}$)", host):  # what is no port is a password, which may have any sign in it
        return rest.rfind("@") + 1
    return host.rfind("@") + 1


def in_error(text: str) -> str:
    """A text for people here: URLs in it without what they carry, and no credential."""
    text = _AS_PATH.sub("://", text)
    if "://" in text:
        text = URL.sub(lambda found: _bare(found[0], ""), text)
    return CREDENTIALS.sub(MASK, text)


def published(text: str) -> str:
    """A text for everyone: URLs in it without what gives access, no credential, no home folder."""
    for _ in range(5):  # what is left may read as a secret again
        made = CREDENTIALS.sub(MASK, text)
        if "://" in made:
            made = URL.sub(lambda found: _bare(found[0], QUERY) if _secret(found[0]) else found[0], made)
        made = HOME.sub(HERE.rstrip("/"), made)
        if made == text:
            break
        text = made
    return text


def value(text: str, places: bool = False) -> str:
    """A value of a lock or a manifest: of a URL its bare address, of an absolute path its last part, else `published`.

    places  whether it stands where files are named, so that any path from the root on is one of this machine
    """
    if ADDRESS.fullmatch(text) and not text.startswith("file:"):
        return published(_bare(text, QUERY))
    here = ABSOLUTE.match(text) or (places and text.startswith("/"))
    return local(text) if here and "\n" not in text else published(text)


def local(path: str) -> str:
    """`LOCAL/a.jsonl` of `/data/a.jsonl`; of a glob, from its first part with a wildcard on."""
    parts = [part for part in re.split(r"[\\/]+", path.removeprefix("file://")) if part]
    wild = next((place for place, part in enumerate(parts) if re.search(r"[*?\[]", part)), len(parts) - 1)
    return published(HERE + "/".join(parts[max(wild, 0) :]) + ("/" if path.endswith("/") else ""))


def everywhere(held, key: str = ""):
    """A value of JSON with each text and each name in it as `value` has it. key: the nearest name above it."""
    if isinstance(held, str):
        return published(held) if key in PROSE else value(held, key in PLACES)
    if isinstance(held, dict):
        inside = key if key in PLACES else ""
        return {value(str(name)): everywhere(inner, inside or str(name)) for name, inner in held.items()}
    return [everywhere(inner, key) for inner in held] if isinstance(held, list) else held


def manifest(text: str) -> str:
    """The text of a manifest as it is published: its values as `value` has them, comments and layout as they are."""
    import yaml  # not for those who print an error alone

    changes, seen = [], set()

    def walk(node: yaml.Node | None, key: str) -> None:
        if node is None or id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for name, inner in node.value:
                walk(name, "")
                walk(inner, key if key in PLACES else str(name.value))
        elif isinstance(node, yaml.SequenceNode):
            for inner in node.value:
                walk(inner, key)
        elif key not in PROSE and node.style not in ("|", ">"):
            new = value(node.value, key in PLACES)
            if new != node.value and new != published(node.value):
                changes.append((node.start_mark.index, node.end_mark.index, json.dumps(new, ensure_ascii=False)))

    walk(yaml.compose(text, yaml.SafeLoader), "")
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return published(text)


def exposed(text: str) -> Iterator[Exposed]:
    """What must not be published, in the order of the text."""
    found = [(match.start(), KINDS[match.lastindex - 1], match[0]) for match in CREDENTIALS.finditer(text)]
    found += [(match.start(), "a user's home folder", match[0]) for match in HOME.finditer(text)]
    found += [(match.start(), kind, match[0]) for match in URL.finditer(text) if (kind := _secret(match[0]))]
    line, before = 1, 0
    for place, kind, said in sorted(found):
        line += text.count("\n", before, place)
        before = place
        yield Exposed(kind, line, said[:6] + "…")


def _bare(url: str, mark: str) -> str:
    """The bare address of a URL in a sentence, whose full stop or bracket stays; the mark where it had a query."""
    address = url.rstrip(".,;:)")
    bare = re.sub(
        r"[;&]([^/;&=]*)=[^/;&]*", lambda found: "" if _gives_access(found[1]) else found[0], bare_url(address)
    )
    return bare + (mark if "?" in address else "") + url[len(address) :]


def _secret(url: str) -> str:
    """What in a URL gives access; empty where nothing does."""
    if _after_user(url.partition("://")[2]):
        return "a URL with a user name or password"
    for parameter in re.split(r"[?&;#]", url)[1:]:
        name, _, held = parameter.partition("=")
        if held and _gives_access(name):
            return "a URL with a key or a signature"
    return ""


def _gives_access(parameter: str) -> bool:
    """Whether a parameter of this name gives access."""
    name = unquote(parameter).casefold()
    plain = name.replace("-", "").replace("_", "")
    return name in SECRET_NAMES or name.startswith(SIGNED) or any(word in plain for word in SECRET_WORDS)
