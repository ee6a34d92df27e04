"""Personal data is found, and replaced, rejected or counted."""

import ipaddress
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.stages._personal_data import KINDS
from curate.stages.pii import pii
from curate.testing import docs

COUNTS = {name: f"n_{name}s" for name in KINDS}
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA7bq2\n" * 5 + "-----END RSA PRIVATE KEY-----"


def replaced(text, preset="recall", **params):
    return pii(docs(text), preset=preset, **params)["text"].to_pylist()[0]


def found(text, preset="recall"):
    """{kind: matches} of those that there are."""
    table = pii(docs(text), mode="mark", preset=preset)
    assert table["text"].to_pylist() == [text]
    return {name: count for name in KINDS if (count := table[COUNTS[name]].to_pylist()[0])}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("jane.doe+news@mail.example.org", "email"),
        ("<a href=mailto:jane@sub.domain.museum>", "email"),
        ("J_D-1%x@x1-y.co.uk", "email"),
        ("8.8.8.8", "ip"),
        ("http://93.184.216.34:80/", "ip"),
        ("2606:2800:220:1:248:1893:25c8:1946", "ip"),
        ("[2606:4700::1111]", "ip"),
        ("+49 30 901820", "phone"),
        ("+442079460958", "phone"),
        ("+1 (212) 664-7665", "phone"),
        ("(212) 664-7665", "phone"),
        ("212-664-7665", "phone"),
        ("1.212.664.7665", "phone"),
        ("AKIA" + "Q3EXAMPLE7654321", "secret"),
        ("ghp_" + "a1B2" * 9, "secret"),
        ("xoxb-123456789012-abcdef", "secret"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmN", "secret"),
        (KEY, "secret"),
    ],
)
def test_what_is_found(text, kind):
    assert found(text) == {kind: 1}
    assert found(f"Write to {text}, please.") == {kind: 1}
    assert found(f"({text})\n{text}") == {kind: 2}


@pytest.mark.parametrize(
    "text",
    [
        "a decorator @property.setter, a handle @jane, and jane@localhost",
        "127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.0.1 0.0.0.0 255.255.255.255 192.0.2.7 224.0.0.1",
        "256.1.1.1 1.2.3 1.2.3.4.5 v8.8.8.8 08.008.8.8.8",
        "fe80::1 ::1 2001:db8::1 std::vector a::b dead::beef 2024:01:02 12:30:45",
        "1234567890 123-456-7890 2+2 = 4 10 000 000 212-664-76650 2024-11-21 +3",
        "ISBN 978-3-16-148410-0, 1,024 to 65,535",
        "AKIA is a prefix, so are ghp_ and eyJ; sk-learn",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----",
        "",
    ],
)
def test_what_is_not(text):
    assert found(text) == {}


def test_matches_are_replaced_and_counted():
    table = pii(docs("Jane <jane@a.example.net>, address 8.8.8.8 and 1.1.1.1, (212) 664-7665.", "nothing", None))
    assert table["text"].to_pylist() == [
        "Jane <email@example.com>, address 192.0.2.1 and 192.0.2.1, +1 202-555-0100.",
        "nothing",
        None,
    ]
    assert [table[name].to_pylist() for name in COUNTS.values()] == [[1, 0, 0], [2, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert table["reject"].null_count == 3


def test_what_was_replaced_is_not_found_again():
    text = replaced(f"jane@a.example.net 8.8.8.8 (212) 664-7665 {KEY}")
    assert found(text) == {}
    assert replaced(text) == text


def test_stand_ins_are_taken_as_they_are():
    assert replaced("a@b.example.net", email_as=r"\1 \g<0>") == r"\1 \g<0>"
    assert replaced(f"8.8.8.8 (212) 664-7665 {KEY}", ip_as="<IP>", phone_as="", secret_as="-") == "<IP>  -"


def test_kinds_that_are_not_asked_for_stay():
    text = "jane@a.example.net 8.8.8.8 (212) 664-7665"
    assert replaced(text, kinds=["email", "ip"]) == "email@example.com 192.0.2.1 (212) 664-7665"
    assert replaced(text, kinds=[]) == text
    assert pii(docs(text), kinds=["phone"], mode="mark")["n_emails"].to_pylist() == [0]


def test_reject():
    texts = ("a@b.example.net 91.8.8.8", "91.8.8.8", "(212) 664-7665", KEY, "nothing", None)
    table = pii(docs(*texts), mode="reject")
    assert table["reject"].to_pylist() == ["email", "ip", "phone", "secret", None, None]
    assert table["text"].to_pylist() == list(texts)
    kept = pii(docs(*texts), mode="reject", kinds=["secret"])["reject"].to_pylist()
    assert kept == [None, None, None, "secret", None, None]


STAND_INS = ("email@example.com", "192.0.2.1", "+1 202-555-0100", "<SECRET>")
WORDS = [
    "jane@a.example.net",
    "8.8.8.8",
    "+49-30-901820",
    "212-664-7665",
    "AKIAQ3EXAMPLE7654321",
    "@",
    ".",
    "+",
    "-",
    "1",
    "a",
    ":",
    "é",
]
pieces = st.sampled_from([*WORDS, " "])


@settings(deadline=None)
@given(st.lists(pieces, max_size=12).map("".join) | st.text("0123456789+-.() @ab", max_size=40))
@example("1-212-664-7665")
def test_no_match_is_lost_to_the_quick_look(text):
    for name, kind in KINDS.items():
        for preset in ("precision", "recall"):
            every = [match for match in kind.pattern.finditer(text) if getattr(kind, preset)(match)]
            every = [match for match in every if match[0] not in STAND_INS]
            table = pii(docs(text), kinds=[name], mode="mark", preset=preset)
            assert table[COUNTS[name]].to_pylist() == [len(every)]


@pytest.mark.parametrize("preset", ["precision", "recall"])
@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("请发邮件至zhang.san@corp.cn联系我们", "请发邮件至email@example.com联系我们"),
        ("連絡先はtaro@example.co.jpまで", "連絡先はemail@example.comまで"),
        ("문의는jane@mail.example.org로", "문의는email@example.com로"),
        ("服务器地址93.184.216.34端口", "服务器地址192.0.2.1端口"),
        ("전화 +82 2-312-3456로 연락", "전화 +1 202-555-0100로 연락"),
    ],
)
def test_a_letter_of_a_script_without_spaces_is_no_part_of_an_address(text, masked, preset):
    assert replaced(text, preset) == masked


@pytest.mark.parametrize(
    "text",
    [
        "url(/img/logo@2x.png) hero@1.5x.webp icon@3x.ai",
        "scores = q@k.transpose(-2, -1); D = A@B.dot(C); x@y.T",
        "git clone git@github.com:acme/widgets.git; scp jane@host.example.com:~/x .",
        "postgres://app:pw@db.internal.corp:5432/x https://jane:pw@site.example.com/",
        "see sections 5.2.1.3 and 91.2.1.3, version 91.5.6.7, § 51.4.3.2",
        'version="4.0.0.0" requests==91.2.3.4 Chrome/120.0.0.1 numpy-1.21.33.4',
        "driver 1.2.3.4 or later, 91.5.6.7-beta, 1.2.3.4",
        "x = [+2147483647, -1] +1980-02-29 01:00 +1.12345679",
        "part no 234-567-8901, order 212-664-7665, 234-567-8901",
        "1.234.567.8901 items",
    ],
)
def test_what_only_looks_like_personal_data_stays(text):
    assert replaced(text, "precision") == text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write to jane.doe@mail.example.org.", "email"),
        ("<a href=mailto:jane@sub.domain.museum>", "email"),
        ("ping 8.8.8.8", "ip"),
        ("http://93.184.216.34/", "ip"),
        ("resolver 1.1.1.1:53", "ip"),
        ("[2606:4700::1111]", "ip"),
        ("+49 30 901820", "phone"),
        ("write to +442079460958, please", "phone"),
        ("(212) 664-7665", "phone"),
        ("call 212-664-7665 now", "phone"),
        ("Tel.: +49-30-901820", "phone"),
    ],
)
def test_what_is_valid_and_stands_where_such_things_stand_is_masked(text, kind):
    assert found(text, "precision") == {kind: 1}


def test_what_follows_a_number_or_an_address_stays():
    assert replaced("jane@x.example.org-and so", "precision") == "email@example.com-and so"
    assert replaced("+1 212 664 7665 99", "precision").endswith(" 99")


def test_long_hostile_texts_take_linear_time():
    for piece in (
        "a@",
        "1.",
        "+1 ",
        "+" + "1" * 80 + "a",
        "a@" + "b-" * 40,
        "2001:",
        "eyJ",
        "-----BEGIN PRIVATE KEY-----",
        "a.b@c.d.",
        "sk-proj-",
        "212-",
    ):
        text = piece * (1_000_000 // len(piece))
        for preset in ("precision", "recall"):
            assert len(replaced(text, preset)) > 0


def test_agrees_with_datatrove():
    """On texts where addresses stand apart: datatrove also takes them out of longer numbers."""
    formatter = pytest.importorskip("datatrove.pipeline.formatters.pii")
    oracle = formatter.PIIFormatter(email_replacement="email@example.com", ip_replacement="192.0.2.1")
    draw = random.Random(0)
    for _ in range(500):
        address = ipaddress.ip_address(draw.getrandbits(32))
        if address.is_multicast:
            continue
        user = "".join(draw.choices("abcXYZ019._-", k=draw.randint(1, 9))).strip(".-_").replace("..", ".") or "a"
        host = "".join(draw.choices("abz09", k=draw.randint(1, 9)))
        text = f"Ask {user}@{host}.example.org, or {address}; not @{host} nor {user}."
        assert replaced(text, kinds=["email", "ip"]) == oracle.format(text)
