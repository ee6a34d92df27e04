"""What people and data write of languages, licenses, names and types, as the Hub and `datasets` take it."""

import json
import re

import datasets
import hub_rules
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from releases import release, rows, write_jsonl, write_manifest

from curate.base import licenses
from curate.base.features import feature, plainer, value_type
from curate.base.languages import listed, natural
from curate.errors import ManifestError
from curate.manifest.manifest import loads
from curate.release.card import render
from curate.release.checked_lock import check


@pytest.mark.parametrize(
    ("said", "code", "tag"),
    [
        ("zh-CN", "zh", "zh-CN"),
        ("bg-Latn", "bg", "bg-Latn"),
        ("pt_BR", "pt", "pt-BR"),
        ("en_US.UTF-8", "en", "en-US"),
        ("eng_Latn", "en", "en-Latn"),
        ("arb_Arab", "arb", "arb-Arab"),
        ("zh-yue", "yue", "yue"),
        ("es-419", "es", "es-419"),
        ("sr-cyrl-rs", "sr", "sr-Cyrl-RS"),
        ("English", "en", "en"),
        ("FRENCH", "fr", "fr"),
        ("Chinese (Simplified)", "zh", "zh"),
        ("Greek", "el", "el"),
        ("EN", "en", "en"),
        ("NO", "no", "no"),
        ("fre", "fr", "fr"),
        ("iw", "he", "he"),
        ("__label__de", "de", "de"),
        ("nah", "nah", "nah"),
        ("mul", "multilingual", "multilingual"),
        ("bat-smg", "sgs", "sgs"),
        ("cbk-zam", "cbk", "cbk"),
        ("map-bms", "jv", "jv"),
        ("zh-classical", "lzh", "lzh"),
        ("simple", "en", "en"),
        ("ar-arz", "arz", "arz"),
    ],
)
def test_a_language_is_read_however_it_is_written(said, code, tag):
    assert natural(said) == (code, tag)


@pytest.mark.parametrize(
    "said", ["", " ", "und", "zxx", "unknown", "x-klingon", "qaa", "en-", "123", "Latn", "a" * 500, "\x1b"]
)
def test_what_is_no_language_is_none(said):
    assert natural(said) is None
    assert listed([said]) == ([], [])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["sql", "php", "css"], ["code"]),
        (["Python", "C++", "Jupyter Notebook", "1C Enterprise"], ["code"]),
        (["en", "fr", "lua"], ["en", "fr", "lua"]),
        (["en", "Rust", "lua"], ["en", "code"]),
        (["lua"], ["code"]),
        (["cs", "ts"], ["cs", "ts"]),
        (["en, fr"], ["en", "fr"]),
        (["code", "multilingual"], ["code", "multilingual"]),
    ],
)
def test_source_code_is_told_from_natural_languages(values, expected):
    assert listed(values)[0] == expected


def test_stages_say_what_a_doubtful_name_is():
    assert listed(["lua"], identified=True)[0] == ["lua"]
    assert listed(["ts"], source_files=True)[0] == ["code"]
    assert listed(["ts"], identified=True, source_files=True)[0] == ["ts"]


@given(st.lists(st.text(max_size=12) | st.sampled_from(["en", "zh-CN", "Python", "eng_Latn", "css"]), max_size=6))
def test_whatever_data_says_the_hub_takes_the_codes(values):
    codes, tags = listed(values)
    front = yaml.safe_dump({"language": codes, "language_bcp47": tags}, allow_unicode=True)
    assert hub_rules.mistakes(f"---\n{front}---\n") == []


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ("MIT", {"license": "mit"}),
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("apache2", {"license": "apache-2.0"}),
        ("The Apache License, Version 2.0", {"license": "apache-2.0"}),
        (" CC BY 4.0 ", {"license": "cc-by-4.0"}),
        ("CC-BY-SA-4.0", {"license": "cc-by-sa-4.0"}),
        ("GPL-3.0-only", {"license": "gpl-3.0"}),
        ("lgpl-2.1-or-later", {"license": "lgpl-2.1"}),
        ("ODC-By-1.0", {"license": "odc-by"}),
        ("llama3.1", {"license": "llama3.1"}),
        ("fair-noncommercial-research-license", {"license": "fair-noncommercial-research-license"}),
        ("0bsd", {"license": "other", "license_name": "0bsd", "license_link": "https://spdx.org/licenses/0BSD.html"}),
        ("mit or apache-2.0", {"license": "other", "license_name": "mit-or-apache-2.0"}),
        ("Our own, 2026", {"license": "other", "license_name": "our-own-2026"}),
        ("LicenseRef-Mine", {"license": "other", "license_name": "mine"}),
        (
            "https://a.example/terms",
            {"license": "other", "license_name": "terms", "license_link": "https://a.example/terms"},
        ),
    ],
)
def test_a_license_is_read_however_it_is_written(said, fields):
    assert licenses.fields(licenses.canonical(said)) == fields


@pytest.mark.parametrize("name", sorted(licenses.HUB))
def test_what_the_hub_lists_stays(name):
    assert licenses.canonical(name.upper()).lower() == name


def test_the_list_is_the_hubs():
    assert set(hub_rules.LICENSES) == licenses.HUB


@pytest.mark.parametrize(
    ("said", "fix"), [("", "no license"), ("  ", "no license"), ("lama3.1", "`llama3.1`"), ("cc-by-5.0", "`cc-by-")]
)
def test_a_license_that_is_none_is_refused_where_it_stands(said, fix):
    for place in ("license", "sources.a.license"):
        document = {"name": "x", "version": "1.0.0", "license": "mit", "sources": {"a": {"inputs": ["a.jsonl"]}}}
        (document if place == "license" else document["sources"]["a"])["license"] = said
        with pytest.raises(ManifestError) as caught:
            loads(yaml.safe_dump(document))
        assert f"  {place}" in str(caught.value)
        assert fix in str(caught.value)


@given(st.text(max_size=40))
def test_any_license_is_refused_or_makes_front_matter(said):
    try:
        name = licenses.canonical(said)
    except ValueError as error:
        assert str(error)
        name = said  # as a lock of an earlier version may have it
    assert licenses.canonical(licenses.canonical("mit")) == "mit"
    assert hub_rules.mistakes(f"---\n{yaml.safe_dump(licenses.fields(name))}---\n") == []


def _manifest(**more):
    document = {"name": "x", "version": "1.0.0", "license": "mit", "sources": {"a": {"inputs": ["a.jsonl"]}}}
    return yaml.safe_dump(document | more, allow_unicode=True, sort_keys=False)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["warmup", "default"], "`default` is the configuration"),
        (["validation"], "held-out"),
        (["Validation"], "held-out"),
        (["main", "Main"], "two phases"),
        (["main."], "leave out the last"),
        (["a/b"], "phases"),
        (["a|b"], "phases"),
    ],
)
def test_a_phase_that_datasets_refuses_is_refused(names, said):
    phases = [{"name": name, "budget": 10} for name in names]
    with pytest.raises(ManifestError, match=re.escape(said)):
        loads(_manifest(mixture={"phases": phases}))
    loads(_manifest(mixture={"phases": [{"name": "default"}]}))


@pytest.mark.parametrize(
    "repo", ["org", "org/a--b", "org/.a", "org/a.git", "or g/a", "org/ü", "org/a/b", "-org/a", "org/" + "a" * 97]
)
def test_a_repository_that_the_hub_refuses_is_refused(repo):
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    with pytest.raises(ManifestError, match=r"publish\.repo"):
        loads(_manifest(publish={"repo": repo}))
    if "/" in repo and "-org" not in repo:
        with pytest.raises(HFValidationError):
            validate_repo_id(repo)


@pytest.mark.parametrize("name", ["a--b", "a..b", "a-", "a.", "a.git"])
def test_a_release_is_called_as_its_repository_may_be(name):
    with pytest.raises(ManifestError, match="name"):
        loads(_manifest().replace("name: x", f"name: {name}"))


KINDS = [
    pa.type_for_alias(name)
    for name in ("bool", "uint8", "float16", "string", "large_string", "binary", "date32", "date64")
]
KINDS += [pa.time32("ms"), pa.time64("us"), pa.timestamp("ns", "UTC"), pa.duration("s"), pa.null(), pa.string_view()]
KINDS += [pa.decimal128(10, 2), pa.decimal256(40, -2), pa.binary(4), pa.dictionary(pa.int32(), pa.string())]


@settings(max_examples=80)
@given(
    st.recursive(
        st.sampled_from(KINDS),
        lambda inner: (
            st.builds(pa.list_, inner)
            | st.builds(pa.large_list, inner)
            | st.builds(pa.list_, inner, st.integers(1, 4))
            | st.builds(
                lambda kinds: pa.struct(list(zip("abc", kinds, strict=False))), st.lists(inner, min_size=1, max_size=3)
            )
        ),
        max_leaves=4,
    )
)
def test_a_feature_is_what_datasets_says_of_any_type(kind):
    expected = datasets.Features.from_arrow_schema(pa.schema([pa.field("x", kind)]))
    assert datasets.Features._from_yaml_list([feature("x", str(kind))]) == expected
    assert not pa.types.is_nested(kind) or pa.types.is_struct(kind) or value_type(str(kind)) != str(kind)


def test_a_type_that_parquet_does_not_keep_is_written_as_another():
    assert plainer("string_view") == "string"
    assert plainer("list[date64]") == "list[date32]"
    assert plainer("int32") == "int32"
    with pytest.raises(ValueError, match="no type"):
        plainer("month_day_nano_interval")
    with pytest.raises(ValueError, match="no type"):
        feature("x", "map<string, int32>")


FRONT = "---\nlicense: gpl\n---\n# Mine\n"


@pytest.mark.parametrize("card", [FRONT, "\ufeff" + FRONT, "\n" + FRONT.replace("\n", "\r\n"), "---\na: [\n---\n"])
def test_a_card_with_front_matter_of_its_own_is_refused(card, tmp_path):
    (tmp_path / "about.md").write_bytes(card.encode())
    for given_card in (card, "about.md"):
        with pytest.raises(ManifestError, match="front matter"):
            loads(_manifest(card=given_card), folder=tmp_path)
    loads(_manifest(card="---\n\nA rule, then text.\n\n---\n"), folder=tmp_path)


@pytest.fixture(scope="module")
def lock(tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    write_jsonl(folder / "a.jsonl", rows(1, 12))
    document = {"name": "any", "version": "1.0.0", "license": "mit", "sources": {"a": {"inputs": ["a.jsonl"]}}}
    return release(write_manifest(folder / "m.yaml", document | {"stages": ["exact_dedup"]}), folder / "work").lock


WORDS = st.text(max_size=30) | st.sampled_from(
    ["---", "---\na: 1\n---\n", "\ud83d", "\x1b]0;x\x07", "# T", "no", "é😀", "\u202e"]
)


@settings(max_examples=60, deadline=None)
@given(
    license=WORDS | st.sampled_from(["MIT", "llama3", "Mine 1"]),
    description=WORDS,
    card=WORDS,
    languages=st.lists(WORDS, max_size=3),
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True),
    phase=WORDS | st.sampled_from(["default", "main", "validation", "stage-1.0"]),
)
def test_a_manifest_is_refused_when_planned_or_its_card_is_taken(
    lock, license, description, card, languages, name, phase
):
    document = {"name": name, "version": "1.0.0", "license": license, "description": description, "card": card}
    document |= {"sources": {"a": {"inputs": ["a.jsonl"]}}, "mixture": {"phases": [{"name": phase}]}}
    try:
        made = loads(json.dumps(document)).spec
    except ManifestError as error:
        assert all(problem.where for problem in error.problems)
        return
    counts = {"documents": 1, "bytes": 1}
    files = [file | {"path": file["path"].replace("data/", f"data/{phase}/")} for file in lock["files"]]
    told = lock | {"license": made.license, "description": made.description, "card": made.card, "name": made.name}
    told |= {"files": files, "composition": lock["composition"] | {"language": dict.fromkeys(languages, counts)}}
    page = render(check(told, "lock.json"), "name: x\n")
    assert hub_rules.mistakes(page) == []
    assert len(re.findall(r"^license: ", page.split("\n---\n")[0], re.MULTILINE)) == 1


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("The MIT License (MIT)", "mit"),
        ("ASL 2.0", "apache-2.0"),
        ("GNU GPL v2", "gpl-2.0"),
        ("GNU Affero General Public License v3.0", "agpl-3.0"),
        ("3-Clause BSD License", "bsd-3-clause"),
        ("CC-BY-SA-4.0-International", "cc-by-sa-4.0"),
        ("Creative Commons Attribution-NonCommercial 4.0 International", "cc-by-nc-4.0"),
        ("https://creativecommons.org/licenses/by-sa/3.0/deed.en", "cc-by-sa-3.0"),
        ("http://www.creativecommons.org/publicdomain/zero/1.0/legalcode", "cc0-1.0"),
        ("https://www.apache.org/licenses/LICENSE-2.0.txt", "apache-2.0"),
        ("https://opensource.org/licenses/MIT", "mit"),
        ("https://spdx.org/licenses/ODbL-1.0.html", "odbl"),
        ("https://opendatacommons.org/licenses/by/1-0/", "odc-by"),
    ],
)
def test_full_names_and_pages_of_licenses_are_those_of_the_hub(said, name):
    assert licenses.fields(said) == {"license": name}


@pytest.mark.parametrize("said", ["https://[", "http://[::1", "https://", "none", "N/A", "TODO"])
def test_what_names_no_license_is_refused_when_planned(said):
    with pytest.raises(ValueError, match="license"):
        licenses.canonical(said)
    assert licenses.fields(said)["license"] == "other"  # as an older lock may have it


def test_a_withdrawn_code_of_two_letters_alone_is_a_language():
    assert listed(["bh"]) == (["bih"], [])
