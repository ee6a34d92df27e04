"""The card (README.md of a release) and the numbers of the report; its text is in card.md.jinja.

For people and for `datasets.load_dataset`. Every number is the lock's.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

import yaml

from curate.base import licenses
from curate.base.features import feature
from curate.base.languages import listed
from curate.base.phrases import reasons
from curate.release.accounts import accounts
from curate.release.charts import curves, funnel
from curate.release.figures import Figures
from curate.release.pages import environment
from curate.release.typed_lock import Amount, Lock, as_json

LIMITS = [("n<1K", 10**3), ("1K<n<10K", 10**4), ("10K<n<100K", 10**5), ("100K<n<1M", 10**6), ("1M<n<10M", 10**7)]
LIMITS += [("10M<n<100M", 10**8), ("100M<n<1B", 10**9), ("1B<n<10B", 10**10), ("10B<n<100B", 10**11)]
LIMITS += [("100B<n<1T", 10**12), ("n>1T", 10**18)]

ROWS_OF = {"language": "languages", "license": "licenses"}

DEDUPLICATION = ("exact_dedup", "near_dedup", "line_dedup", "bloom_dedup", "substring_dedup", "image_dedup")
"""The stages that take what already exists."""

LONGEST = 20
"""Lines of a table of the card; the rest is one line."""


def render(lock: Lock, manifest: str, figures: Figures = Figures()) -> str:  # noqa: B008 (it is never changed)
    """The card's text: front matter, then what is in the release and where the rest went.

    manifest  its text. The lock needs all but `files` of what lies beside the data.
    """
    header = yaml.safe_dump(front_matter(lock), sort_keys=False, allow_unicode=True)
    return f"---\n{header}---\n{environment().get_template('card.md.jinja').render(**facts(lock, manifest, figures))}"


def facts(lock: Lock, manifest: str, figures: Figures) -> dict:
    """What the card and the report say, by the names their templates use."""
    repo = lock.publish.repo
    return {
        "lock": lock,
        "figures": figures,
        "manifest": manifest,
        "configs": configs(lock),
        "repo": repo or f"ORG/{lock.name}",
        "published": repo,
        "shards": lock.shards,
        "by_source": in_order(lock),
        "totals": (totals := total(lock.composition.get("source", {}).values())),
        "unique": (unique := total(lock.once.get("source", {}).values())),
        "repeated": unique["documents"] != totals["documents"],
        "empty": empty_sources(lock),
        "found": sum(source.read.in_ for source in lock.sources.values()),
        "composition": {name: list(lines(lock, name)) for name in ("language", "license")},
        "funnel": [(name, sum(left.values())) for name, left in funnel(lock)],
        "released": sum(funnel(lock)[-1][1].values()),
        "curves": curves(lock),
        "page_parts": dict(page_parts(lock)),
        "accounts": list(accounts(lock.sources)),
        "decontaminated": [stage for stage in lock.stages if stage.stage == "decontaminate"],
        "deduplicated": [stage for stage in lock.stages if stage.stage in DEDUPLICATION],
        "bytes": sum(file.bytes for file in lock.shards),
        "uses": [USES[use] for use in uses(lock)],
        "made_by": list(dict.fromkeys(stage.label for stage in lock.stages)),
        "personal": personal_data(lock),
        "named": [*dict.fromkeys(languages(lock)[0])],
    }


USES = {
    "pretraining": "pretraining of language models",
    "conversational": "supervised fine-tuning",
    "preference": "preference optimization and reward models",
    "image-text-to-text": "training of vision-language models",
}
"""{tag of the Hub: what a release is for}"""


def uses(lock: Lock) -> list[str]:
    """What a release is for, by its columns, in the words of the Hub's tags."""
    tags = {"messages": "conversational", "chosen": "preference", "images": "image-text-to-text"}
    return [tag for name, tag in tags.items() if name in lock.columns] or ["pretraining"]


def page_parts(lock: Lock) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
    """(stage, [(kind of block, its visible bytes, those kept)]) of each stage that tells main content by blocks."""
    for stage in lock.stages:
        tally: Counter[str] = Counter()
        for passed in stage.sources.values():
            tally.update(passed.tally)
        kinds = [name.removesuffix("_found") for name, size in tally.items() if name.endswith("_found") and size]
        if stage.stage == "extract" and kinds:
            yield stage.label, [(kind, tally[f"{kind}_found"], tally[f"{kind}_kept"]) for kind in kinds]


def configs(lock: Lock) -> dict[str, dict[str, dict]]:
    """{config: {split: {"path", "rows", "text_bytes", "bytes"}}} of the shards, by where they lie.

    `data/PHASE/train-*` is the split `train` of the config PHASE, `data/train-*` that of `default`;
    `data/validation/*` is the split `validation` of each.
    """
    found: dict[str, dict[str, dict]] = {}
    shared: dict[str, dict] = {}
    for file in lock.shards:
        folder, _, name = file.path.rpartition("/")
        folder = folder.removeprefix("data").strip("/")
        held_out = folder == "validation"
        split = "validation" if held_out else name.partition("-")[0]
        where = shared if held_out else found.setdefault(folder or "default", {})
        pattern = f"{file.path.rpartition('/')[0]}/{'*' if held_out else f'{split}-*'}.parquet"
        entry = where.setdefault(split, {"path": pattern, "rows": 0, "text_bytes": 0, "bytes": 0})
        for key in ("rows", "text_bytes", "bytes"):
            entry[key] += getattr(file, key)
    return {name: splits | shared for name, splits in (found or {"default": {}}).items()}


def front_matter(lock: Lock) -> dict:
    """What the Hub and `datasets` read of a card."""
    documents = sum(file.rows for file in lock.shards)
    codes, tags = languages(lock)
    features = [feature(name, kind) for name, kind in lock.columns.items()]
    made = {
        "pretty_name": lock.name,
        **licenses.fields(lock.license),
        **({"language": codes} if codes else {}),
        **({"language_bcp47": tags} if tags else {}),
        "size_categories": [next(name for name, limit in LIMITS if documents < limit)],
        "task_categories": ["text-generation"],
        "tags": ["curate", *uses(lock), "croissant"],
        "configs": [],
        "dataset_info": [],
    }
    for place, (name, splits) in enumerate(configs(lock).items()):
        files = [{"split": split, "path": held["path"]} for split, held in splits.items()]
        made["configs"].append({"config_name": name, **({"default": True} if not place else {}), "data_files": files})
        made["dataset_info"].append(
            {
                "config_name": name,
                "features": features,
                "splits": [
                    {"name": split, "num_bytes": held["text_bytes"], "num_examples": held["rows"]}
                    for split, held in splits.items()
                ],
                "download_size": sum(held["bytes"] for held in splits.values()),
                "dataset_size": sum(held["text_bytes"] for held in splits.values()),
            }
        )
    return made


PII_MODES = {
    "replace": "The stage `pii` replaced the personal data that it detected.",
    "reject": "The stage `pii` rejected documents in which it detected personal data.",
    "mark": "The stage `pii` only counted the personal data that it detected.",
}


def personal_data(lock: Lock) -> str:
    """What was done about personal data, and how many matches the kept documents had."""
    stages = [stage for stage in lock.stages if stage.stage == "pii"]
    if not stages:
        return "No stage of this release searched for it."
    done = dict.fromkeys(PII_MODES.get(str(stage.params.get("mode")), PII_MODES["mark"]) for stage in stages)
    found: Counter[str] = Counter()
    for stage in stages:
        for passed in stage.sources.values():
            found.update(passed.tally)
    return " ".join(done) + (f" Matches in the documents it kept: {reasons(found)}." if found else "")


def languages(lock: Lock) -> tuple[list[str], list[str]]:
    """The Hub's codes of the languages in a release, and the BCP 47 tags that say more than their code."""
    stages = {stage.stage for stage in lock.stages}
    return listed(lock.composition.get("language", {}), "language" in stages, "code" in stages)


def empty_sources(lock: Lock) -> list[str]:
    """The sources of which documents were read and none is in the release."""
    held = lock.once.get("source", {})
    return [name for name, source in lock.sources.items() if source.read.in_ and name not in held]


def total(amounts: Iterable[Amount]) -> dict[str, int]:
    """Sums of documents, bytes and, where they are known, tokens."""
    return _total(map(as_json, amounts))


def _total(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    counts = list(counts)
    names = dict.fromkeys(["documents", "bytes", *(name for count in counts for name in count)])
    return {name: sum(count.get(name, 0) for count in counts) for name in names}


def in_order(lock: Lock) -> dict[str, dict]:
    """{source: counts} as the manifest has them, then those of earlier releases; `unique` beside them."""
    counts = _with_unique(lock, "source")
    return {name: counts[name] for name in dict.fromkeys([*lock.sources, *counts]) if name in counts}


def _with_unique(lock: Lock, column: str) -> dict[str, dict]:
    """{value: counts of rows, and `unique`, of documents}."""
    once = lock.once.get(column, {})
    return {
        value: as_json(amount)
        | {"unique": (each := once.get(value, amount)).documents, "unique_tokens": each.tokens or 0}
        for value, amount in lock.composition.get(column, {}).items()
    }


def lines(lock: Lock, name: str) -> Iterator[tuple[str, dict]]:
    """The values of a column with their counts, the largest first, the smallest together."""
    counts = _with_unique(lock, name)
    ordered = sorted(counts.items(), key=lambda item: (-item[1]["bytes"], item[0]))
    yield from ordered[:LONGEST]
    if rest := ordered[LONGEST:]:
        yield f"{len(rest)} other {ROWS_OF[name]}", _total(count for _, count in rest)
