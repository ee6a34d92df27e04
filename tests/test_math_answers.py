"""Final answers: where they are found, what is compared of them, and that the fast path agrees with math-verify."""

import time
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import untimed

from curate.stages._math_answers import THINKING, depth, final_answer, reduced, same, without_thinking

FINAL = [
    (r"so $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
    (r"\boxed{1}, then \boxed{f(x)=\{2\}} at last. The answer is 3.", r"f(x)=\{2\}"),
    (r"$\boxed{-2}$ and $\boxed{3}$", "-2, 3"),
    (r"\boxed{2} is wrong, it must be that we forgot one, so it is \boxed{3}", "3"),
    (r"\boxed{\text{so } \boxed{5}}", r"\text{so } \boxed{5}"),
    (r"\fbox{7}", "7"),
    (r"\boxed 7", "7"),
    (r"The answer is 4. \boxed{12", "4"),
    (r"\boxed{}", None),
    ("The answer is 5.", "5"),
    ("The final answer is: $5$. I hope it is correct.", "$5$"),
    ("the answer to this question is that he has 20 apples.", "that he has 20 apples"),
    ("The answers are $2$ and $3$.", "$2$ and $3$"),
    ("The answer is 5 because 2 + 3 = 5.", "5"),
    ("The answer is 3. No, the answer is 4.", "4"),
    ("The answer is 4. I hope my answer is helpful!", "4"),
    ("The answer is Evelyn.", "Evelyn"),
    ("**Final Answer:** 1,200.50", "1,200.50"),
    ("### Final Answer\n\n\\[\nx^2\n\\]\nThat is all.", "\\[\nx^2\n\\]"),
    ("**Answer**: \\$20 a day", "\\$20 a day"),
    ("答案是5。", "5"),
    ("It takes 2/2=<<2/2=1>>1 bolt.\n#### 1,234", "1,234"),
    ("#### 42\n\nLet me know if that helps.", "42"),
    ("#### 1. Set up\nWe begin.", None),
    ("It takes 3 bolts.\nA: 3", "3"),
    ("A: 3\nB: 4\nso it must be the second", None),
    ("42", "42"),
    ("$\\frac12$", "$\\frac12$"),
    ("There are 42 of them.", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "answer"), FINAL)
def test_where_the_final_answer_is(text, answer):
    assert final_answer(text) == answer


@pytest.mark.parametrize(("opening", "closing"), THINKING)
def test_thinking_holds_no_final_answer(opening, closing):
    think = f"{opening} maybe \\boxed{{7}}, the answer is 8 {closing}"
    assert final_answer(without_thinking(f"{think} The answer is 9. {think}")) == "9"
    assert final_answer(without_thinking(f"Answer: 9. {opening} or \\boxed{{7}}, but the text ends")) == "9"
    assert final_answer(without_thinking(f"so \\boxed{{7}}? {closing} The answer is 9.")) == "9"
    assert final_answer(without_thinking(f"{opening} The answer is 9.")) is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("$5$.", "5"),
        ("**$-5.50$**", "-5.50"),
        (r"\$1,234", "1234"),
        ("-$3", "-3"),
        ("1 234 567 people", "1234567"),
        (r"10,\!000", "10000"),
        ("2{,}000", "2000"),
        (r"5\text{ cm}^2", "5"),
        ("5 cm²", "5"),
        ("that he has 20 apples", "20"),
        ("June 5", "5"),
        (r"90^\circ", "90"),
        (".5", "0.5"),
        ("1.5e3", "1500"),
        ("7 percent", r"7\%"),
        (r"$7\%$", r"7\%"),
        ("−3", "-3"),
        (r"\boxed{3}", "3"),
        (r"\left( \dfrac{1}{2}, 3 \right)", r"( \frac{1}{2}, 3 )"),
        ("2**3", "2**3"),
        ("5** apples", "5"),
        ("5 pi", "5 pi"),
        ("2 million", "2 million"),
        ("at least 5", "at least 5"),
        ("3 hours and 20 minutes", "3 hours and 20 minutes"),
        ("1,23", "1,23"),
        ("5x", "5x"),
        ("5!", "5!"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
    ],
)
def test_what_is_compared_of_an_answer(answer, expected):
    assert reduced(answer) == expected
    assert reduced(expected) == expected


def test_what_needs_no_algebra():
    assert same("3", "3.0") is True
    assert same("3", "4") is False
    assert same(r"\frac{1}{2}", r"\frac{1}{2}") is True
    assert same(r"\frac{1}{2}", r"\frac{2}{4}") is None
    assert same("3.0000001", "3") is None  # math-verify rounds
    assert same(r"\text{}", r"\text{}") is None  # nothing is left of it


@pytest.mark.parametrize(("answer", "levels"), [("{(a)}", 2), (r"\{a", 0), ("[1, 2)", 1), ("}{", -1), ("{a", -1)])
def test_depth(answer, levels):
    assert depth(answer) == levels


UNITS = [
    r"\boxed{",
    "{",
    "}",
    r"\boxed{5}",
    "answer is ",
    "final ",
    "answer: ",
    "<think>",
    "</think>",
    "A: 3\n",
    "#### a\n",
]
UNITS += [
    "$",
    "$5",
    r"\(",
    r"answer is \(",
    "answer is a ",
    "答案",
    "\\",
    "final answer",
    " ",
    "a ",
    "a-",
    "1,",
    "*",
    "\n",
]


@pytest.mark.parametrize("unit", UNITS)
def test_time_is_linear_in_the_text(unit):
    text = unit * (400_000 // len(unit))
    start = time.process_time()
    answer = final_answer(without_thinking(text))
    reduced((answer or text)[:5000])
    depth((answer or text)[:5000])
    assert time.process_time() - start < 20  # 0.1 s at most where it was written; quadratic takes minutes


numbers = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(-(10**6), 10**6, allow_nan=False, allow_infinity=False).map(lambda number: format(number, "f")),
    st.builds("00{}{}".format, st.integers(0, 99), st.sampled_from(["", ".0", ".00", ".5", ".50"])),
)
PIECES = [*"0123456789xy+-=<>(){}[],.;:!%$^_/*|&~' \n°π", r"\frac", "{1}", r"\sqrt", r"\text{", r"\text{and}", r"\pi"]
PIECES += [r"\%", r"\$", r"\left(", r"\right)", r"\ldots", r"\!", r"\displaystyle", r"\{", r"\}", "and", "or", "cm"]
PIECES += ["degrees", "percent", "inf", "sqrt", r"\\", r"\begin{pmatrix}", r"\end{pmatrix}", r"\boxed", r"\fbox"]
formulas = st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join)


@pytest.fixture(scope="module")
def math_verify():
    return pytest.importorskip("math_verify")


def agrees(library, gold: str, answer: str) -> None:
    """The fast path says nothing, or what math-verify says."""
    config = [library.LatexExtractionConfig(boxed_match_priority=0)]
    gold, answer = reduced(gold), reduced(answer)
    if (said := same(gold, answer)) is not None and min(depth(gold), depth(answer)) >= 0:
        parsed = [library.parse(f"\\boxed{{{one}}}", config, parsing_timeout=None) for one in (gold, answer)]
        assert library.verify(*parsed, timeout_seconds=None) == said


@untimed
@given(numbers, numbers)
def test_of_two_numbers_the_fast_path_says_what_math_verify_says(math_verify, gold, answer):
    agrees(math_verify, gold, answer)


@untimed
@given(numbers, st.sampled_from(["", "0", "00", "1", ".0", ".000001"]), st.integers(-2000, 2000))
def test_of_near_numbers_the_fast_path_says_what_math_verify_says(math_verify, gold, more, apart):
    agrees(math_verify, gold, gold + more)
    agrees(math_verify, gold, format(Decimal(gold) + Decimal(apart).scaleb(-8), "f"))


@settings(untimed, max_examples=300)
@given(formulas)
def test_of_equal_texts_the_fast_path_says_what_math_verify_says(math_verify, formula):
    agrees(math_verify, formula, formula)
