"""The documentation holds: every fenced block runs, and what is generated is up to date.

A page is a session: its blocks run in order in one folder, README first. The words after the fence say what a block is:

    bash            run; a failing command fails the test
    python          run
    LANGUAGE NAME   a file NAME
    text            how some lines begin that the block before it printed, in their order; numbers, digests and
                    white space may differ
    ... no-run      not run, since it installs or needs the network

"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml
from package import python_path

import curate
from curate.cli import commands as cli

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import reference  # noqa: E402
import reference_pages  # noqa: E402

PAGES = ["README.md", "docs/tutorial.md", "docs/concepts.md", "docs/write-a-stage.md", "docs/token-shards.md"]
PAGES += ["docs/calibration.md", "docs/formats.md"]
PAGES += ["docs/how-to/fine-tuning-set.md", "docs/how-to/preference-set.md", "docs/how-to/publish.md"]
PAGES += ["docs/how-to/vision-language-set.md", "docs/how-to/verify-reasoning.md"]
PAGES += ["docs/how-to/crawl-to-release.md", "docs/how-to/deduplicate.md", "docs/how-to/weigh.md"]
BLOCK = re.compile(r"^```(?P<kind>\S+)(?: (?P<name>\S+))?\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
MAP = re.compile(r"<!-- map -->.*<!-- end -->|^## Repository layout\n+```text.*?^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("docs")


@pytest.fixture(scope="module")
def environment(home, tmp_path_factory) -> dict:
    """`curate` is this Python's, all in one process, and packages that a page makes are found."""
    tools = tmp_path_factory.mktemp("bin")
    (tools / "curate").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m curate "$@"\n')
    (tools / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    return os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": f"{python_path()}:{home}",
        "CURATE_WORKERS": "0",
        "HF_HOME": str(tools / "huggingface"),
        "HF_DATASETS_OFFLINE": "1",
        "COLUMNS": "120",
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_does_what_it_says(page, home, environment):
    printed = ""
    blocks = list(BLOCK.finditer(MAP.sub("", (ROOT / page).read_text(encoding="utf-8"))))
    assert blocks
    for block in blocks:
        kind, name, body = block["kind"], block["name"], block["body"]
        if name == "no-run":
            continue
        if kind == "text":
            assert_printed(body, printed, home)
        elif name:
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")
            install_if_package(path)
        else:
            command = {"bash": ["bash", "-euo", "pipefail", "-c", body], "python": [sys.executable, "-c", body]}[kind]
            done = subprocess.run(
                command, cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            assert done.returncode == 0, f"{page}:\n{body}\n{done.stdout}"
            printed = done.stdout


def assert_printed(shown: str, printed: str, home: Path) -> None:
    lines = iter(_plain(line, home) for line in printed.splitlines())
    for line in filter(None, (_plain(line, home) for line in shown.splitlines())):
        assert any(actual.startswith(line) for actual in lines), f"not printed, or not in this order: {line}\n{printed}"


def _plain(line: str, home: Path) -> str:
    line = line.replace(str(home.resolve()), "/home/you").replace(str(home), "/home/you")
    line = re.sub(r"\b[0-9a-f]{4,}\b|\d[\d,.]*", "0", line)
    return re.sub(r"\b(k|M)?B\b", "B", " ".join(line.split()))


def install_if_package(path: Path) -> None:
    """What `pip install -e` does with the entry points of a pyproject.toml."""
    if path.name != "pyproject.toml":
        return
    project = tomllib.loads(path.read_text())["project"]
    info = path.parent / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in targets.items())
        for group, targets in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(points))


@pytest.mark.parametrize("page", ["README.md", *(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page != "README.md"] + ["docs/index.md", "docs/how-to/query.md"]
)
def test_the_site_shows_blocks_as_blocks(page):
    """Also those with a second word after the fence, which is for the tests."""
    markdown = pytest.importorskip("markdown")
    pytest.importorskip("pymdownx")
    text = (ROOT / page).read_text(encoding="utf-8")
    extensions = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["markdown_extensions"]
    named = [one if isinstance(one, str) else next(iter(one)) for one in extensions]
    settings = {name: options for one in extensions if isinstance(one, dict) for name, options in one.items()}
    made = markdown.markdown(text, extensions=named, extension_configs=settings)
    assert made.count("<pre") == len(re.findall(r"^ *```\S", text, re.MULTILINE))


def test_reference_and_map_are_up_to_date():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    fix = "run `python tools/regenerate.py`"
    pages = reference_pages.pages()
    written = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs" / "reference").rglob("*.md")}
    assert written | {"reference.md"} == set(pages), fix
    for name, text in pages.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, f"docs/{name}: {fix}"
    assert reference.with_map(readme) == readme, fix


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = re.findall(r"([\w/.-]+\.md)$", text, re.MULTILINE)
    assert sorted(named) == sorted(path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md"))


@pytest.mark.parametrize("page", sorted(path.name for path in ROOT.glob("docs/how-to/*.md")))
def test_manifests_of_how_tos_are_valid(page):
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        if block["kind"] == "yaml" and block["name"] != "no-run":
            assert curate.loads(block["body"]).name


def test_every_verb_is_a_function_of_the_same_name_and_they_link_to_each_other():
    commands = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    python = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")
    for verb in typer.main.get_command(cli.app).commands:
        assert callable(getattr(curate, verb))
        assert f"](python.md#{verb})" in commands
        assert f"](commands.md#curate-{verb})" in python


def test_every_stage_has_an_example_or_says_what_it_needs():
    names = {stage.name for stage in reference.own_stages()}
    assert reference.EXAMPLES.keys() | reference.NEEDS.keys() == names
    assert not reference.EXAMPLES.keys() & reference.NEEDS.keys()


def test_map_names_everything_at_the_top():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for folder in ("pipelines", "manifests", "classifiers", "examples", "docs", "tests", "tools"):
        assert (ROOT / folder).is_dir()
        assert f"\n{folder}/ " in readme


def test_reference_names_every_reason_and_exit_code_in_use():
    """What the code hands out is documented, whatever the docstrings say."""
    page = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").rglob("*.md"))
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "curate").rglob("*.py"))
    used = set(re.findall(r"(?:Damaged|BadRow)\(\s*\"(\w+)\"", source))
    assert used
    for reason in used:
        assert f"`{reason}`" in page
    for code in re.findall(r"(?:exit_code|code) = (\d+)\b", source):
        assert f"\n| {code} |" in page


def test_the_demo_has_one_digest_on_all_pages():
    told = [re.findall(r"digest: (sha256:[0-9a-f]{64})", (ROOT / page).read_text("utf-8")) for page in PAGES[:2]]
    assert len({digest for found in told for digest in found}) == 1
    assert all("your own Python installation" in (ROOT / page).read_text("utf-8") for page in PAGES[:2])
