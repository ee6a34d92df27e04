"""Addresses on block lists, or with words of a list, are named."""

import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import CurateError
from curate.stage_api import find_stage
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


@pytest.mark.parametrize(
    ("list", "address"),
    [
        ("remark.example # spam", "https://remark.example/1"),
        ("0.0.0.0 ads.bad.example other.example", "https://ads.bad.example/x"),
        ("||tracker.example^$third-party", "https://a.tracker.example/y"),
        ("https://schemed.example/", "https://schemed.example/p"),
        ("bücher.example", "https://xn--bcher-kva.example/page"),
        ("xn--bcher-kva.example", "https://bücher.example/page"),
        ("*.wild.example\r\n\ufeff", "https://wild.example/"),
        ("\ufefffirst.example", "https://first.example/"),
        ("127.0.0.1 localhost\n::1 localhost\n! remark\n[Adblock Plus 2.0]\nlast.example", "https://last.example/"),
        ("[::1]", "http://[0:0::1]:8080/"),
        ("zip", "https://a.zip/"),
    ],
)
def test_lines_as_people_write_them(run, list, address):
    assert run(address, "https://localhost/", "https://other.test/", domains=list) == ["domain", None, None]


def test_pages_are_compared_in_canonical_form(run):
    found = run("https://p.example/caf%c3%a9", "http://P.EXAMPLE:80/x/../café/#a", urls="https://p.example/café")
    assert found == ["url", "url"]


@pytest.mark.parametrize(
    ("rule", "line", "told"),
    [
        ("domains", "https://a.example/page", "URL of a page"),
        ("domains", "||a.example^$domain=b.example", "option that is not supported: domain=b.example"),
        ("domains", "@@||a.example^", "Adblock line that is not supported"),
        ("domains", "a.example##.banner", "Adblock line that is not supported"),
        ("domains", "a.example:8080", "with a port"),
        ("domains", "a..example", "not a domain"),
        ("domains", "a.example b.example", "whitespace"),
        ("domains", "me@a.example", "mail address"),
        ("urls", "*.a.example", "wildcard"),
        ("urls", "0.0.0.0 a.example", "whitespace"),
        ("strict_words", "-.-", "no URL contains it"),
        ("strict_words", "two words", "no URL contains it"),
        ("hard_words", "two words", "not one word"),
        ("hard_words", "hy-phen", "not one word"),
        ("soft_words", "under_score", "not one word"),
    ],
)
def test_a_line_that_can_match_nothing_is_named(run, tmp_path, rule, line, told):
    with pytest.raises(CurateError, match=told) as caught:
        run("http://a.example/", **{rule: f"# remark\n\n{line}\n"})
    assert caught.value.where == f"{tmp_path / rule}:3"
    assert caught.value.fix


def styled(tmp_path, style, addresses, **lists):
    files = {name: [str(tmp_path / name)] for name in lists}
    for name, words in lists.items():
        (tmp_path / name).write_text("\n".join(words))
    return url_filter(docs(*addresses, url=addresses), **files, lists=style)["reject"].to_pylist()


DCLM = ["g-spot", "fish", "Deep-Sea", "c++", "a_b", "fish-eye", "sea"]
PIECES = [
    "fish",
    "g-spot",
    "blogspot",
    "deep-sea",
    "deep",
    "sea",
    "c++",
    "x",
    "#cod",
    "a_b",
    "eye",
    "_",
    "-",
    ".",
    "/",
    "É",
]


@settings(max_examples=60)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=9).map("".join), min_size=1, max_size=4))
def test_dclm_words_equal_its_rule(tmp_path_factory, paths):
    """Its rule, from its description: a search for any of the entries, both in lower case, `-` and `.` taken out of the
    address for strict words; between `\\b` for the others, of which different ones are counted."""
    folder, addresses = tmp_path_factory.mktemp("lists"), [f"http://A.example/{path}" for path in paths]
    entries = sorted((word.lower() for word in DCLM), key=len, reverse=True)
    anywhere = "|".join(map(re.escape, entries))
    whole = re.compile(rf"\b(?:{anywhere})\b")
    lower = [address.lower() for address in addresses]
    expected = {
        "strict_words": [bool(re.search(anywhere, re.sub("[-.]", "", address))) for address in lower],
        "hard_words": [bool(whole.search(address)) for address in lower],
        "soft_words": [len({*whole.findall(address)}) >= 2 for address in lower],
    }
    for rule, verdicts in expected.items():
        found = styled(folder, "dclm", addresses, **{rule: DCLM})
        assert [reason is not None for reason in found] == verdicts, rule


def test_blogspot_is_no_word_of_dclm(tmp_path):
    address = ["https://someone.blogspot.com/", "https://a.example/gspot", "https://a.example/g-spot"]
    assert styled(tmp_path, "dclm", address, strict_words=["g-spot"]) == [None] * 3
    assert styled(tmp_path, "refinedweb", address, strict_words=["g-spot"]) == ["strict_word"] * 3
    stage = find_stage("url_filter")
    params = stage.configure({"strict_words": [str(tmp_path / "strict_words")], "lists": "dclm"})
    assert any("1 strict words" in note for note in stage.notes(params))


def test_datatrove_words_equal_its_code(tmp_path):
    """Its own files as they are, and its own way with them."""
    module = pytest.importorskip("datatrove.pipeline.filters.url_filter")
    from datatrove.utils._import_utils import ASSETS_PATH

    files = {"strict_words": "banned_subwords", "hard_words": "banned_words", "soft_words": "soft_banned_words"}
    for rule, file in files.items():
        content = Path(ASSETS_PATH, f"{file}.txt").read_text()
        words = sorted(module.parse_list(content.splitlines()))
        assert all(words)
        addresses = [
            address
            for word, other in zip(words, [*words[1:], words[0]], strict=True)
            for address in (
                f"http://site.example/a-{word}-b/{other}",
                f"http://site.example/a{word}b.html",
                f"http://site.example/{word[:2]}-{word[2:]}_{other}",
                f"http://site.example/{word.upper()}/{other.title()}",
            )
        ]
        split = [{*module.normalizer.split(address)} for address in addresses]
        verdicts = {
            "strict_words": [any(word in module.normalize(address) for word in words) for address in addresses],
            "hard_words": [any(word in some for word in words) for some in split],
            "soft_words": [sum(word in some for word in words) >= 2 for some in split],
        }[rule]
        found = styled(tmp_path, "datatrove", addresses, **{rule: content.splitlines()})
        assert [reason is not None for reason in found] == verdicts
        assert 0 < sum(verdicts) < len(verdicts) or rule == "strict_words"


def test_an_address_as_long_as_a_book_takes_no_time(tmp_path):
    start = time.process_time()
    for piece in ("fish-", "a.", "c++", "#cod", "é/"):
        address = ["http://a.example/" + piece * (1_000_000 // len(piece))]
        for rule in ("strict_words", "hard_words", "soft_words"):
            styled(tmp_path, "dclm", address, **{rule: DCLM})
        styled(tmp_path, "refinedweb", address, domains=["x.example"], urls=["a.example/b"], soft_words=["fish"])
        styled(
            tmp_path, "refinedweb", ["http://" + piece * 200_000 + ".example/"], domains=["x.example", "b.x.example"]
        )
    assert time.process_time() - start < 60


def test_every_list_is_a_resource(tmp_path):
    (tmp_path / "list").write_text("word")
    stage = find_stage("url_filter")
    for name in LISTS:
        params = stage.configure({name: [str(tmp_path / "list")]})
        assert list(stage.resources(params).values()) == [str(tmp_path / "list")]
        assert str(tmp_path) not in str(stage.identity(params))
