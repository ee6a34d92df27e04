"""The stage verify_math: verdicts and their evidence, hostile answers, processes, and labelled solutions."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from releases import rejected_rows, release, released_rows, write_jsonl, write_manifest

import curate
from curate.base.messages import MESSAGES
from curate.errors import CurateError
from curate.stage_api import find_stage
from curate.stages import _math_process
from curate.testing import check, docs

pytest.importorskip("math_verify")

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
STAGE = find_stage("verify_math")
COLUMNS = ["verified", "final_answer", "gold_answer", "unverifiable"]
SLOW = r"\boxed{(a+b+c+d+e+f)^{200}}"


def table(*pairs: tuple) -> pa.Table:
    """Documents of texts, each with the answer that `meta` holds."""
    return docs(*(text for text, _ in pairs), meta=[json.dumps({"answer": gold}) for _, gold in pairs])


def run(documents: pa.Table, **params) -> pa.Table:
    return STAGE(documents, **STAGE.configure(params))


def verdict(text: str, gold, **params) -> tuple:
    """verified, final_answer, gold_answer, unverifiable and reject of one document."""
    (row,) = run(table((text, gold)), **params).select([*COLUMNS, "reject"]).to_pylist()
    return tuple(row.values())


def test_a_verdict_and_its_reason():
    assert verdict("The answer is 5.", "5") == (True, "5", "5", None, None)
    assert verdict(r"\boxed{\frac{2}{4}}", "0.5") == (True, r"\frac{2}{4}", "0.5", None, None)
    assert verdict("#### 3", "5") == (False, "3", "5", None, "wrong_answer")
    assert verdict(r"\boxed{x+1}", "x+2") == (False, "x+1", "x+2", None, "wrong_answer")
    assert verdict("We do not know.", "5") == (False, None, "5", None, "no_final_answer")
    assert verdict("The answer is 5.", None) == (None, "5", None, "no gold answer", "unverifiable")
    assert verdict("We do not know.", "") == (None, None, None, "no gold answer", "unverifiable")
    why = "math-verify cannot parse the final answer"
    assert verdict(r"\boxed{\frac{}}", "5") == (None, r"\frac{}", "5", why, "unverifiable")


@pytest.mark.parametrize(
    "gold",
    [
        *(18, 18.0, "18", "$18", "18 dollars", r"\$18.00", r"18\text{ dollars}", ["18"], "It is 9 + 9.\n#### 18"),
        *(r"It is $9 + 9 = \boxed{18}$.", "<think>17?</think> The answer is 18."),
    ],
)
def test_forms_of_the_gold_answer(gold):
    assert verdict(r"so she makes \boxed{18} dollars", gold)[0] is True
    assert verdict(r"so she makes \boxed{19} dollars", gold)[4] == "wrong_answer"


@pytest.mark.parametrize("gold", [True, ["18", "19"], {"value": 18}, " "])
def test_what_is_no_gold_answer(gold):
    assert verdict(r"\boxed{18}", gold)[3:] == ("no gold answer", "unverifiable")


def test_where_the_gold_answer_is():
    documents = docs("#### 5", "#### 6", meta=['{"a": {"b": 5}}', '{"c": "7"}'], solution=["#### 5", "#### 5"])
    assert run(documents, gold="meta.a.b|meta.c")["gold_answer"].to_pylist() == ["5", "7"]
    assert run(documents, gold="solution")["verified"].to_pylist() == [True, False]
    assert STAGE.reads(STAGE.configure({"gold": "solution|meta.a"})) == ("text", "messages", "solution", "meta")


def test_only_what_the_assistant_says_last_counts():
    user, wrong = {"role": "user", "content": "#### 6"}, {"role": "assistant", "content": "#### 6"}
    right = {"role": "assistant", "content": "<think>6?</think>#### 5"}
    messages = [[user, right], [user, right, user, wrong], [user, wrong, user, right], [user, right, user], None, []]
    documents = docs(*["#### 5"] * 6, meta=['{"answer": 5}'] * 6)
    documents = documents.append_column("messages", pa.array(messages, MESSAGES))
    found = run(documents)
    assert found["verified"].to_pylist() == [True, False, True, False, True, False]
    assert found["reject"].to_pylist()[3] == "no_final_answer"


def test_mark_keeps_every_document():
    found = run(table(("#### 5", "6"), ("", "6"), ("#### 5", None)), mode="mark")
    assert "reject" not in found.column_names
    assert found["verified"].to_pylist() == [False, False, None]


def test_a_regex_finds_the_answer_instead():
    text = "value = 5; value = 7; the answer is 9; value = "
    assert verdict(text, "7", regex=r"value = (\d*)")[1] == "7"
    assert verdict(text, "7", regex=r"\d+")[1] == "9"
    assert verdict(text, "7", regex="nothing")[4] == "no_final_answer"
    assert verdict("1" + " " * 20_000, "1", regex=r"\d")[1] is None
    assert verdict("\ufdd01\ufdd1 2 \ufdd1", "2", regex=r"\d")[1] == "2"
    with pytest.raises(CurateError, match="not a regular expression of RE2"):
        run(docs().slice(0, 0), regex=r"(\d+")


def test_the_laws_hold():
    pairs = [("The answer is 5.", 5), (r"\boxed{x+1}", "1+x"), (r"\boxed{9^{9^{9}}}", 5), ("", 5), (None, None)]
    check("verify_math", table(*pairs))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("9^{9^{9^9}}", "a number of more than 100,000 digits"),
        (r"10^{10^{10}}!", "a number of more than 100,000 digits"),
        (r"\frac{1}{" * 90 + "1" + "}" * 90, "the final answer is nested more than 20 levels deep"),
        (r"\sqrt{" * 100 + "2" + "}" * 100, "the final answer is nested more than 20 levels deep"),
        ("(" * 500 + ")" * 500, "the final answer is nested more than 20 levels deep"),
        ("9" * 1001, "the final answer has more than 1,000 characters"),
        ("9**9**9**9", "math-verify cannot parse the final answer"),
        (r"\{" * 9 + "$" * 99, "math-verify cannot parse the final answer"),
    ],
)
def test_a_hostile_answer_is_unverifiable_at_once(answer, why):
    start = time.process_time()
    assert verdict(f"\\boxed{{{answer}}}", "5")[3:] == (why, "unverifiable")
    assert verdict("#### 5", answer)[3:] == (why.replace("final", "gold"), "unverifiable")
    assert time.process_time() - start < 10  # what is not refused takes minutes


def test_braces_that_do_not_match():
    assert verdict("The answer is $x}$", "5")[3] == "the final answer has unbalanced braces"


def test_a_slow_answer_costs_itself_alone():
    pairs = [(r"\boxed{1+x}", "x+1"), (SLOW, "3"), (r"\boxed{2+x}", "x+2")]
    found = run(table(*pairs), max_seconds=0.5)
    assert found["verified"].to_pylist() == [True, None, True]
    assert found["unverifiable"].to_pylist() == [None, "the comparison takes more than 0.5 s", None]


def test_a_crash_costs_one_answer_alone(monkeypatch):
    assert verdict(r"\boxed{x+3}", "3+x")[0] is True
    (child,) = _math_process._KEPT.children.values()
    ask = child.ask

    def dies(question, seconds):
        os.kill(child.pid, signal.SIGKILL)
        return ask(question, seconds)

    monkeypatch.setattr(child, "ask", dies)
    assert verdict(r"\boxed{x+4}", "4+x")[3] == "math-verify crashed, or needed more than 1 GiB"
    assert verdict(r"\boxed{x+5}", "5+x")[0] is True


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit memory")
def test_memory_is_limited():
    code = "from curate.stages import _math_process as one\none._limit_memory()\n"
    code += "bytearray(one.MEMORY // 2)\nprint('half')\nbytearray(2 * one.MEMORY)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.stdout == "half\n"
    assert ended.stderr.strip().endswith("MemoryError")


def test_threads_have_processes_of_their_own():
    def one(number: int) -> list:
        return run(table((rf"\boxed{{x+{number}}}", f"{number}+x"), (r"\boxed{y}", f"{number}")), mode="mark")

    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(one, range(30, 36)))
    assert [one["verified"].to_pylist() for one in found] == [[True, False]] * 6


def test_no_process_is_no_fault_of_the_document(monkeypatch):
    monkeypatch.setattr(_math_process, "_KEPT", type("Kept", (), {})())
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(CurateError, match="does not start"):
        verdict(r"\boxed{x+6}", "6+x")


def test_math_verify_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(CurateError, match="not installed") as caught:
        run(table(("#### 5", "5")))
    assert caught.value.fix == 'pip install "curate-corpus[math]"'
    with pytest.raises(CurateError, match="not installed"):
        STAGE.identity(STAGE.configure({}))


def test_answers_in_the_columns_are_cut():
    final, gold = verdict("#### " + "5" * 100, "6" * 100, max_chars=10)[1:3]
    assert (final, gold) == ("5" * 10 + "…", "6" * 10 + "…")


def test_texts_can_be_tried_without_messages():
    found = curate.apply_stages(table(("#### 5", "5"), ("#### 6", "5")), ["verify_math"])
    assert found["reject"].to_pylist() == [None, "verify_math.wrong_answer"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_keeps_the_right_traces_and_records_the_others(tmp_path, workers):
    traces = [("#### 5", "5"), (r"\boxed{1+x}", "x+1"), ("#### 6", "5"), ("?", "5"), (SLOW, "5")]
    write_jsonl(tmp_path / "traces.jsonl", [{"trace": trace, "gold": gold} for trace, gold in traces])
    source = {"inputs": ["traces.jsonl"], "columns": {"text": "trace", "meta": {"answer": "gold"}}}
    document = {"name": "traces", "version": "1.0.0", "license": "cc0-1.0", "sources": {"traces": source}}
    document["stages"] = [{"verify_math": {"max_seconds": 0.5}}]
    made = release(write_manifest(tmp_path / "manifest.yaml", document), tmp_path / "work", workers)
    assert [row["text"] for row in released_rows(made.path)] == ["#### 5", r"\boxed{1+x}"]
    assert [row["verified"] for row in released_rows(made.path)] == [True, True]
    evidence = [[row[name] for name in ("reason", *COLUMNS[1:])] for row in rejected_rows(made.path)]
    slow = "the comparison takes more than 0.5 s"
    assert evidence == [
        ["wrong_answer", "6", "5", None],
        ["no_final_answer", None, "5", None],
        ["unverifiable", SLOW[7:-1], "5", slow],
    ]


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
def test_labelled_solutions_get_the_label():
    path = DATA / "posttrain" / "gsm8k" / "example_model_solutions.even.jsonl"
    problems = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:200]]
    solved = [
        (one, problem["ground_truth"]) for problem in problems for one in problem.values() if isinstance(one, dict)
    ]
    found = run(table(*((one["solution"], gold) for one, gold in solved)), mode="mark")["verified"].fill_null(False)
    wrong = [one for (one, _), said in zip(solved, found.to_pylist(), strict=True) if one["is_correct"] != said]
    assert len(solved) == 800
    assert len(wrong) <= 8, wrong
