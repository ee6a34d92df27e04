"""Addresses on block lists, or with words of a list, are named."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import CurateError
from curate.stages.url_filter import LISTS, url_filter
from curate.testing import docs

HOSTS = ("bad.example", "www.bad.example", "notbad.example", "example", "a.b.bad.example", "Bad.Example", "co.uk")


@pytest.fixture
def run(tmp_path):
    """The reasons for addresses, given lists as strings."""

    def run(*addresses, min_soft_words=2, **lists):
        files = {name: [str(tmp_path / name)] for name in lists}
        for name, content in lists.items():
            (tmp_path / name).write_text(content)
        table = docs(*["text"] * len(addresses), url=addresses)
        return url_filter(table, **files, min_soft_words=min_soft_words)["reject"].to_pylist()

    return run


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://bad.example/", "domain"),
        ("HTTPS://Bad.EXAMPLE:8080", "domain"),
        ("http://a.b.bad.example/x?y", "domain"),
        ("http://user:secret@bad.example./", "domain"),
        ("//bad.example", "domain"),
        ("bad.example/page", "domain"),
        ("http://notbad.example/", None),
        ("http://good.example/bad.example", None),
        ("http://bad.example.good.example/", None),
        ("http://good.example/?u=http://bad.example/", None),
        ("", None),
        (None, None),
    ],
)
def test_a_domain_stands_for_all_under_it(run, address, reason):
    assert run(address, domains="# a list\nbad.example\n\n*.worse.example\n") == [reason]


def test_domains_may_start_with_a_wildcard(run):
    assert run("http://a.worse.example/", domains="*.worse.example") == ["domain"]


@pytest.mark.parametrize(
    ("address", "listed"),
    [
        ("https://a.example/page", True),
        ("http://A.example/page/", True),
        ("http://a.example/page#part", True),
        ("http://a.example/Page", False),
        ("http://a.example/page?x", False),
        ("http://a.example/page/2", False),
        ("http://b.a.example/page", False),
    ],
)
def test_addresses(run, address, listed):
    for entry in ("http://a.example/page", "a.example/page/"):
        assert run(address, urls=entry) == ["url" if listed else None]


def test_strict_words_count_anywhere_without_dashes_and_dots(run):
    words = "fi-sh.es\n"
    assert (
        run("http://a.example/fi-shes", "http://goldfish.es/", "http://a/FISHES", strict_words=words)
        == ["strict_word"] * 3
    )
    assert run("http://a.example/fish/es", "http://a.example/fish", strict_words=words) == [None, None]


def test_a_strict_word_is_no_pattern(run):
    assert run("http://a.example/c++", "http://a.example/ccc", strict_words="c++\n(") == ["strict_word", None]


def test_hard_words_are_whole(run):
    found = run("http://fish.example/", "http://a.example/my_fish-9", "http://a.example/fishes", hard_words="Fish")
    assert found == ["hard_word", "hard_word", None]


def test_soft_words_must_be_several_different_ones(run):
    addresses = ("http://a.example/red-fish", "http://red.example/fish/blue", "http://red.example/red")
    assert run(*addresses, soft_words="red\nfish\nblue") == ["soft_words", "soft_words", None]
    assert run(*addresses, soft_words="red\nfish\nblue", min_soft_words=3) == [None, "soft_words", None]


def test_the_first_rule_wins_and_no_list_rejects_nothing(run):
    address = "http://bad.example/fish"
    assert run(address, domains="bad.example", urls=address, hard_words="fish") == ["domain"]
    assert run(address, urls=address, hard_words="fish") == ["url"]
    assert run(address) == [None]


def test_several_lists_are_one(tmp_path):
    for place, word in enumerate(("red", "blue")):
        (tmp_path / str(place)).write_text(word)
    table = docs("", "", "", url=["http://a/red", "http://a/blue", "http://a/green"])
    found = url_filter(table, hard_words=[str(tmp_path / "0"), str(tmp_path / "1")])
    assert found["reject"].to_pylist() == ["hard_word", "hard_word", None]


def test_a_list_that_is_missing_is_named(tmp_path):
    with pytest.raises(CurateError, match="no list") as caught:
        url_filter(docs(""), domains=[str(tmp_path / "nothing")])
    assert caught.value.where == str(tmp_path / "nothing")


@settings(deadline=None, max_examples=50)
@given(st.sets(st.sampled_from(HOSTS)), st.lists(st.sampled_from(HOSTS), min_size=1))
def test_domains_equal_the_reference(tmp_path_factory, listed, hosts):
    path = tmp_path_factory.mktemp("lists") / "domains"
    path.write_text("\n".join(listed))
    addresses = [f"http://{host}/page" for host in hosts]
    found = url_filter(docs(*addresses, url=addresses), domains=[str(path)])["reject"].to_pylist()
    lower = {host.lower() for host in listed}
    for address, reason in zip(addresses, found, strict=True):
        labels = urlsplit(address).hostname.split(".")
        parents = {".".join(labels[place:]) for place in range(len(labels))}
        assert (reason == "domain") == bool(parents & lower)


def test_agrees_with_datatrove_on_its_own_lists(tmp_path):
    module = pytest.importorskip("datatrove.pipeline.filters.url_filter")
    tldextract = pytest.importorskip("tldextract")
    pytest.importorskip("ahocorasick")
    from datatrove.data import Document
    from datatrove.utils._import_utils import ASSETS_PATH

    lists = {"strict_words": "banned_subwords", "hard_words": "banned_words", "soft_words": "soft_banned_words"}
    for rule, name in lists.items():
        words = [module.normalize(line) for line in Path(ASSETS_PATH, f"{name}.txt").read_text().splitlines()]
        words = [word for word in words if word]
        (tmp_path / rule).write_text("\n".join(words))
        oracle = module.URLFilter(use_integrated_lists=False, **{name: words})
        oracle.tldextractor = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
        addresses = [
            address
            for word, other in zip(words, [*words[1:], words[0]], strict=True)
            for address in (
                f"http://site.example/a-{word}-b",
                f"http://site.example/a{word}b.html",
                f"http://{word[:2]}-{word[2:]}.example/",
                f"http://{word}.example/{other}_1",
                f"http://site.example/{word}/{word}.{word}",
                f"http://site.example/{word[:-1]}",
            )
        ]
        found = url_filter(docs(*addresses, url=addresses), **{rule: [str(tmp_path / rule)]})["reject"]
        verdicts = [
            oracle.filter(Document(text="", id="", metadata={"url": address})) is not True for address in addresses
        ]
        assert [reason is not None for reason in found.to_pylist()] == verdicts
        assert 0 < sum(verdicts) < len(verdicts)


def test_every_list_is_a_resource(tmp_path):
    from curate.stage import find_stage

    (tmp_path / "list").write_text("word")
    stage = find_stage("url_filter")
    for name in LISTS:
        params = stage.configure({name: [str(tmp_path / "list")]})
        assert list(stage.resources(params).values()) == [str(tmp_path / "list")]
        assert str(tmp_path) not in str(stage.identity(params))
