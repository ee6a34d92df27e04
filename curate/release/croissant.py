"""croissant.json: the release described for machines.

Croissant 1.0 with its RAI vocabulary (mlcommons.org/croissant).
"""

import json

from curate.base import licenses
from curate.base.features import IMAGE, value_type
from curate.base.languages import CODE, MULTILINGUAL
from curate.release.card import configs, languages
from curate.release.typed_lock import File, Lock

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "equivalentProperty": "cr:equivalentProperty",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the specification gives, as it stands there."""

FORMATS = {
    "parquet": "application/x-parquet",
    "md": "text/markdown",
    "html": "text/html",
    "svg": "image/svg+xml",
    "yaml": "application/yaml",
    "json": "application/json",
    **dict.fromkeys(["npy", "bin", "idx", "mds"], "application/octet-stream"),
}


def render(lock: Lock) -> str:
    """The metadata as JSON-LD, of all files that the lock names so far."""
    repo, version = lock.publish.repo, lock.version
    url = f"https://huggingface.co/datasets/{repo}" if repo else ""
    base = f"{url}/resolve/v{version}/" if repo else ""
    sets, records = [], []
    for config, splits in configs(lock).items():
        for split, held in splits.items():
            name = f"{config}-{split}"
            sets.append(_file_set(name, held["path"], bool(repo)))
            records.append(_record_set(name, lock.columns, held["rows"]))
    made = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": lock.name,
        "description": lock.description or f"{lock.name}, {lock.documents:,} documents made by curate.",
        "version": version,
        "license": _license(lock.license),
        **({"url": url} if url else {}),
        **({"inLanguage": codes} if (codes := _spoken(lock)) else {}),
        "citeAs": f"{lock.name} {version}, {lock.digest}",
        "isLiveDataset": False,
        **_responsible(lock),
        "distribution": [
            *([_repository(url, lock)] if url else []),
            *(_file(file, base) for file in lock.files),
            *sets,
        ],
        "recordSet": records,
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _file(file: File, base: str) -> dict:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": base + file.path,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": FORMATS[file.path.rpartition(".")[2]],
        "sha256": file.sha256,
    }


def _repository(url: str, lock: Lock) -> dict:
    """The published repository as one thing to fetch; its digest is the release's."""
    return {
        "@type": "cr:FileObject",
        "@id": "repository",
        "name": "repository",
        "contentUrl": f"{url}/tree/v{lock.version}",
        "encodingFormat": "git+https",
        "sha256": lock.digest.removeprefix("sha256:"),
    }


def _file_set(name: str, pattern: str, published: bool) -> dict:
    """Shards: files of the repository, or of the folder that croissant.json lies in."""
    return {
        "@type": "cr:FileSet",
        "@id": f"{name}-files",
        "name": f"{name}-files",
        **({"containedIn": {"@id": "repository"}} if published else {}),
        "encodingFormat": FORMATS["parquet"],
        "includes": pattern,
    }


def _record_set(name: str, columns: dict[str, str], rows: int) -> dict:
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{column}",
            "name": f"{name}/{column}",
            "dataType": _data_type(kind),
            **({"repeated": True} if value_type(kind) != kind else {}),
            "source": {"fileSet": {"@id": f"{name}-files"}, "extract": {"column": column}}
            | ({"transform": {"jsonPath": "bytes"}} if value_type(kind) == IMAGE else {}),
        }
        for column, kind in columns.items()
    ]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "description": f"{rows:,} rows", "field": fields}


def _data_type(kind: str) -> str:
    """The type of a column's values, or of the values in its lists."""
    inner = value_type(kind)
    if inner == IMAGE:
        return "sc:ImageObject"
    if inner.startswith(("int", "uint")):
        return "sc:Integer"
    if inner in ("float", "double", "halffloat") or inner.startswith("decimal"):
        return "sc:Float"
    if inner.startswith(("date", "timestamp")):
        return "sc:Date"
    return "sc:Boolean" if inner == "bool" else "sc:Text"


def _spoken(lock: Lock) -> list[str]:
    """The natural languages, as BCP 47: the tags, and the codes that no tag says more of."""
    codes, tags = languages(lock)
    named = {tag.partition("-")[0] for tag in tags}
    return sorted({*tags, *codes} - named - {CODE, MULTILINGUAL})


def _license(license: str) -> str:
    """The license by its address where it has one."""
    return licenses.fields(license).get("license_link", license)


def _responsible(lock: Lock) -> dict:
    """What the release says of itself in the RAI vocabulary."""
    raw = (f"{name}: {source.description or 'no description'}" for name, source in lock.sources.items())
    masked = any(stage.stage == "pii" for stage in lock.stages)
    found = "A stage masked the personal data that it detected." if masked else "No stage searched for it."
    return {
        "rai:dataCollection": "Documents from the listed sources, kept or rejected by the rules in the manifest.",
        "rai:dataCollectionType": ["Web Scraping", "Secondary Data Analysis"],
        "rai:dataCollectionRawData": "; ".join(raw),
        "rai:dataPreprocessingProtocol": [stage.title for stage in lock.stages],
        "rai:personalSensitiveInformation": f"Text written by others may contain personal data. {found}",
        "rai:dataBiases": "Languages, topics and authors are as unevenly represented as in the sources.",
        "rai:dataLimitations": "Selected by rules, not reviewed by people; text may be wrong, biased or offensive.",
        "rai:dataUseCases": "Pretraining, fine-tuning and calibration of language models.",
        "rai:dataReleaseMaintenancePlan": "Removals on request become patch versions; existing versions never change.",
    }
