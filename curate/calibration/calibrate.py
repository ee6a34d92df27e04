"""`curate calibrate`: from a release to a folder with a recipe's files, a card and a lock.

    calibration/NAME-VERSION/RECIPE/
      ...                what `forms` says of the recipe
      documents.parquet  whose tokens are where
      tokenizer.json     what the ids mean
      README.md          the card
      lock.json          release, options, counts, sha256 of the files

The same release and options give the same bytes, wherever and however often.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from curate.base import licenses
from curate.base.terminal import shown
from curate.calibration import shards
from curate.calibration.exclude import Exclusion, described, evaluation_sets
from curate.calibration.forms import FORMS, Form, check_ids, write
from curate.calibration.windows import Asked, Drawing, Drawn, Sequence, Short
from curate.errors import CurateError, did_you_mean
from curate.manifest.yaml_tree import read_tree
from curate.models import tokenizer as tokenizers
from curate.models.resources import locate, noted_places, read_text, sha256
from curate.models.tokenizer import Tokenizer
from curate.release.build import replacing
from curate.release.lock import digest_of, dumps, made_before
from curate.release.pages import environment

FORMAT = 1
CONTEXT = 2048
MOST = np.iinfo(np.int32).max
"""Most sequences, tokens of one, and tokens of a set of `kernel`."""

ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<｜end▁of▁sentence｜>", "<|im_end|>")
"""What tokenizers call the end of a text; the first that one has stands between joined documents."""


@dataclass(frozen=True)
class Calibrated:
    """The set is there. changed: whether it was made anew."""

    path: Path
    lock: dict
    changed: bool


def calibrate(
    release: str | Path,
    recipe: str = "gptq",
    *,
    tokenizer: str | None = None,
    sequences: int | None = None,
    length: int | None = None,
    tokens: int | None = None,
    seed: int = 0,
    phase: str | None = None,
    join: bool = True,
    end: str | None = None,
    against: list[str] | None = None,
    to: str | Path | None = None,
    work: str | Path = "work",
) -> Calibrated:
    """Draw a calibration set from a release, or keep an existing one of the same release and options.

    release    folder, or hf://datasets/ORG/NAME@vVERSION
    recipe     gptq, awq, imatrix or kernel
    tokenizer  path, folder, URL or name; None: the one that the release counted tokens with
    sequences  number of sequences; for imatrix, use `tokens` instead
    length     tokens per sequence; for kernel, the maximum
    seed       random seed
    phase      draw only from the shards of this phase
    join       whether documents shorter than a sequence are joined, or left out
    end        token between joined documents; None: that of the release's token shards, or else the tokenizer's
               end-of-text token, if it has a common name
    against    evaluation sets, Parquet or JSONL, whose questions must not be in the set
    to         folder of the set; None: calibration/NAME-VERSION/RECIPE in `work`

    Raises CurateError if any of these is wrong, or the release has too few tokens.
    """
    form = _form(recipe)
    found = shards.open_shards(release, phase)
    loaded = tokenizers.load(str(tokenizer or _tokenizer_of(found)))
    check_ids(form, loaded)
    ending = _end(found, loaded, end)
    length = length if length is not None else form.length or _context(found, phase)
    asked = _asked(recipe, form, sequences, length, tokens, join, ending)
    sets = evaluation_sets(against or ())
    identity = _identity(found, recipe, asked, seed, phase, loaded, ending, sets)
    named = f"{found.lock.name}-{found.lock.version}"
    home = (Path(to) if to else Path(work) / "calibration" / named / recipe).absolute()
    if made := made_before(home, identity["fingerprint"]):
        return Calibrated(home, made, False)
    if home.exists() and not _only(home, _made(home)):
        raise CurateError("the output folder is not empty", str(home), "choose another folder with --to")
    docs = shards.documents(found, seed, None if form.fill else asked.length)
    exclusion = Exclusion(shards.held_out(found), sets)
    try:
        drawn = Drawing(found, docs, loaded, exclusion, asked).draw()
    except Short as short:
        raise _too_few(short, form, asked, docs, str(release)) from None
    with replacing(home) as draft:
        counts = write(form, draft, drawn.sequences, loaded, docs.sources)
        lock = identity | {"license": found.lock.license, "counts": counts}
        lock |= {"sources": _sources(docs, drawn), "strata": _strata(drawn), "left_out": drawn.left_out}
        lock |= {"held_out": exclusion.compared, "decontaminated": _decontaminated(found)}
        (draft / "README.md").write_text(shown(card(lock)), encoding="utf-8")
        lock["files"] = {path.name: sha256(path) for path in sorted(draft.iterdir())}
        lock["digest"] = digest_of(lock["files"].items())
        (draft / "lock.json").write_text(dumps(lock), encoding="utf-8")
    return Calibrated(home, lock, True)


def card(lock: dict) -> str:
    """The card of a set, from its lock."""
    facts = {
        "lock": lock,
        "license": licenses.fields(lock["license"]),
        "data_file": FORMS[lock["recipe"]].data_file,
        "short": [name for name, source in lock["sources"].items() if source["sequences"] < source["asked"]],
    }
    return environment().get_template("calibration.md.jinja").render(facts)


def _form(recipe: str) -> Form:
    if recipe not in FORMS:
        raise CurateError(f"no recipe `{recipe}`", "--recipe", did_you_mean(recipe, list(FORMS)))
    return FORMS[recipe]


def _tokenizer_of(release: shards.Shards) -> Path:
    """The tokenizer of a release's tokens, by the digest in its lock: where its manifest says, which names no place of
    the machine it was made on, or where the work folder around the release has it noted."""
    fix = "pass one with --tokenizer: a tokenizer.json, its folder, or hf://OWNER/MODEL/tokenizer.json"
    where = str(release.folder)
    digests = {stage.params["tokenizer"] for stage in release.lock.stages if stage.stage == "tokens"}
    if release.lock.tokens:
        digests.add(f"sha256:{release.lock.tokens.tokenizer.sha256}")
    if not digests:
        raise CurateError("the release has no token counts, so it specifies no tokenizer", where, fix)
    path = release.folder / "manifest.yaml"
    manifest = read_tree(read_text(path, "the release's manifest")).value if path.is_file() else None
    noted = noted_places(release.folder.absolute().parents[2]) if len(release.folder.absolute().parents) > 2 else {}
    for name in [*(noted[digest] for digest in sorted(digests & noted.keys())), *_named(manifest)]:
        try:
            path = locate(name, "tokenizer")
        except CurateError:
            continue
        if f"sha256:{sha256(path)}" in digests:
            return path
    raise CurateError(
        f"the tokenizer of the release ({', '.join(sorted(digests))}) was not found on this machine", where, fix
    )


def _named(value: Any) -> list[str]:
    """The tokenizers of all that is called `tokens` in a manifest: stages, and its token shards."""
    if isinstance(value, list):
        return [name for one in value for name in _named(one)]
    if not isinstance(value, dict):
        return []
    call = value.get("tokens")
    call = call.get("tokenizer") if isinstance(call, dict) else call
    return [*([call] if isinstance(call, str) else []), *_named(list(value.values()))]


def _context(release: shards.Shards, phase: str | None) -> int:
    """Length of the sequences of a phase, or the longest of all."""
    tokens, mixture = release.lock.tokens, release.lock.mixture
    splits: list[Any] = [*(mixture.splits if mixture else []), *(tokens.splits if tokens else [])]
    known = [split.context for split in splits if split.context and phase in (None, split.phase)]
    return max(known, default=CONTEXT)


def _end(release: shards.Shards, tokenizer: Tokenizer, name: str | None) -> tuple[str, int] | None:
    """The token between documents, and its id."""
    if name is not None:
        return name, tokenizer.id_of(name)
    encoded = release.lock.tokens
    if encoded and encoded.tokenizer.sha256 == sha256(tokenizer.path):
        return (encoded.eos.token, encoded.eos.id) if encoded.eos else None
    for usual in ENDS:
        if (found := tokenizer.exact.token_to_id(usual)) is not None:
            return usual, found
    return None


def _asked(
    recipe: str,
    form: Form,
    sequences: int | None,
    context: int,
    tokens: int | None,
    join: bool,
    ending: tuple[str, int] | None,
) -> Asked:
    """What is to be drawn. Raises CurateError for an option that the recipe has not, or that is out of range."""
    takes_tokens = form.tokens is not None
    if (sequences if takes_tokens else tokens) is not None:
        wrong, right = ("--sequences", "--tokens") if takes_tokens else ("--tokens", "--sequences")
        raise CurateError(f"recipe `{recipe}` does not accept {wrong}", wrong, f"use {right} instead")
    for option, value in (("--sequences", sequences), ("--length", context), ("--tokens", tokens)):
        if value is not None and not 1 <= value <= MOST:
            raise CurateError(f"{option} {value} is out of range", option, f"use 1 to {MOST:,}")
    length, tokens = context, tokens or form.tokens
    if tokens:
        total = ceil(tokens / length)
        length = tokens // total
    else:
        assert form.sequences, "a recipe counts tokens or sequences"
        total = sequences or form.sequences
    if total * length > MOST and form.dtype is np.int32:
        what = f"{total:,} sequences of up to {length:,} tokens do not fit cu_seqlens, int32"
        raise CurateError(what, "--sequences", f"use at most {MOST // length:,}, or a lower --length")
    return Asked(total, length, form.fill, join, ending[1] if ending else None)


def _identity(
    release: shards.Shards,
    recipe: str,
    asked: Asked,
    seed: int,
    phase: str | None,
    tokenizer: Tokenizer,
    ending: tuple[str, int] | None,
    sets: dict,
) -> dict:
    """All that affects the set."""
    options = {"sequences": asked.total, "length": asked.length, "seed": seed, "phase": phase, "join": asked.join}
    identity = {
        "calibration": FORMAT,
        "recipe": recipe,
        "release": {name: getattr(release.lock, name) for name in ("name", "version", "digest")},
        "options": options | {"end": ending[0] if ending else None},
        "tokenizer": {"sha256": sha256(tokenizer.path), "ids": tokenizer.ids},
        "against": described(sets),
        "versions": {name: version(name) for name in ("numpy", "pyarrow", "safetensors", "tokenizers", "tokie")},
    }
    key = json.dumps(identity, sort_keys=True).encode()
    return identity | {"fingerprint": hashlib.blake2b(key, digest_size=16).hexdigest()}


def _made(home: Path) -> dict | None:
    """The lock of the set that is there, if there is one."""
    try:
        lock = json.loads((home / "lock.json").read_text(encoding="utf-8"))
        return lock if lock["calibration"] == FORMAT and lock["fingerprint"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _only(home: Path, lock: dict | None) -> bool:
    """Whether nothing is in a folder but what a set has, so that another one may take its place."""
    known = {"lock.json", *lock["files"]} if lock else set()
    return home.is_dir() and all(path.name in known for path in home.iterdir())


def _too_few(short: Short, form: Form, asked: Asked, docs: shards.Documents, where: str) -> CurateError:
    if not short.there and not asked.join and short.longest:
        what = f"the longest document has {short.longest:,} tokens, fewer than the {asked.length:,} of a sequence"
        return CurateError(
            what, where, f"use a --length of at most {short.longest}, or let documents be joined (--join)"
        )
    what = f"{asked.total:,} sequences of {asked.length:,} tokens requested, only {short.there:,} can be drawn from"
    what += f" {len(docs.line):,} documents, each drawn once"
    fewer = f"--tokens {short.there * asked.length}" if form.tokens else f"--sequences {short.there}"
    fixes = [f"request fewer ({fewer})"] if short.there else []
    fixes += ["for shorter ones (--length)"] if asked.fill else []
    return CurateError(what, where, ", or ".join([*fixes, "draw from a larger release"]))


def _sources(docs: shards.Documents, drawn: Drawn) -> dict[str, dict]:
    """By source: its share of the release, the sequences asked of it and made, and what is in them."""
    made: list[list[Sequence]] = [[] for _ in docs.sources]
    for sequence in drawn.sequences:
        made[sequence.source].append(sequence)
    return {
        name: {
            "share": round(int(docs.total[place]) / int(docs.total.sum()), 6),
            "asked": int(drawn.quotas[place]),
            "sequences": len(made[place]),
            "documents": sum(len(one.pieces) for one in made[place]),
            "tokens": sum(len(one.ids) for one in made[place]),
        }
        for place, name in enumerate(docs.sources)
    }


def _strata(drawn: Drawn) -> list[dict]:
    """From short documents to long: how many, of which lengths, and how many tokens they gave."""
    pieces = [piece for sequence in drawn.sequences for piece in sequence.pieces]
    return [
        {
            "stratum": stratum,
            "documents": len(mine),
            "shortest": min(piece.tokens for piece in mine),
            "longest": max(piece.tokens for piece in mine),
            "tokens": sum(len(piece.ids) for piece in mine),
        }
        for stratum in sorted({piece.stratum for piece in pieces})
        for mine in [[piece for piece in pieces if piece.stratum == stratum]]
    ]


def _decontaminated(release: shards.Shards) -> list[dict]:
    """The stages that took evaluation sets out of the release: {"scope", "label", "sets"}."""
    return [
        {"scope": stage.scope, "label": stage.label, "sets": sorted(stage.params["sets"])}
        for stage in release.lock.stages
        if stage.stage == "decontaminate" and stage.params["mode"] == "reject"
    ]
