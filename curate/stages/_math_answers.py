"""Final answers: find one in what a model wrote, normalize it, and compare what needs no algebra.

Every function takes time linear in the length of its text, whatever the text is.
"""

import re
from collections import deque
from decimal import Decimal

THINKING = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<|begin_of_thought|>", "<|end_of_thought|>"))
"""Marks around a model's thinking, which never holds its final answer."""

MAX_DEPTH = 20
"""Nesting depth of brackets in an answer: the parser of math-verify needs about 0.1 s per level."""

_LAST = 100
"""How many announcements of an answer to look at, from the end of the text."""

_NEAR = 2000
"""Characters after an announcement in which the answer must be."""

_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])\s*+(?:(?P<open>\{)|(?P<bare>\w))|\\.|[{}]", re.DOTALL)
_BETWEEN_BOXES = re.compile(r"[\s$.,;()\[\]\\]*+(?:and|or)?[\s$()\[\]\\]*+")
_ANNOUNCED = re.compile(
    r"""\b(?:(?P<final>final)\s++)?+answers?+
            (?: (?:\s++[\w'-]++){0,6}?\s++(?:is|are|equals)\b  # the answer to the question is
              | [\s*_]*+[:=：]  # **Answer**:
              | (?(final)|(?!)) )  # ### Final Answer
        | 答案[是为]?
        | ^[ \t]*+(?P<line>(?-i:A):|\#{4}(?!\#))""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_FORMULA = r"""(?: \$\$(?:\\.|[^$\\])++\$\$ | \$(?:\\[^\n]|[^$\\\n])++\$(?!\d)
                  | \\\((?:(?!\\\)).)*+\\\) | \\\[(?:(?!\\\]).)*+\\\] )"""
_FORMULAS = re.compile(
    rf"{_FORMULA}(?:\s*+(?:,|,?\s?and|,?\s?or)\s*+{_FORMULA})*+(?:\s*+\\?%)?", re.DOTALL | re.VERBOSE
)
_SENTENCE_END = re.compile(
    r"\n|(?<!\\)[.!?;。](?=\s|$|[*_])|,?\s(?:because|since)\b|,\s(?:so|which|where|as)\b", re.IGNORECASE
)
_VALUE = re.compile(r"[\d$\\]")
_NO_ANSWER = re.compile(r"(?:in)?correct|right|wrong|helpful|clear|useful|below|above|as follows", re.IGNORECASE)

_AROUND = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"), ("\\boxed{", "}"))
_SIGNS = str.maketrans(
    {"−": "-", "–": "-", "×": r"\times ", "÷": r"\div ", "·": r"\cdot ", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le "}
    | {"≥": r"\ge ", "√": r"\sqrt ", "°": r"^\circ ", "²": "^2", "³": "^3", "％": "%", "，": ",", "\xa0": " "}
    | {"\u202f": " ", "\u2009": " "}
    | {"½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}"}
)
_SPELLINGS = (
    (re.compile(r"\\[dt]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\(?:left|right|[bB]ig[lr]?)(?=[()\[\]|]|\\[{}|])"), ""),
    (re.compile(r"(?<!\\)\\!\s*+"), ""),
    (re.compile(r"(?<!\\)\\(?:[,;: ]|displaystyle(?![a-zA-Z]))|~"), " "),
    (re.compile(r"(?<![\w)}])\*\*|\*\*(?![\w({-])"), ""),
    (re.compile(r"\s++"), " "),
)
_WORDS = re.compile(r"\\(?:text(?:bf|it|rm)?|mbox|math(?:rm|bf|it))\s*+\{([^{}]*+)\}")
_NUMBER = re.compile(
    r"""(?P<before>(?:[a-z][a-z'-]*+,?\s++)*+) [$€£¥₹]?\s?(?P<sign>[-+])?\s?[$€£¥₹]?\s?
    (?P<digits>(?:\d{1,3}(?:[, ]\d{3})++(?!\d)|\d++)(?:\.\d++)?|\.\d++)(?P<exponent>e[-+]?\d{1,2}(?!\w))?+
    (?: \s*(?P<percent>%|percent|pct) | \s?[$€£¥₹] | \^\{?\\circ\s?\}?
      | \s*(?P<after>[a-z][a-z'/ -]*+(?:\^\{?[23]\}?)?) )?""",
    re.VERBOSE | re.IGNORECASE,
)
_SHORT_UNITS = {"cm", "mm", "km", "in", "ft", "yd", "mi", "kg", "lb"}
_NO_UNIT = re.compile(
    r"""\b(?: minus | plus | negative | times | over | divided | mod | base | power | squared | cubed | factorial
      | choose | hal(?:f|ves) | thirds? | quarters? | fifths? | hundreds? | thousands? | [mbtr]+illions? | dozens?
      | and | or | not | than | least | most | (?:arc)?(?:sin|cos|tan|cot|sec|csc)h? | log | exp | sqrt | root
      | inf(?:inity)? | lim | max | min | gcd | lcm | det | alpha | beta | gamma | delta | epsilon | theta | lambda
      | sigma | omega | phi | psi | rho | tau )\b""",
    re.VERBOSE | re.IGNORECASE,
)
"""Words that make a number something else than a number with its unit."""

_PLAIN = re.compile(r"-?\d++(?:\.\d++)?")
_CLOSE = Decimal("0.00001")
"""math-verify may take decimals that differ by less for equal: it rounds to 6 places."""


def without_thinking(text: str) -> str:
    """The text outside of thinking. Thinking without a closing mark extends to the end of the text; without an opening
    mark, it started before the text."""
    for opening, closing in THINKING:
        if opening in text or closing in text:
            before, *others = text.split(opening)
            parts = [before, *(part for part in others if closing in part)]
            text = "\n".join(part.rpartition(closing)[2] for part in parts)
    return text


def final_answer(text: str) -> str | None:
    r"""The final answer of a text, as written there; None if it has none.

    That is the content of the last `\boxed{}`; without one, what is announced last (`the answer is 5`,
    `Final Answer: 5`, `#### 5`, `A: 5`); without that, the whole text if it is just a number or a formula.
    """
    if boxed := _boxed(text):
        return boxed
    text, vague = text.strip(), None
    for found in reversed(deque(_ANNOUNCED.finditer(text), _LAST)):
        phrase = _line(text, found) if found["line"] else _phrase(text[found.end() : found.end() + _NEAR])
        if phrase and _VALUE.search(phrase):
            return phrase
        vague = vague or phrase
    if not vague and 0 < len(text) < _NEAR and not text[0].isalpha():
        return text if _FORMULAS.fullmatch(text) or number(_bare(text)) else None
    return vague


def _boxed(text: str) -> str | None:
    """Content of the last box, or of the last few if only commas or `and` separate them."""
    found = _boxes(text)
    parts = [found[-1][2]] if found else []
    for (_, end, content), (start, _, _) in zip(found[-2::-1], found[:0:-1], strict=True):
        if start - end > 20 or not _BETWEEN_BOXES.fullmatch(text, end, start):
            break
        parts += [content] if content != parts[-1] else []
    return ", ".join(reversed(parts)) or None


def _boxes(text: str) -> list[tuple[int, int, str]]:
    """Start, end and content of each box that is closed and not empty. Of nested boxes, only the outermost."""
    boxes: list[tuple[int, int, str]] = []
    opened: list[tuple[int, int] | None] = []
    starts = [start for start in (text.find("\\boxed"), text.find("\\fbox")) if start >= 0]
    for mark in _BOX.finditer(text, min(starts)) if starts else ():
        if mark["bare"]:
            boxes.append((mark.start(), mark.end(), mark["bare"]))
        elif mark["open"] or mark[0] == "{":
            opened.append((mark.start(), mark.end()) if mark["open"] else None)
        elif mark[0] == "}" and opened and (box := opened.pop()):
            while boxes and boxes[-1][0] > box[0]:
                boxes.pop()
            if content := text[box[1] : mark.start()].strip():
                boxes.append((box[0], mark.end(), content))
    return boxes


def _line(text: str, found: re.Match) -> str | None:
    """The rest of a line that starts with `A:` or `####`, if it is the last line, or a number after `####`."""
    end = text.find("\n", found.end())
    line = text[found.end() : end if end >= 0 else None][:_NEAR].strip()
    return line if line and (end < 0 or (found["line"] == "####" and number(_bare(line)))) else None


def _phrase(text: str) -> str | None:
    """The answer in the text that follows an announcement: its formula, or the sentence."""
    text = text.lstrip(" \t\r\n*_:=：#`")
    if formulas := _FORMULAS.match(text):
        return formulas[0]
    end = _SENTENCE_END.search(text)
    phrase = text[: end.start()] if end else text
    inside = list(_FORMULAS.finditer(phrase))
    phrase = inside[0][0] if len(inside) == 1 else phrase.strip(" \t\r*_`")
    return None if _NO_ANSWER.match(phrase) else phrase or None


def reduced(answer: str) -> str:
    r"""An answer in the form that is compared: LaTeX without delimiters. A number with a currency, a unit or other
    words becomes the bare number: `\$1,234` and `1 234 \text{ apples}` are `1234`. Percent is kept.
    """
    bare = _bare(answer.translate(_SIGNS))
    for pattern, spelled in _SPELLINGS:
        bare = pattern.sub(spelled, bare)
    return number(bare) or bare.strip()


def _bare(answer: str) -> str:
    """An answer without the delimiters, emphasis and punctuation around it."""
    before = None
    while answer != before:
        before = answer
        answer = answer.strip().lstrip(":=").rstrip(",;:").strip()
        answer = answer if answer.endswith("\\right.") else answer.rstrip(".")
        for opening, closing in _AROUND:
            inner = answer[len(opening) : -len(closing)]
            whole = answer.startswith(opening) and answer.endswith(closing) and len(answer) > len(opening)
            alone = depth(inner) >= 0 if opening[-1] == "{" else closing not in inner
            if whole and alone and opening not in inner:
                answer = inner
    return answer


def number(answer: str) -> str | None:
    r"""The number in an answer that is nothing else, as `-?digits`, `-?digits.digits`, or either with `\%`. Or None."""
    answer = _WORDS.sub(r" \1 ", answer).replace("\\$", "$").replace("\\%", "%").replace("{,}", ",").strip()
    found = _NUMBER.fullmatch(answer)
    if found is None:
        return None
    for words in filter(None, (found["before"], found["after"])):
        letters = re.findall("[a-z]+", words.lower())
        short = max(map(len, letters)) < 3 and not _SHORT_UNITS.issuperset(letters)
        if short or _NO_UNIT.search(words):
            return None
    digits = found["digits"].replace(",", "").replace(" ", "")
    digits = f"0{digits}" if digits[0] == "." else digits
    if found["exponent"]:
        digits = format(Decimal(digits + found["exponent"]), "f")
    return ("-" if found["sign"] == "-" else "") + digits + ("\\%" if found["percent"] else "")


def depth(answer: str) -> int:
    """Nesting depth of brackets and braces; -1 if braces do not match."""
    open_braces = open_brackets = deepest = 0
    for mark in re.findall(r"\\.|[(\[{}\])]", answer, re.DOTALL):
        open_braces += {"{": 1, "}": -1}.get(mark, 0)
        open_brackets += {"(": 1, "[": 1, ")": -1, "]": -1}.get(mark, 0)
        if open_braces < 0:
            return -1
        deepest = max(deepest, open_braces + max(open_brackets, 0))
    return -1 if open_braces else deepest


def same(gold: str, answer: str) -> bool | None:
    """Whether two reduced answers are equal, if that takes no algebra: identical texts and plain numbers. Else None."""
    if _PLAIN.fullmatch(gold) and _PLAIN.fullmatch(answer):
        if "." not in gold + answer:
            return int(gold) == int(answer)
        if max(len(gold), len(answer)) < 16:
            apart = abs(Decimal(gold) - Decimal(answer))
            return True if not apart else False if apart > _CLOSE else None
    return True if gold == answer and re.search(r"\d", gold) and "box" not in gold else None
