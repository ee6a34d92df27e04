"""The card of a release: its README.md, for people and for `datasets.load_dataset`. Every number is the lock's."""

from pathlib import Path

import jinja2
import yaml

from curate.manifest import Manifest

SIZES = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M")]
SIZES += [(10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**12, "1B<n<10B")]


def render(manifest: Manifest, lock: dict) -> str:
    """The card's text: front matter, then what is in the release and where the rest went."""
    front = {
        "pretty_name": manifest.name,
        "license": lock["license"],
        "size_categories": [next(name for limit, name in SIZES if lock["documents"] < limit)],
        "task_categories": ["text-generation"],
        "tags": ["curate"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}],
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "count": "{:,}".format,
        "size": size,
        "share": "{:.1%}".format,
        "reasons": reasons,
    }
    template = environment.get_template("card.md.jinja")
    header = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    body = template.render(
        manifest=manifest.document,
        lock=lock,
        text=manifest.text,
        shards=[file for file in lock["files"] if file["path"].startswith("data/")],
        read=sum(source["read"]["in"] for source in lock["sources"].values()),
        kept_bytes=sum(kept["bytes"] for kept in lock["kept"].values()),
    )
    return f"---\n{header}---\n{body}"


def size(count: int) -> str:
    """`1.5 MB` of bytes."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def reasons(counts: dict[str, int]) -> str:
    """`too_short 12, duplicate_text 3`, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {count:,}" for reason, count in ordered)
