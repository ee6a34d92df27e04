"""How well questions of evaluation sets are found, and how rarely anything else is.

    python tests/bench/decontaminate.py [--json] [--items N]

Items of the evaluation sets in `shared/data/eval` are planted in real pages, one in a page, between two of its
paragraphs, in each of these ways:

verbatim    question and answer, as they are
numbers     with every number changed
unicode     with soft hyphens and other spaces, full-width letters and curly quotes, as pages have them
lines       split over lines of about 40 characters
question    the question alone
answer      the answer alone, where it is a solution of 20 words or more
short       questions of 6 to 12 words, with their answer
code        prompts and solutions of HumanEval

`recall_*` is the share of planted pages that name the set; `recall` the least of them. `precision_*` is the share of
flagged pages that were planted, if one page in ten were: of web text, paragraphs of Wikipedia, documentation and source
code; `clean_flagged` counts the clean pages that were flagged, and `clean` all of them. The same for the plain rules
that others use: one n-gram of 13 words in common (GPT-3), of 8. `mb_s` is text a second, on one core.
"""

import argparse
import gzip
import json
import random
import re
import sys
import sysconfig
import time
from pathlib import Path

import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from curate.stage_api import find_stage
from curate.testing import docs

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SETS = {
    "arc_challenge": ("question", "choices.text"),
    "arc_easy": ("question", "choices.text"),
    "gsm8k_test": ("question", "answer"),
    "hellaswag": ("ctx", "endings"),
    "humaneval": ("prompt", "canonical_solution"),
    "math500": ("problem", "solution"),
    "mmlu_test": ("question", "choices"),
    "openbookqa": ("question_stem", "choices.text"),
    "piqa": ("goal", "sol1"),
    "sciq": ("question", "correct_answer"),
    "social_iqa": ("context", None),
    "winogrande": ("sentence", None),
}
RULES = {
    "balanced": {"rule": "balanced"},
    "strict": {"rule": "strict"},
    "ngrams_13": {"rule": "ngrams", "n": 13},
    "ngrams_8": {"rule": "ngrams", "n": 8},
}
SEED = 20251127


def items() -> list[dict]:
    """{set, question, answer} of each item."""
    found = []
    for name, (question, answer) in SETS.items():
        for row in pq.read_table(SHARED / "eval" / f"{name}.parquet").to_pylist():
            said = row[answer] if isinstance(row.get(answer), str) else _choice(row)
            found.append({"set": name, "question": row[question], "answer": str(said or "")})
    return found


def _choice(row: dict) -> str:
    """The right one of the choices."""
    choices = row.get("choices")
    if isinstance(choices, list):
        return choices[int(row["answer"])]
    if isinstance(choices, dict):
        return dict(zip(choices["label"], choices["text"], strict=True)).get(row["answerKey"], "")
    if "endings" in row:
        return row["endings"][int(row["label"])]
    return row.get("option" + str(row.get("answer")), "") or row.get(
        "answer" + "ABC"[int(row.get("label") or 1) - 1], ""
    )


def planted(chance: random.Random, count: int) -> dict[str, list[tuple[str, str]]]:
    """{kind: (set, text to plant)}"""
    everything = items()
    prose = [one for one in everything if one["set"] != "humaneval" and _words(one["question"]) >= 13]
    code = [one for one in everything if one["set"] == "humaneval"]
    short = [one for one in everything if 6 <= _words(one["question"]) <= 12 and one["answer"]]
    numbered = [one for one in prose if re.search(r"\d", one["question"])]
    solved = [one for one in prose if _words(one["answer"]) >= 20]

    def some(of: list[dict], change) -> list[tuple[str, str]]:
        return [(one["set"], change(one)) for one in chance.sample(of, min(count, len(of)))]

    def both(one: dict) -> str:
        return f"{one['question']}\n{one['answer']}"

    return {
        "verbatim": some(prose, both),
        "numbers": some(numbered, lambda one: re.sub(r"\d+", lambda n: str(chance.randrange(2, 999)), both(one))),
        "unicode": some(prose, lambda one: _odd(chance, both(one))),
        "lines": some(prose, lambda one: re.sub(r"(.{30,40}?) ", "\\1\n", both(one))),
        "question": some(prose, lambda one: one["question"]),
        "answer": some(solved, lambda one: one["answer"]),
        "short": some(short, both),
        "code": some(code, both),
    }


def _words(text: str) -> int:
    return len(re.findall(r"\w+", text))


def _odd(chance: random.Random, text: str) -> str:
    """The same text as typesetters and web pages write it."""
    text = re.sub(r"(\w{4})(\w{3})", lambda m: m[1] + ("\u00ad" if chance.random() < 0.5 else "") + m[2], text)
    text = text.replace("'", "\u2019").replace('"', "\u201d").replace("fi", "\ufb01")
    text = re.sub(" ", lambda _: chance.choice([" ", "\u00a0", "  ", "\u2009", "\u200b "]), text)
    return "".join(chr(ord(c) + 0xFEE0) if c in "0123456789" else c for c in text)


def clean() -> dict[str, list[str]]:
    """Pages that hold no item, by kind."""
    rows = [json.loads(line).get("text") for line in _lines(sorted((SHARED / "rows").rglob("*.json*")))]
    rows = [text for text in rows if isinstance(text, str) and len(text) > 500]
    code = [_read(path) for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))[:3000:2]]
    manuals = [_read(path) for path in sorted(Path("/usr/share/doc").rglob("*")) if path.is_file()][:1500]
    return {
        "text": rows[:4000],
        "code": [text for text in code if len(text) > 500],
        "subjects": _subjects(),
        "documentation": [text for text in manuals if len(text) > 500],
    }


def _subjects() -> list[str]:
    """What questions are about: paragraphs of Wikipedia, which BoolQ quotes. Its questions are not searched for."""
    passages = pq.read_table(SHARED / "eval" / "boolq.parquet")["passage"].to_pylist()
    return [text for text in passages if len(text) > 200]


def _lines(paths: list[Path]):
    for path in paths:
        if ".jsonl" in path.name or path.name.endswith(".json.gz"):
            opened = gzip.open if path.suffix == ".gz" else open
            with opened(path, "rt", encoding="utf-8") as lines:
                yield from (line for line in lines if '"text"' in line)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def measure(count: int, rules: dict[str, dict]) -> dict:
    chance = random.Random(SEED)
    pages = clean()
    hosts = [text for text in pages["text"] if text.count("\n") > 2]
    sets = {
        name: {"path": str(SHARED / "eval" / f"{name}.parquet"), "columns": [question], **({"answer": a} if a else {})}
        for name, (question, a) in SETS.items()
    }
    stage, figures = find_stage("decontaminate"), {}
    cases = planted(chance, count)
    for rule, params in rules.items():
        old = params["rule"] == "ngrams"
        given = {name: {k: v for k, v in one.items() if not (old and k == "answer")} for name, one in sets.items()}
        params = stage.configure({"sets": given} | params)
        stage(docs("warm"), **params)
        flagged, total, size, begin = {}, 0, 0, time.process_time()
        for kind, texts in pages.items():
            out = stage(docs(*texts), **params)["reject"]
            flagged[kind] = len(texts) - out.null_count
            total += len(texts)
            size += sum(len(text.encode()) for text in texts)
        figures[f"{rule}_mb_s"] = round(size / 1e6 / (time.process_time() - begin), 1)
        figures |= {f"{rule}_clean_flagged": flagged, "clean": total}
        recalls = []
        for kind, plants in cases.items():
            texts = []
            for _, item in plants:
                lines = chance.choice(hosts).split("\n")
                at = chance.randrange(len(lines) + 1)
                texts.append("\n".join([*lines[:at], item, *lines[at:]]))
            out = stage(docs(*texts), **params)["reject"].to_pylist()
            recalls.append(sum(reason is not None for reason in out) / len(plants))
            figures[f"{rule}_recall_{kind}"] = round(recalls[-1], 3)
        false = sum(flagged.values()) / total
        figures[f"{rule}_recall"] = round(min(recalls), 3)
        mean = sum(recalls) / len(recalls)
        figures[f"{rule}_precision"] = round(0.1 * mean / (0.1 * mean + 0.9 * false), 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--items", type=int, default=300, help="planted items of each kind")
    parser.add_argument("--rules", nargs="*", default=list(RULES), choices=list(RULES))
    args = parser.parse_args()
    figures = measure(args.items, {name: RULES[name] for name in args.rules})
    print(json.dumps(figures) if args.json else "\n".join(f"{name:40}{value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
