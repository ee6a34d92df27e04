"""All signals in plain Python: slow, and like their definitions."""

import re
import unicodedata
from collections import Counter

from curate.kernels.characters import (
    MARK,
    TERMINAL,
    character_classes,
)
from curate.kernels.signal_table import SIGNALS

WORDS = re.compile(r"\w+|[^\w\s]")
CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
EMPTY = dict.fromkeys((signal.name for signal in SIGNALS), 0)


# --- the reference


def has(character: str, flag: int) -> bool:
    return bool(character_classes()[ord(character)] & flag)


def over(count: float, whole: float) -> float:
    return count / whole if whole else 0.0


def length(parts) -> int:
    return sum(map(len, parts))


def repeats(parts: list[str]) -> list[str]:
    return [part for i, part in enumerate(parts) if part in parts[:i]]


def copies(parts: list[str]) -> list[str]:
    return [part for part in parts if parts.count(part) > 1]


def n_grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def duplicate_n_gram_characters(words: list[str], n: int) -> int:
    seen, total, i = set(), 0, 0
    while i + n <= len(words):
        gram = "".join(words[i : i + n])
        total += len(gram) if gram in seen else 0
        i += n if gram in seen else 1
        seen.add(gram)
    return total


def top_n_gram_characters(words: list[str], n: int) -> int:
    counts = Counter(n_grams(words, n))
    top = max(counts, key=counts.get, default=())
    return len(" ".join(top)) * counts[top]


def dclm_top_n_gram_characters(words: list[str], n: int) -> int:
    counts = Counter(n_grams(words, n))
    most = max(counts.values(), default=0)
    return max((length(gram) * most for gram, count in counts.items() if count == most > 1), default=0)


def dclm_covered_characters(words: list[str], n: int) -> int:
    grams = n_grams(words, n)
    counts = Counter(grams)
    covered = {k for i, gram in enumerate(grams) if counts[gram] > 1 for k in range(i, i + n)}
    return length(words[k] for k in covered)


def sentences(line: str) -> int:
    count, ended = 1, False
    for word in WORDS.findall(line):
        if len(word) == 1 and has(word, TERMINAL):
            ended = True
        elif ended and any(unicodedata.category(character)[0] != "P" for character in word):
            count, ended = count + 1, False
    return count


def c4(text: str, terminal: bool) -> dict[str, int]:
    lines = 0
    found = {"n_lines": 0, "n_sentences": 0, "n_lorem_ipsum_lines": 0, "n_curly_bracket_lines": 0}
    for line in map(str.strip, text.splitlines()):
        bare = CITATION.sub("", line)
        ends = bare.endswith((".", "?", "!", '"', "'")) and not bare.endswith("...")
        words = line.split()
        if max(map(len, words), default=0) > 1000 or len(words) < 3 or (terminal and not ends):
            continue
        small = bare.lower()
        found["n_lorem_ipsum_lines"] += "lorem ipsum" in small
        if "javascript" in small:
            continue
        found["n_curly_bracket_lines"] += "{" in line
        if not any(phrase in small for phrase in POLICY):
            lines += 1
            found["n_sentences"] += sentences(line)
    return found | {"n_lines": lines}


def reference(text: str, stop_words: set[str], short_line: int = 30) -> dict[str, float]:
    if not text:
        return EMPTY
    spans = WORDS.findall(text)
    words = [word for word in spans if not all(has(character, MARK) for character in word)]
    plain = text.split()
    lines = text.splitlines()
    runs = re.split(r"\n+", text)
    filled = [line for line in text.split("\n") if line.strip()]
    stripped = [line.strip() for line in filled]
    paragraphs = re.split(r"\n{2,}", text.strip())
    filled_paragraphs = [part.strip() for part in paragraphs if part.strip()]
    dclm_words = [word for word in spans if word[0].isalnum()]
    dots = text.count("...") + text.count("…")
    bare = [CITATION.sub("", line).lower() for line in lines]
    dclm_ends = ("...", ". . .", "…")

    def share(test) -> float:
        return sum(map(test, text)) / len(text)

    found = {
        "n_characters": len(text),
        "letter_share": share(str.isalpha),
        "digit_share": share(lambda c: c.isnumeric() or c.isdigit()),
        "upper_case_share": share(str.isupper),
        "punctuation_share": share(lambda c: unicodedata.category(c)[0] == "P"),
        "white_space_share": share(str.isspace),
        "alphanumeric_share": share(str.isalnum),
        "n_lines": len(lines),
        "max_line_length": max(map(len, lines)),
        "mean_line_length": over(length(lines), len(lines)),
        "n_words": len(words),
        "n_words_and_marks": len(spans),
        "mean_word_length": over(length(words), len(words)),
        "letter_word_share": over(sum(any(map(str.isalpha, word)) for word in spans), len(spans)),
        "n_stop_words": len(stop_words & set(spans)),
        "hash_ratio": over(text.count("#"), len(spans)),
        "ellipsis_ratio": over(dots, len(spans)),
        "bullet_line_share": over(sum(line.lstrip().startswith(("•", "-")) for line in lines), len(lines)),
        "ellipsis_line_share": over(sum(line.rstrip().endswith(("...", "…")) for line in lines), len(lines)),
        "n_paragraphs": len(filled_paragraphs),
        "duplicate_line_share": over(len(repeats(runs)), len(runs)),
        "duplicate_line_character_share": over(length(repeats(runs)), len(text)),
        "duplicate_paragraph_share": over(len(repeats(paragraphs)), len(paragraphs)),
        "duplicate_paragraph_character_share": over(length(repeats(paragraphs)), len(text)),
        "n_lorem_ipsum_lines": sum("lorem ipsum" in line for line in bare),
        "n_curly_bracket_lines": sum("{" in line for line in lines),
        "n_javascript_lines": sum("javascript" in line for line in bare),
        "n_policy_lines": sum(any(phrase in line for phrase in POLICY) for line in bare),
        "n_long_word_lines": sum(max(map(len, line.split()), default=0) > 1000 for line in lines),
        "n_few_word_lines": sum(len(line.split()) < 3 for line in lines),
        "newline_ratio": over(text.count("\n"), len(spans)),
        "n_newline_lines": len(filled),
        "terminal_line_share": over(sum(has(line[-1], TERMINAL) for line in filled), len(filled)),
        "short_line_share": over(sum(len(line) <= short_line for line in filled), len(filled)),
        "duplicate_newline_line_character_share": over(length(repeats(filled)), len(text.replace("\n", ""))),
        "dclm_n_words": len(dclm_words),
        "dclm_n_plain_words": len(plain),
        "dclm_mean_word_length": over(length(plain), len(plain)),
        "dclm_symbol_ratio": over(text.count("#") + dots + text.count(". . ."), len(plain)),
        "dclm_letterless_word_share": over(sum(not any(map(str.isalpha, word)) for word in plain), len(plain)),
        "dclm_n_stop_words": sum(word.lower() in stop_words for word in plain),
        "dclm_bullet_line_share": over(sum(line.startswith(("●", "•", "*", "-")) for line in stripped), len(filled)),
        "dclm_ellipsis_line_share": over(sum(line.endswith(dclm_ends) for line in stripped), len(filled)),
        "dclm_duplicate_line_share": over(len(copies(stripped)), len(filled)),
        "dclm_duplicate_line_character_share": over(length(copies(stripped)), length(stripped)),
        "dclm_duplicate_paragraph_share": over(len(copies(filled_paragraphs)), len(filled_paragraphs)),
        "dclm_duplicate_paragraph_character_share": over(length(copies(filled_paragraphs)), length(filled_paragraphs)),
    }
    for n in (2, 3, 4):
        found[f"top_{n}_gram_character_ratio"] = over(top_n_gram_characters(spans, n), len(text))
        dclm_top = dclm_top_n_gram_characters(dclm_words, n)
        found[f"dclm_top_{n}_gram_character_ratio"] = over(dclm_top, length(dclm_words))
    for n in range(5, 11):
        found[f"duplicate_{n}_gram_character_share"] = duplicate_n_gram_characters(spans, n) / len(text)
        covered = dclm_covered_characters(dclm_words, n)
        found[f"dclm_duplicate_{n}_gram_character_share"] = over(covered, length(dclm_words))
    for prefix, terminal in (("c4", True), ("c4_any_end", False)):
        found |= {f"{prefix}_{name}": value for name, value in c4(text, terminal).items()}
    return found
