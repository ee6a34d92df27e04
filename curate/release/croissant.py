"""croissant.json: the release described for machines.

Croissant 1.1 with its RAI vocabulary, and where the release came from in PROV-O (mlcommons.org/croissant).
"""

import json

from curate.base import licenses
from curate.base.features import IMAGE, value_type
from curate.base.languages import CODE, MULTILINGUAL
from curate.release.card import USES, configs, languages, personal_data, uses
from curate.release.typed_lock import File, Lock

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "equivalentProperty": "cr:equivalentProperty",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
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
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": lock.name,
        "description": lock.description or f"{lock.name}, {lock.documents:,} documents made by curate.",
        "version": version,
        "license": _license(lock.license),
        **({"url": url} if url else {}),
        **({"inLanguage": codes} if (codes := _spoken(lock)) else {}),
        "citeAs": f"{lock.name} {version}, {lock.digest}",
        "isLiveDataset": False,
        **_responsible(lock),
        **_provenance(lock),
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


def _provenance(lock: Lock) -> dict:
    """What the release was made from, and by what."""
    before = [entry for entry in (lock.extends, lock.parent and {"name": lock.name, **lock.parent}) if entry]
    derived = [
        {"@id": f"source/{name}", "@type": "prov:Entity", "prov:label": f"{name}, {source.license}"}
        for name, source in lock.sources.items()
    ]
    derived += [
        {
            "@id": f"{entry.get('digest')}",
            "@type": "prov:Entity",
            "prov:label": f"{entry.get('name')} {entry.get('version')}",
        }
        for entry in before
    ]
    agents = [{"@type": "prov:SoftwareAgent", "prov:label": f"{name} {made}"} for name, made in lock.versions.items()]
    return {
        "prov:wasDerivedFrom": derived,
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "prov:label": "curate run",
            "prov:used": {"@id": "manifest.yaml"},
            "prov:wasAssociatedWith": agents,
        },
    }


def _responsible(lock: Lock) -> dict:
    """What the release says of itself in the RAI vocabulary."""
    raw = (f"{name}: {source.description or 'no description'}" for name, source in lock.sources.items())
    missed = sum(entry.files for source in lock.sources.values() for entry in source.not_taken)
    lost = sum(file.lost for source in lock.sources.values() for file in source.files)
    return {
        "rai:dataCollection": "Documents from the listed sources, kept or rejected by the rules in the manifest.",
        "rai:dataCollectionType": ["Web Scraping", "Secondary Data Analysis"],
        "rai:dataCollectionRawData": "; ".join(raw),
        "rai:dataCollectionMissingData": f"{missed:,} files were not read; {lost:,} bytes of others were damaged.",
        "rai:dataPreprocessingProtocol": [stage.title for stage in lock.stages],
        "rai:personalSensitiveInformation": f"Text written by others may contain personal data. {personal_data(lock)}",
        "rai:dataBiases": "Languages, topics and authors are as unevenly represented as in the sources.",
        "rai:dataLimitations": "Selected by rules, not reviewed by people; text may be wrong, biased or offensive.",
        "rai:dataUseCases": "; ".join(USES[use] for use in uses(lock)) + "; calibration of language models.",
        "rai:dataSocialImpact": "Models trained on it may repeat what is false, biased or personal in it.",
        "rai:dataReleaseMaintenancePlan": "Removals on request become patch versions; existing versions never change.",
    }
