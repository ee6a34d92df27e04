"""Nothing of the machine is published: no credential, nothing that a URL carries, no place of a file here."""

import json
import re
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from releases import one_source, release, rows, write_jsonl, write_manifest

from curate.base import redact
from curate.base.terminal import show, shown, shown_json
from curate.cli.commands import main
from curate.errors import CurateError, Stopped
from curate.release.files import read_release
from curate.release.lock import verify
from curate.release.pages import code, fenced
from curate.sources import patience

TOKENS = [
    "hf_" + "a1B2" * 9,
    "AKIA" + "ABCD1234" * 2,
    "ghp_" + "x" * 36,
    "github_pat_" + "x" * 50,
    "glpat-" + "x" * 20,
    "sk-" + "x" * 40,
    "sk-proj-" + "x" * 40,
    "xoxb-1234567890-abc",
    "AIza" + "x" * 35,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_1",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "aws_secret_access_key = " + "aB3/" * 10,
    'AWS_SECRET_ACCESS_KEY="' + "aB3/" * 10,
    "AccountKey=" + "Eby8" * 10 + "==",
    "X-Amz-Signature=" + "ab" * 32,
    "X-Goog-Credential=jane@project",
    "sig=abc%2Bdef%2Fghi%3D",
    "ya29." + "aB3_" * 10,
    "sk_live_" + "aB3x" * 6,
    "dckr_pat_" + "aB3x" * 6,
    "Authorization: Bearer abcdef123456",
    '"Authorization": "Bearer abcdef123456"',
    "-----BEGIN PGP PRIVATE KEY BLOCK-----",
    "xapp-1-A012-345-abcdef0123456789",
    "hooks.slack.com/services/T00000000/B00000000/" + "x" * 24,
    "GOCSPX-" + "a" * 28,
    "secretAccessKey: " + "aB3/" * 10,
    "aws_session_token = " + "FwoG" * 30,
    "sig=" + "aB3x" * 10 + "xyz%3D",
    "sig=" + "aB3x" * 10 + "xyz=",
    "dapi" + "0a" * 16,
    "nvapi-" + "a" * 60,
    "SG." + "a" * 22 + "." + "b" * 43,
]
URLS = [
    "https://alice:hunter2@a.example/x.jsonl",
    "https://hunter2@a.example/x.jsonl",
    "https://a.example/x.jsonl?token=hunter2",
    "https://a.example/x.jsonl?v=1&X-Amz-Signature=hunter2&X-Amz-Expires=1",
    "https://a.example/x.jsonl?sv=1&sig=hunter2",
    "https://a.example/x.jsonl?api_key=hunter2",
    "s3://access:hunter2@bucket/x.jsonl",
    "s3://bucket/x.jsonl?secret_key=hunter2",
    "https://a.example/x.jsonl#access_token=hunter2",
    "https://a.example/x.jsonl?acc%65ss_tok%65n=hunter2",
    "https://a.example/x.jsonl;token=hunter2",
    "https://a.example/x.jsonl&token=hunter2",
    "https://alice:hunter2@[::1]:80/x.jsonl",
    "https://[::1]:80/x.jsonl?token=hunter2",
    "https://alice:1'{hunter2@a.example/x.jsonl",
    "https://alice:1|^`\\[hunter2]@a.example/x.jsonl",
    "https://alice:a?hunter2#@a.example/x.jsonl",
    "https://alice:1@hunter2@a.example/x.jsonl",
    "s3://AKIAxy:aB3/hunter2/+x@bucket/x.jsonl",
]
HOMES = ["/home/jane/x.txt", "/Users/jane/x.txt", "C:\\Users\\jane\\x.txt", "/root/x.txt"]


@pytest.mark.parametrize("secret", TOKENS + URLS)
def test_a_credential_is_found_and_taken_out(secret):
    text = f"first line\nsee {secret}, and more"
    (found,) = redact.exposed(text)
    assert (found.line, len(found.hint)) == (2, 7)
    for made in (redact.published(text), redact.value(secret), redact.in_error(text)):
        assert "hunter2" not in made
        assert secret not in made
        assert list(redact.exposed(made)) == []
    assert redact.published(text).startswith("first line\nsee ")
    assert redact.published(text).endswith(", and more")


@pytest.mark.parametrize("path", HOMES)
def test_the_home_of_a_person_is_found_and_taken_out(path):
    assert [found.kind for found in redact.exposed(f"from {path} on")] == ["a user's home folder"]
    assert "jane" not in redact.published(f"from {path} on")
    assert redact.value(path) == "LOCAL/x.txt"


@pytest.mark.parametrize(
    "text",
    [
        "https://a.example/home/jane/page.html",
        "text/html, and/or, 1/2, a / b",
        "url like '/wiki/%'",
        "https://zenodo.org/record?id=3#files",
        "hf_model sk-learn AKIA eyJ",
        "an http://[::1]:80/x address",
        "mail me: jane@doe.example",
        "https://medium.example/@jane/story https://a.example:8080/@jane hf://datasets/a/b@v1.0.0/x",
        '["https://a.example","jane@doe.example"] https://a.example, jane@doe.example',
        "https://a.example/x;lang=en&b=1",
    ],
)
def test_what_is_no_secret_stays(text):
    assert list(redact.exposed(text)) == []
    assert redact.published(text) == text


@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from([*TOKENS, *URLS, *HOMES, " ", "\n", "'", "?", "@", "/"])).map("".join)
)
def test_what_was_taken_out_is_out(text):
    made = redact.published(text)
    assert list(redact.exposed(made)) == []
    assert redact.published(made) == made


PIECES = ["a" * 20, "http://", "hf_" + "a" * 20, "/home/", "eyJ" + "a" * 12 + ".", "x-amz-", "?token", "-----BEGIN "]
PIECES += [
    "a.",
    "&key",
    "tokentoken",
    "C:\\\\",
    "a@",
    "://",
    ".,;:)",
    "http://h/?token",
    "http://a:b",
    ";token=",
    "sig=a%",
]


@pytest.mark.parametrize("piece", PIECES)
def test_time_grows_with_the_text(piece):
    def seconds(size: int) -> float:
        text, best = piece * (size // len(piece)), 9.0
        for _ in range(3):
            start = time.process_time()
            list(redact.exposed(text)), redact.published(text), redact.value(text), redact.in_error(text)
            best = min(best, time.process_time() - start)
        return best

    seconds(1000)
    assert seconds(160_000) <= 20 * seconds(20_000) + 0.02  # 8 times where it is linear, 64 for a square


MANIFEST = """# made by /home/jane/bin/tool with hf_{token}
name: told
version: 1.0.0
license: mit
description: "From https://a.example/x?token=hunter2 and /home/jane/notes."
sources:
  first:
    inputs: ["{folder}/a.jsonl"]
    description: /home/jane brought it
  second: {{inputs: [b.jsonl]}}
stages:
  - exact_dedup
  - filter: {{odd: "url like '/wiki/%'"}}
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("told")
    for name, seed in (("a", 1), ("b", 2)):
        write_jsonl(folder / f"{name}.jsonl", rows(seed, 20))
    (folder / "m.yaml").write_text(MANIFEST.format(folder=folder, token="a" * 34))
    return release(folder / "m.yaml", folder / "work"), folder


def test_nothing_of_the_machine_is_in_a_release(told):
    made, folder = told
    for path in made.path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for secret in (b"hunter2", b"jane", b"hf_aaaa", str(folder).encode()):
                assert secret not in content, (path.name, secret)
    assert verify(made.path) == []


def test_the_manifest_that_is_published_is_still_one(told):
    made, _ = told
    text = (made.path / "manifest.yaml").read_text()
    assert text.startswith("# made by LOCAL/bin/tool with REDACTED\nname: told\n")
    document = yaml.safe_load(text)
    assert document["sources"]["first"]["inputs"] == ["LOCAL/a.jsonl"]
    assert document["sources"]["second"]["inputs"] == ["b.jsonl"]
    assert document["stages"][1] == {"filter": {"odd": "url like '/wiki/%'"}}


@pytest.mark.parametrize("name", ["README.md", "manifest.yaml", "report.html", "lock.json", "charts/funnel.svg"])
def test_verify_and_publish_look_for_secrets(told, tmp_path, name):
    import shutil
    from hashlib import sha256

    made = shutil.copytree(told[0].path, tmp_path / "release")
    path = made / name
    if name == "lock.json":
        lock = json.loads(path.read_text()) | {"description": URLS[2]}
    else:
        path.write_text(path.read_text() + f"\n<!-- {TOKENS[0]} -->\n")
        lock = json.loads((made / "lock.json").read_text())
        entry = next(file for file in lock["files"] if file["path"] == name)
        entry |= {"bytes": path.stat().st_size, "sha256": sha256(path.read_bytes()).hexdigest()}
    (made / "lock.json").write_text(json.dumps(lock, indent=1))
    (problem,) = verify(made)
    assert problem.where.startswith(f"{name}:")
    assert "would be published" in problem.what
    assert TOKENS[0] not in str(problem)
    with pytest.raises(CurateError, match="would be published"):
        read_release(made)


def test_data_may_say_what_it_says(tmp_path):
    documents = [
        {"text": f"A page about {TOKENS[0]} and /home/jane/x", "url": f"https://a.example/{n}?token=abc"}
        for n in range(3)
    ]
    write_jsonl(tmp_path / "a.jsonl", [*documents, documents[0]])
    document = {"name": "x", "version": "1.0.0", "license": "mit", "sources": {"a": {"inputs": ["a.jsonl"]}}}
    made = release(
        write_manifest(tmp_path / "m.yaml", document | {"stages": [{"exact_dedup": "url"}]}), tmp_path / "work"
    )
    assert verify(made.path) == []
    assert made.lock["examples"][0]["url"] == "https://a.example/0?REDACTED"


def test_an_error_shows_no_more_of_a_url_than_its_address():
    error = CurateError("cannot read https://alice:hunter2@a.example/x?sig=hunter2", URLS[3], f"try {URLS[0]}")
    assert "hunter2" not in str(error) + json.dumps(error.as_dict()) + repr(error)
    assert "https://a.example/x" in str(error)


def test_a_private_key_goes_whole():
    key = "\n".join(["-----BEGIN PRIVATE KEY-----", *["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 2] * 3])
    for text in (f"{key}\n-----END PRIVATE KEY-----\nafter it", f"{key}\n\nafter it", key.replace("\n", "\n# ")):
        assert "MII" not in redact.published(text)
        assert redact.published(text).startswith("REDACTED")
        assert redact.published(text).endswith("after it") == text.endswith("after it")


@pytest.mark.parametrize("url", [url for url in URLS if "@" in url])
def test_an_address_that_was_taken_for_a_path_is_shown_without_secrets(url):
    assert "hunter2" not in str(CurateError("no such folder", str(Path("/work") / url)))


HOSTILE = "\x1b]0;PWNED\x07\x1b[31m\x9b31m\x08\u202e\u2028\ud83d\x00\r"


def test_control_characters_are_shown():
    assert shown(HOSTILE) == r"\x1b]0;PWNED\x07\x1b[31m\x9b31m\x08\u202e\u2028\ud83d\x00\r".replace(r"\r", r"\x0d")
    assert shown("a\tb\nc é 数据 😀") == "a\tb\nc é 数据 😀"


@given(st.text())
def test_what_is_shown_obeys_nobody_and_json_stays_json(text):
    made = shown(text)
    assert not any((ord(sign) < 32 and sign not in "\t\n") or 127 <= ord(sign) < 160 for sign in made)
    made.encode()
    line = shown_json({"a": text})
    line.encode()
    assert json.loads(line) == {"a": text}


def test_a_name_with_a_line_feed_makes_no_line_of_its_own(capsys, tmp_path, monkeypatch):
    manifest = one_source(tmp_path, rows(1, 5), [])
    made = release(manifest, tmp_path / "work").path
    (made / "x\nok: 9 files").write_text("")
    monkeypatch.setattr(sys, "argv", ["curate", "verify", str(made)])
    with pytest.raises(SystemExit):
        main()
    assert not [line for line in capsys.readouterr().out.splitlines() if line.startswith("ok")]
    show("kept\nrelease: elsewhere")
    assert capsys.readouterr().out == "kept\\nrelease: elsewhere\n"
    assert str(CurateError("what", "a\nerror: b", "fix")).count("\n") == 2


def test_waiting_for_a_server_shows_what_it_says(capsys, monkeypatch):
    monkeypatch.setattr(patience, "PAUSE", 0)
    monkeypatch.setattr(patience, "PATIENCE", 1)

    def busy() -> None:
        raise patience.Trouble(f"it answers {HOSTILE}")

    with pytest.raises(Stopped):
        patience.patiently("https://waits.example/x", busy)
    assert r"\x1b" in (said := capsys.readouterr().err)
    assert not set(said) & set(HOSTILE) - set("]0;PWNED[31m\r")


@given(st.text(st.sampled_from("`~ a|\n<"), max_size=20))
def test_code_in_a_card_ends_where_it_ends(text):
    runs = re.findall("`+", code(text))
    assert not text.strip() or runs[0] == runs[-1]
    assert all(len(run) < len(runs[0]) for run in runs[1:-1])
    assert "\n" not in code(text)
    first, *_, last = fenced(text, "yaml").split("\n")
    assert not any(line.startswith(last) for line in text.split("\n"))
    assert first == f"{last}yaml"


def test_no_command_sends_what_data_says_to_the_terminal(tmp_path, capsys, monkeypatch):
    def curate(*arguments) -> str:
        monkeypatch.setattr(sys, "argv", ["curate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in (0, 1, 2)
        done = capsys.readouterr()
        return done.out + done.err

    documents = [{"text": f"words {HOSTILE} {n}", "url": f"http://e/{n}", "language": f"en{HOSTILE}"} for n in range(3)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*documents, documents[0]]))
    document = {"name": "x", "version": "1.0.0", "license": "mit", "description": "D\x85\u202e"}
    document |= {"sources": {"a": {"inputs": ["a.jsonl"]}}, "stages": [{"exact_dedup": "url"}]}
    manifest, work = write_manifest(tmp_path / "m.yaml", document), tmp_path / "work"
    made = release(manifest, work).path
    (made / "more\x1b[31m.txt").write_text("")
    commands = [
        ("explain", manifest, "http://e/1", "--work", work),
        ("report", made),
        ("verify", made),
        ("diff", made, made),
    ]
    commands += [("explain", manifest, "http://e/\x1b[31m", "--work", work), ("plan", tmp_path / "no\x1b[31m.yaml")]
    for command in commands:
        for options in ((), ("--json",)):
            assert not set(curate(*command, *options)) & set(HOSTILE) - set("]0;PWNED[31m\r"), command
    for page in ("README.md", "report.html", "charts/funnel.svg", "croissant.json"):
        assert not set((made / page).read_text()) & set(HOSTILE) - set("]0;PWNED[31m\r")
    assert r"\x1b" in (made / "README.md").read_text()
