"""How well and how fast `verify_math` tells right from wrong answers, beside math-verify called directly.

    python tests/bench/verify_math.py [--json]

agree         of MATH-500's solutions, the share that is verified against the problem's answer
false_accept  the share that is verified against the answer of another problem, where both are not written alike
gsm8k_agree   of four models' solutions of GSM8K problems, the share of which is said what their label says
rows_per_s    over all three, and for each; `math_verify_...` is the same of `verify(parse(gold), parse(solution))`
disagreements with GSM8K's labels, the first ones: gold answer, final answer, why it is unverifiable
"""

import argparse
import json
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from math_verify import parse, verify

from curate.stage_api import find_stage
from curate.stages._math_answers import reduced
from curate.testing import docs

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

Rows = list[tuple[str, str]]
"""Solutions, each with the gold answer or solution."""


def math500() -> tuple[Rows, Rows]:
    """Solutions with their answers, and with those of other problems."""
    table = pq.read_table(DATA / "eval" / "math500.parquet").to_pylist()
    right = [(row["solution"], row["answer"]) for row in table]
    order = list(range(len(right)))
    random.Random(0).shuffle(order)
    others = zip(order, order[1:] + order[:1], strict=True)
    wrong = [(right[one][0], right[other][1]) for one, other in others if not alike(right[one][1], right[other][1])]
    return right, wrong


def alike(one: str, other: str) -> bool:
    return reduced(one).replace(" ", "") == reduced(other).replace(" ", "")


def gsm8k() -> tuple[Rows, np.ndarray]:
    """Solutions with the problem's own, and whether they are right."""
    rows, labels = [], []
    path = DATA / "posttrain" / "gsm8k" / "example_model_solutions.even.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines():
        problem = json.loads(line)
        for one in problem.values():
            if isinstance(one, dict):
                rows.append((one["solution"], problem["ground_truth"]))
                labels.append(one["is_correct"])
    return rows, np.array(labels)


def ours(rows: Rows) -> pa.Table:
    stage = find_stage("verify_math")
    table = docs(*(text for text, _ in rows), meta=[json.dumps({"answer": gold}) for _, gold in rows])
    return stage(table, **stage.configure({"mode": "mark"}))


def theirs(rows: Rows) -> list[bool]:
    """As its documentation calls it: LaTeX in dollars, solutions as they are."""
    golds = [gold if "A:" in gold else f"${gold}$" for _, gold in rows]
    return [verify(parse(gold), parse(text)) for gold, (text, _) in zip(golds, rows, strict=True)]


def verified(rows: Rows) -> np.ndarray:
    return np.array(ours(rows)["verified"].fill_null(False).to_pylist(), bool)


def shares(judge: Callable[[Rows], list[bool] | np.ndarray]) -> dict:
    (right, wrong), (solutions, labels) = math500(), gsm8k()
    found, rates, seconds = {}, {}, 0.0
    for name, rows in {"math500": right, "math500_shuffled": wrong, "gsm8k": solutions}.items():
        start = time.perf_counter()
        found[name] = np.array(judge(rows), bool)
        took = time.perf_counter() - start
        seconds, rates[name] = seconds + took, round(len(rows) / took, 1)
    return {
        "agree": round(float(found["math500"].mean()), 4),
        "false_accept": round(float(found["math500_shuffled"].mean()), 4),
        "gsm8k_agree": round(float((found["gsm8k"] == labels).mean()), 4),
        "rows_per_s": round(sum(map(len, found.values())) / seconds, 1),
        "rows_per_s_of": rates,
    }


def disagreements() -> list[dict]:
    rows, labels = gsm8k()
    table = ours(rows)
    other = np.array(table["verified"].fill_null(False).to_pylist(), bool) != labels
    names = ["gold_answer", "final_answer", "unverifiable"]
    return table.select(names).filter(pa.array(other)).slice(0, 20).to_pylist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.disable()
    verified([("#### 1", "2"), ("$x$", "y")])  # the process that runs math-verify begins
    result = shares(verified) | {f"math_verify_{name}": value for name, value in shares(theirs).items()}
    result["disagreements"] = disagreements()
    print(json.dumps(result) if options.json else json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
