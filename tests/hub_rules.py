"""What the Hub says of a card's front matter, by its published rules (hub-docs: datasetcard.md and
repositories-licenses.md; the messages are the Hub's). Written from the rules, not from what curate writes."""

import re

import pycountry
import yaml

LICENSES = [
    "apache-2.0",
    "mit",
    "openrail",
    "bigscience-openrail-m",
    "creativeml-openrail-m",
    "bigscience-bloom-rail-1.0",
    "bigcode-openrail-m",
    "afl-3.0",
    "artistic-2.0",
    "bsl-1.0",
    "bsd",
    "bsd-2-clause",
    "bsd-3-clause",
    "bsd-3-clause-clear",
    "c-uda",
    "cc",
    "cc0-1.0",
    "cc-by-2.0",
    "cc-by-2.5",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc-by-nc-2.0",
    "cc-by-nc-3.0",
    "cc-by-nc-4.0",
    "cc-by-nd-4.0",
    "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0",
    "cdla-sharing-1.0",
    "cdla-permissive-1.0",
    "cdla-permissive-2.0",
    "wtfpl",
    "ecl-2.0",
    "epl-1.0",
    "epl-2.0",
    "etalab-2.0",
    "eupl-1.1",
    "eupl-1.2",
    "agpl-3.0",
    "gfdl",
    "gpl",
    "gpl-2.0",
    "gpl-3.0",
    "lgpl",
    "lgpl-2.1",
    "lgpl-3.0",
    "isc",
    "h-research",
    "intel-research",
    "lppl-1.3c",
    "ms-pl",
    "apple-ascl",
    "apple-amlr",
    "mpl-2.0",
    "odc-by",
    "odbl",
    "openmdw-1.0",
    "openmdw-1.1",
    "openrail++",
    "osl-3.0",
    "postgresql",
    "ofl-1.1",
    "ncsa",
    "unlicense",
    "zlib",
    "pddl",
    "lgpl-lr",
    "deepfloyd-if-license",
    "fair-noncommercial-research-license",
    "llama2",
    "llama3",
    "llama3.1",
    "llama3.2",
    "llama3.3",
    "llama4",
    "grok2-community",
    "gemma",
    "unknown",
    "other",
]
SIZES = [
    "n<1K",
    "1K<n<10K",
    "10K<n<100K",
    "100K<n<1M",
    "1M<n<10M",
    "10M<n<100M",
    "100M<n<1B",
    "1B<n<10B",
    "10B<n<100B",
    "100B<n<1T",
    "n>1T",
]
TASKS = [
    "text-classification",
    "text-generation",
    "question-answering",
    "summarization",
    "translation",
    "fill-mask",
    "other",
]


def mistakes(card: str) -> list[str]:
    """The errors of the Hub for a card with front matter."""
    front = re.match(r"---\n(.*?)\n---(\n|$)", card, re.DOTALL)
    try:
        fields = yaml.safe_load(front[1]) if front else {}
    except yaml.YAMLError as error:
        return [f"Invalid YAML: {error}"]
    if not isinstance(fields, dict):
        return ['"value" must be of type object']
    return [*_license(fields), *_languages(fields), *_vocabularies(fields), *_configs(fields)]


def _listed(value) -> list:
    return value if isinstance(value, list) else [value]


def _license(fields: dict):
    names = _listed(fields["license"]) if "license" in fields else []
    if any(name not in LICENSES for name in names):
        yield f'"license" must be one of {LICENSES}'
    if "other" in names and "license_name" not in fields:
        yield '"license_name" is required'
    name = fields.get("license_name", "a")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9]([a-z0-9.+-]*[a-z0-9+])?", name):
        yield '"license_name" must be an id such as my-license-1.0'
    link = fields.get("license_link", "LICENSE")
    if not isinstance(link, str) or not re.fullmatch(r"LICENSE(\.md)?|https?://\S+", link):
        yield '"license_link" must be "LICENSE", "LICENSE.md" or a URL'


def _languages(fields: dict):
    for number, name in enumerate(_listed(fields.get("language", []))):
        if not isinstance(name, str):
            yield f'"language[{number}]" must be a string'
        elif name != name.lower():
            yield f'"language[{number}]" must only contain lowercase characters'
        elif name not in ("code", "multilingual") and not _iso(name):
            what = "It must be an ISO 639-1, 639-2 or 639-3 code (two/three letters), or a special value"
            yield f'"language[{number}]" with value "{name}" is not valid. {what} like "code", "multilingual".'
    for name in _listed(fields.get("language_bcp47", [])):
        if not isinstance(name, str) or not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{1,8})*", name):
            yield f'"language_bcp47" has {name!r}'


def _iso(code: str) -> bool:
    if len(code) == 2:
        return pycountry.languages.get(alpha_2=code) is not None
    families = getattr(pycountry, "language_families", ())
    return len(code) == 3 and any(
        table and table.get(alpha_3=code) is not None for table in (pycountry.languages, families)
    )


def _vocabularies(fields: dict):
    for name, known in (("size_categories", SIZES), ("task_categories", TASKS)):
        for value in _listed(fields.get(name, [])):
            if value not in known:
                yield f'"{name}" must be one of {known}'
    if not isinstance(fields.get("pretty_name", ""), str):
        yield '"pretty_name" must be a string'
    if not all(isinstance(tag, str) and tag for tag in fields.get("tags", [])):
        yield '"tags" must be strings'


def _configs(fields: dict):
    configs = fields.get("configs", [])
    names = [config.get("config_name") for config in configs]
    for config, name in zip(configs, names, strict=True):
        if not isinstance(name, str) or not name or set(name) & set("<>:/\\|?*"):
            yield f'"config_name" must not be {name!r}'
        for file in config["data_files"] if isinstance(config["data_files"], list) else []:
            if not re.fullmatch(r"\w+(\.\w+)*", file["split"]):
                yield f'"split" must not be {file["split"]!r}'
    default = {name for config, name in zip(configs, names, strict=True) if config.get("default")} | (
        {"default"} & {*names}
    )
    if len(default) > 1 or len(set(names)) < len(names):
        yield f'"configs" has several default configs, or one twice: {sorted(default)}'
    for info in _listed(fields.get("dataset_info", [])):
        if info["config_name"] not in names:
            yield f'"dataset_info" has an unknown config {info["config_name"]!r}'
