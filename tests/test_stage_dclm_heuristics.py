"""DCLM's heuristics against its rules written plainly, and URLs against its patterns tried at every place."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import untimed

from curate.stage_api import find_stage
from curate.testing import docs

PROSE = (
    "The committee of the town met on Tuesday with two guests, and it agreed that the work should go on.",
    "Nobody knew how long the second meeting would last, but most were ready to stay until supper.",
    "A report on the bridge, the roads and the school is to be read aloud before any vote is taken.",
    "Its authors have asked for more time, since the winter made it hard to reach half of the sites.",
)
GOOD = "\n".join(PROSE)
OFF = {
    "min_words": 0,
    "min_mean_word_length": None,
    "max_mean_word_length": None,
    "max_symbol_ratio": None,
    "max_bullet_lines": None,
    "max_ellipsis_lines": None,
    "max_letterless_words": None,
    "min_stop_words": None,
    "max_duplicate_lines": None,
    "max_duplicate_paragraphs": None,
    "max_duplicate_line_characters": None,
    "max_duplicate_paragraph_characters": None,
    "max_top_n_grams": [None] * 3,
    "max_duplicate_n_grams": [None] * 6,
}


def run(stage: str, *texts, **params):
    found = find_stage(stage)
    return found(docs(*texts), **found.configure(params))


def heuristics(text: str, **params) -> tuple[str | None, str]:
    found = run("dclm_heuristics", text, **params)
    return found["reject"].to_pylist()[0], found["text"].to_pylist()[0]


@pytest.mark.parametrize(
    ("name", "text", "lenient"),
    [
        ("too_few_words", "the cat and the dog", {"min_words": 5}),
        ("too_many_words", f"{GOOD} " * 1500, {"max_words": 200_000}),
        ("short_words", "a b to c d be " * 12, {"min_mean_word_length": 1}),
        ("long_words", "incomprehensible " * 60 + "the of " * 9, {"max_mean_word_length": 15}),
        ("too_many_symbols", f"{GOOD} " + "#tag " * 20, {"max_symbol_ratio": 1}),
        ("too_many_symbols", f"{GOOD} " + "well. . . " * 20, {"max_symbol_ratio": 1}),
        ("bullet_lines", "\n".join(f"● {line}" for line in PROSE), {"max_bullet_lines": 1}),
        ("ellipsis_lines", "\n".join(f"{line[:-1]}…" for line in PROSE), {"max_ellipsis_lines": 1}),
        ("letterless_words", f"{GOOD} " + "12345 " * 30, {"max_letterless_words": 1}),
        ("too_few_stop_words", "Der Hund sieht eine Katze im Garten. " * 10, {"min_stop_words": 0}),
        ("duplicate_lines", f"{GOOD}\nSo it is.\nSo it is.", {"max_duplicate_lines": 0.5}),
        ("duplicate_paragraphs", f"{GOOD}\n\nIt is so.\n\nIt is so.", {"max_duplicate_lines": 1}),
        ("too_many_words_removed", f"{GOOD}\nTHIS IS AN ADVERTISEMENT FOR YOU", {"max_removed_words": 0.2}),
    ],
)
def test_a_rule_rejects_with_its_reason_and_can_be_changed(name, text, lenient):
    if name == "duplicate_paragraphs":
        assert heuristics(text, **lenient)[0] == name
        return
    assert heuristics(text) == (name, text)
    assert heuristics(text, **lenient)[0] != name


def test_lines_that_are_no_prose_go():
    page = "\n".join([*PROSE, "", "", "", "12", "3 likes", "1.2K Views!", "Menu", "  2 items in cart ", "Read more..."])
    page += "\nSign-in to answer"
    left = f"{GOOD}\n\n  2 \nto answer"
    assert heuristics(page, max_removed_words=0.2) == (None, left)
    found = run("dclm_heuristics", page, max_removed_words=0.2)
    assert found["previous_word_count"].to_pylist() == [len(re.findall(r"(?:^|(?<=\s))\w\S*", page))]


def test_a_long_line_with_a_phrase_stays():
    page = f"{GOOD}\nRead on, and you will see how many items in cart and basket there were that day..."
    assert heuristics(page) == (None, page)


COUNTED = "likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views|followers"
COUNTER = re.compile(rf"^\W*\d[,.\d]*[kmb]?\s+(?:{COUNTED})\W*$")
PIECES = (
    *(
        "The cat sat",
        "ABC",
        "AB c",
        "12",
        "1,000",
        "7.5k",
        " likes",
        " Views",
        "likes",
        "followers!",
        "•",
        "_",
        " ",
        "\t",
    ),
    *(
        "items in cart",
        "Read more...",
        "read more now",
        "READ MORE »»»",
        "Sign-in",
        "\u00a0",
        "é",
        "ÉÀ",
        "漢字",
        "٣",
        "²",
    ),
    *("\n", "\n", "\n", "\n\n\n", "  \n", "🙂", "the of"),
)


def words(text: str) -> int:
    return sum(word[0].isalnum() for word in re.split("[\0\t\n\v\f\r ]", text) if word)


def modified(text: str) -> str:
    """The line modifiers, one after the other."""

    def lines(page: str, keep) -> str:
        return "\n".join(line for line in page.split("\n") if not line or keep(line))

    page = re.sub("\n{3,}", "\n\n", text)
    page = lines(page, lambda line: sum(map(str.isupper, line)) / len(line) <= 0.5).strip()
    page = lines(page, lambda line: sum(map(str.isdecimal, line)) / len(line) <= 0.999999).strip()
    page = lines(page, lambda line: not COUNTER.search(line.lower())).strip()
    page = lines(page, lambda line: len(line.split()) >= 2)
    for pattern in (r"(?i)\s?items in cart", r"(?i)\s?read more...$", r"(?i)^sign-in\s?"):
        kept = []
        for line in page.split("\n"):
            short = len(line.split()) <= 10
            left = re.sub(pattern, "", line) if short else line
            if not (short and line and not left.strip()):
                kept.append(left)
        page = "\n".join(kept).strip()
    return page


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), max_size=4))
@untimed
def test_lines_equal_the_reference(texts):
    found = run("dclm_heuristics", *texts, **OFF | {"max_removed_words": 1.0})
    expected = [modified(text) for text in texts]
    assert found["text"].to_pylist() == expected
    before = [words(re.sub("\n{3,}", "\n\n", text)) for text in texts]
    assert found["previous_word_count"].to_pylist() == before
    found = run("dclm_heuristics", *texts, **OFF)
    gone = [n == 0 or (n - words(left)) / n > 0.05 for n, left in zip(before, expected, strict=True)]
    assert [reason == "too_many_words_removed" for reason in found["reject"].to_pylist()] == gone


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("See https://example.org/a?b=c#d for more.", "See for more."),
        ("Write to jane@example.com, or go to ftp://ftp.host.net now", "Write to, or go to now"),
        ("At 192.168.0.1:8080/x it runs.", "At it runs."),
        ("Version 1.2.3 of readme.txt, e.g. this.", "Version 1.2.3 of readme.txt, e.g. this."),
        ("EXAMPLE.COM stays, so does a.community_x", "EXAMPLE.COM stays, so does a.community_x"),
        ("Сайт пример.рф и example.рф есть", "Сайт пример.рф и есть"),
    ],
)
def test_addresses_go_with_the_space_before_them(text, left):
    assert run("strip_urls", text)["text"].to_pylist() == [left]


def test_a_page_of_addresses_alone_is_empty():
    assert run("strip_urls", "http://example.org/", "", None, "text")["reject"].to_pylist() == ["empty"] * 3 + [None]


HOST, PATH = r"[-a-zA-Z0-9@:%._+~#=]", r"[-a-zA-Z0-9()@:%_+.~#?&/=]"
NAMES = re.compile(rf"\s{{0,10}}(?:(https?|ftp)://)?{HOST}{{1,256}}\.(com|co|org|community|рф)\b({PATH}*)")
NUMBERS = re.compile(rf"\s{{0,10}}\b((https?|ftp)://)?(?:[0-2]?[0-9]{{1,2}}\.){{3}}[0-2]?[0-9]{{1,2}}{PATH}*")
PARTS = st.sampled_from(
    [
        *"q1_.:/-@ \n\u00a0é漢(?&",
        ".com",
        ".co",
        ".community",
        "org",
        ".рф",
        "http://",
        "https://",
        "ftp://",
        "10.0.0.1",
        "  " * 6,
    ]
)


@given(st.lists(PARTS, max_size=20).map("".join))
@untimed
def test_addresses_equal_the_reference(text):
    assert run("strip_urls", text)["text"].to_pylist() == [NUMBERS.sub("", NAMES.sub("", text))]


@given(st.sampled_from(["", "Com ", "the ", "zq ", "ORGAN"]), st.lists(PARTS, max_size=20).map("".join))
@untimed
def test_as_published_names_go_only_where_a_page_begins_with_a_domain(start, text):
    text, domains = start + text, find_stage("strip_urls").function.__globals__["_domains"]()
    begins = re.compile(domains, re.IGNORECASE).match(text)
    left = NUMBERS.sub("", NAMES.sub("", text) if begins else text)
    assert run("strip_urls", text, as_published=True)["text"].to_pylist() == [left]
