"""A manifest that holds is read; one that does not names every mistake with its line, its place and the mend."""

import re
from pathlib import Path

import pytest

from curate.errors import CurateError, ManifestError
from curate.manifest.library import find, library
from curate.manifest.manifest import load, loads
from curate.manifest.mistakes import dotted
from curate.manifest.models import parse_size
from curate.stage_api import find_stage, stage_homes

HOLDS = """
name: web
version: 1.0.0
license: mit
sources:
  a:
    inputs: [a.jsonl]
    pipeline: [normalize, length, length]
    set: {length.2.min_words: 7}
stages:
  - length: 9
  - exact_dedup: url
"""


def mistakes(text: str) -> list[str]:
    """`LINE PLACE | what | fix` of each."""
    with pytest.raises(ManifestError) as caught:
        loads(text, path=Path("m.yaml"))
    shown = []
    for problem in caught.value.problems:
        name, line, place = (problem.where.replace("  ", ":", 1) + ":").split(":")[:3]
        assert name == "m.yaml"
        shown.append(f"{line} {place} | {problem.what} | {problem.fix}")
    return shown


def test_a_manifest_that_holds():
    manifest = loads(HOLDS)
    assert [call.label for call in manifest.pipelines["a"]] == ["normalize", "length", "length.2"]
    assert [call.params["min_words"] for call in manifest.pipelines["a"][1:]] == [50, 7]
    assert [call.label for call in manifest.stages] == ["length", "exact_dedup"]
    assert manifest.stages[0].params["min_chars"] == 9, "one plain value is the first parameter"
    defaults = {"keep": [], "bins": 0, "of": "all", "images": False, "counts": None}
    assert manifest.stages[1].params == {"by": "url"} | defaults
    assert manifest.spec.shards.size == 256_000_000


def test_all_mistakes_at_once():
    found = mistakes(
        """nmae: web
version: 1.0
license: mit
sources:
  a:
    inputs: []
    layout: slimpyjama
    pipeline: [normalise, length: {min_word: 3}]
  b:
    inputs: [x]
    inputs: [y]
    layout: c4
    columns: {text: body}
    pipeline: quikstart
    set: {length.min_words: 5}
    max_bad_rows: 2
stages:
  - exact_dedup: {by: texts}
  - {length: {}, normalize: {}}
  - filter: {short: "n_words <", random: "random() < 0.1"}
shards: {size: 5 apples}
"""
    )
    expected = [
        "1 name | `name` is missing",
        "1 nmae | unknown key `nmae` | did you mean `name`?",
        "2 version | `version` must be text, and YAML reads `1.0` as a number | write it as",
        "6 sources.a.inputs | `inputs` must not be empty | list at least one",
        "8 sources.a.pipeline[0] | unknown stage `normalise` | did you mean `normalize`?",
        "8 sources.a.pipeline[1].length.min_word | unknown parameter `min_word` for stage `length` | did you mean `min_words`?",  # noqa: E501
        "11 sources.b.inputs | duplicate key `inputs` | keep one of them",
        "14 sources.b.pipeline | no pipeline `quikstart` | did you mean `quickstart`?",
        "16 sources.b.max_bad_rows | `max_bad_rows` must be at least 0 and at most 1, not 2",
        "18 stages[0].exact_dedup.by | `by` must be 'text', 'normalized_text' or 'url', not 'texts' | did you mean",
        "19 stages[1] | a stage must be a name, or a name with parameters | write `- name: {...}`",
        "20 stages[2].filter.random | random() does not return the same on every run",
        "20 stages[2].filter.short | not an SQL expression",
        "21 shards.size | ",
    ]
    for start in expected:
        assert any(line.startswith(start) for line in found), f"{start}\n not in\n" + "\n".join(found)
    lines = [int(line.split()[0]) for line in found]
    assert lines == sorted(lines)
    assert len(found) == len(set(found))


def test_mistakes_of_sources_once_the_rest_holds():
    text = HOLDS.replace("inputs: [a.jsonl]", "inputs: [a.jsonl]\n    layout: slimpyjama\n    columns: {text: b}")
    assert mistakes(text) == [
        "8 sources.a.layout | unknown layout `slimpyjama` | did you mean `slimpajama`?",
        "9 sources.a.columns | a source can have a layout or columns, not both | remove one of them",
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "set: {length.2.min_words: 7}",
            "set: {lenght.min_words: 7}",
            "9 sources.a.set.lenght.min_words | `lenght.min_words` matches no stage of this pipeline | did you mean `length`?",  # noqa: E501
        ),
        (
            "set: {length.2.min_words: 7}",
            "set: {length.2.min_word: 7}",
            "9 sources.a.set.length.2.min_word | unknown parameter `min_word` for stage `length` | did you mean `min_words`?",  # noqa: E501
        ),
        (
            "set: {length.2.min_words: 7}",
            "set: {length.2.min_words: many}",
            "9 sources.a.set.length.2.min_words | `min_words` must be a whole number, not 'many' | write a number",
        ),
        ("license: mit", "license: 2020-02-31", "4 license | `2020-02-31` is not a valid YAML value"),
        ("license: mit", "license: !secret mit", "4 license | `!secret` is not a built-in YAML type | remove the tag"),
        ("license: mit", "license: [mit", "5 "),
        ("  - exact_dedup: url", "  - normalize: 3", "12 stages[1].normalize"),
        ("  - exact_dedup: url", "  - 5", "12 stages[1] | "),
        ("stages:", "shards: {size: 0}\nstages:", "10 shards.size | "),
        ("stages:", "stagse:", "10 stagse | unknown key `stagse` | did you mean `stages`?"),
        ("  a:", "  a b:", "6 sources.a b | `a b` must begin with a letter or a digit"),
        ("name: web", "name: ../web", "2 name | `name` must begin with a letter or a digit"),
        ("version: 1.0.0", "version: v1", "3 version | `version` must be three numbers"),
    ],
)
def test_one_mistake(old, new, expected):
    found = mistakes(HOLDS.replace(old, new, 1))
    assert any(line.startswith(expected) for line in found), "\n".join(found)


@pytest.mark.parametrize("word", ["no", "NO", "on", "Off", "yes", "2024-01-01", "010", "1_000", "0x1f"])
def test_text_that_yaml_takes_for_something_else_is_to_be_quoted(word):
    found = mistakes(
        HOLDS.replace("[normalize, length, length]", f"[{{language: {{keep: [en, {word}]}}}}, length, length]")
    )
    assert len(found) == 1
    assert found[0].startswith("8 sources.a.pipeline[0].language.keep[1] | ")
    assert f"must be text, and YAML reads `{word}` as" in found[0] or (word == "010" and "octal" in found[0])
    assert found[0].endswith(f'put it in quotes: "{word}"')
    for quoted in (f'"{word}"', "'1:30'", "1:30"):
        loads(HOLDS.replace("[normalize, length, length]", f"[{{language: {{keep: [{quoted}]}}}}, length, length]"))


@pytest.mark.parametrize(
    "text",
    [
        "- a",
        "hello",
        HOLDS.replace("[a.jsonl]", "a.jsonl"),
        HOLDS.replace("[a.jsonl]", "[]"),
        HOLDS.replace("[a.jsonl]", ""),
        HOLDS.replace("[a.jsonl]", "['']"),
        HOLDS.replace("[a.jsonl]", "[null]"),
        HOLDS.replace("[a.jsonl]", "[a.jsonl]\n    format: jsno"),
        HOLDS.replace("[a.jsonl]", "[a.jsonl]\n    max_bad_rows: 5%"),
        HOLDS.replace("[a.jsonl]", "[a.jsonl]\n    columns: {txt: body}"),
        HOLDS.replace("[a.jsonl]", "[a.jsonl]\n    columns: [body]"),
        HOLDS.replace("name: web", "name:"),
        HOLDS.replace("name: web", f"name: {'x' * 97}"),
        HOLDS.replace("license: mit", "license: [mit]"),
        HOLDS.replace("license: mit", "license: ''"),
        HOLDS.replace("version: 1.0.0", "version: ١.٠.٠"),
        HOLDS.replace("version: 1.0.0", f"version: {'1' * 300}.0.0"),
        HOLDS.replace("version: 1.0.0", "version: 12345678901.0.0"),
        HOLDS.replace("stages:", "shards: {size: -1MB}\nstages:"),
        HOLDS.replace("stages:", "shards: []\nstages:"),
        HOLDS.replace("stages:", "mixture: all\nstages:"),
        HOLDS.replace("stages:", "mixture: {budget: lots}\nstages:"),
        HOLDS.replace("stages:", "seed: yes\nstages:"),
        HOLDS.replace("stages:", "seed: 010\nstages:"),
        HOLDS.replace("stages:", "publish: {repo: a/b/c}\nstages:"),
        HOLDS.replace("min_words: 7", "min_words: null"),
        HOLDS.replace("min_words: 7", "min_words: on"),
        HOLDS.replace("min_words: 7", "min_words: 7.5"),
    ],
)
def test_every_mistake_says_in_plain_words_what_to_do(text):
    with pytest.raises(ManifestError) as raised:
        loads(text)
    for problem in raised.value.problems:
        assert problem.fix, problem
        assert problem.where.startswith("manifest:"), problem
        assert not re.search(r"Input should|should have|should match|valid |instance of", str(problem)), problem


def test_merge_keys():
    manifest = loads(
        """
x-defaults: &defaults {format: jsonl, priority: 7, license: mit}
x-more: &more {priority: 8, description: More.}
name: web
version: 1.0.0
license: mit
sources:
  a: {<<: *defaults, inputs: [a]}
  b: {inputs: [b], priority: 1, <<: [*defaults, *more]}
"""
    )
    a, b = manifest.spec.sources.values()
    assert (a.format, a.priority, a.license, a.description) == ("jsonl", 7, "mit", "")
    assert (b.format, b.priority, b.license, b.description) == ("jsonl", 1, "mit", "More.")
    found = mistakes(HOLDS.replace("sources:", "x-d: &d {prioritty: 1}\nsources:").replace("  a:", "  a:\n    <<: *d"))
    assert found == ["8 sources.a.prioritty | unknown key `prioritty` | did you mean `priority`?"]
    assert mistakes(HOLDS.replace("  a:", "  a:\n    <<: 5"))[0].startswith(
        "7 sources.a.<< | `<<` can merge only mappings"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &a [*a]", "the anchor `a` is recursive"),
        ("a: &a {b: *a}", "the anchor `a` is recursive"),
        ("a: *b", "not YAML: found undefined alias 'b'"),
        ("a: " + "[" * 65, "nested more than 64 levels deep"),
        ("x: 1\n---\nx: 2", "the file contains a second YAML document"),
        ("a:\n\t- b", "not YAML: found character '\\t' that cannot start any token"),
        ("? [a]\n: b", "a key must be text"),
        ("a: !!set {b}", "not a standard YAML type"),
        ("a: !!binary aGk=", "not bytes"),
        ('a: "\\ud83d"', "a lone surrogate"),
        ('a: "x\\0"', "NUL is not text"),
        ("a: !!bool maybe", "not a valid YAML value"),
        ("a: " + "9" * 5000, "not a valid YAML value"),
        ("x" * 3_000_000, "more than 2,097,152 characters"),
    ],
)
def test_what_is_no_tree_is_refused_at_its_line(text, says):
    assert any(says in line for line in mistakes("name: x\n" + text))


def test_aliases_take_linear_time():
    """A hundred thousand values may be meant; ten to the ninth are refused before any is made."""
    bomb = ["x0: &x0 [a,a,a,a,a,a,a,a,a,a]"]
    bomb += [f"x{n}: &x{n} [{','.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert any("aliases expand to more than 100,000 values" in line for line in mistakes("\n".join(bomb)))
    shared = "x-inputs: &inputs [a.jsonl]\n" + HOLDS.replace(
        "sources:", "sources:\n" + "".join(f"  s{n}: {{inputs: *inputs}}\n" for n in range(200))
    )
    assert len(loads(shared).spec.sources) == 201


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "-1", str(2**70), "1e400"])
@pytest.mark.parametrize(
    "key", ["seed: {}", "mixture: {{weights: {{a: {}}}}}", "mixture: {{validation: {}}}", "mixture: {{repeats: {}}}"]
)
def test_numbers_of_a_manifest_have_bounds(key, value):
    assert len(mistakes(HOLDS + key.format(value))) == 1


def test_every_number_of_every_stage_has_bounds():
    """What stands without a range would be taken however large."""
    free = []
    for name in sorted(stage_homes()):
        for parameter, field in find_stage(name).params.model_json_schema().get("properties", {}).items():
            for one in [field, *field.get("anyOf", ()), *field.get("prefixItems", ())]:
                if one.get("type") in ("integer", "number") and not {"enum", "const"} & one.keys():
                    least = {"minimum", "exclusiveMinimum"} & one.keys()
                    free += [] if least and {"maximum", "exclusiveMaximum"} & one.keys() else [f"{name}.{parameter}"]
    assert free == []


def test_one_mistake_is_one_problem():
    assert len(mistakes(HOLDS.replace("  - exact_dedup: url", "  - 5"))) == 1
    assert len(mistakes(HOLDS.replace("license: mit", "license: !secret mit"))) == 1


@pytest.mark.parametrize("text", ["", "- a list", "just text", "name: web", "{", "a: &a [*a]"])
def test_what_is_no_manifest_at_all(text):
    with pytest.raises(ManifestError):
        loads(text)


def test_errors_read_as_designed(tmp_path):
    path = tmp_path / "web.yaml"
    path.write_text(HOLDS.replace("- length: 9", "- length: {min_wrods: 9}"))
    with pytest.raises(ManifestError) as caught:
        load(path)
    assert str(caught.value).splitlines() == [
        "error: unknown parameter `min_wrods` for stage `length`",
        f"  --> {path}:11  stages[0].length.min_wrods",
        "fix: did you mean `min_words`?",
    ]


def test_a_mistake_in_a_pipeline_file_names_that_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("stages:\n  - normalize\n  - lenght\n")
    text = HOLDS.replace("pipeline: [normalize, length, length]", "pipeline: mine.yaml").replace(
        "length.2.", "normalize."
    )
    with pytest.raises(ManifestError) as caught:
        loads(text, folder=tmp_path)
    assert any(f"{tmp_path / 'mine.yaml'}:3  stages[1]" in problem.where for problem in caught.value.problems)


def test_finding_files(tmp_path):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "own.yaml").touch()
    (tmp_path / "manifests").mkdir()
    assert find("pipelines", "own", tmp_path) == tmp_path / "pipelines" / "own.yaml"
    assert find("pipelines", "own", tmp_path / "manifests") == tmp_path / "pipelines" / "own.yaml"
    assert find("pipelines", "quickstart", tmp_path) == library("pipelines") / "quickstart.yaml"
    with pytest.raises(CurateError, match="quickstart"):
        find("pipelines", "quickstrat", tmp_path)
    assert load("quickstart").name == "quickstart"
    with pytest.raises(CurateError, match="did you mean `quickstart`"):
        load("quickstrat")


@pytest.mark.parametrize(("text", "size"), [("256MB", 256_000_000), ("1.5 GiB", 3 << 29), (12, 12), ("3kb", 3000)])
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "5 apples", "1e9", None, True])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="a size must be"):
        parse_size(text)


def test_dotted():
    assert dotted(("stages", 0, "near_dedup", "band")) == "stages[0].near_dedup.band"
