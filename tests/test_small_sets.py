"""The rules by which s1K and LIMO were selected, over columns that rows bring."""

from releases import rejected_rows, release, released_rows, write_jsonl, write_manifest


def made(tmp_path, pipeline: str, count: int, rows: list[dict]):
    write_jsonl(tmp_path / "pool.jsonl", rows)
    source = {"inputs": ["pool.jsonl"], "layout": "prompt-completion", "pipeline": pipeline}
    source |= {"set": {"select.count": count}}
    document = {"name": "small", "version": "1.0.0", "license": "cc0-1.0", "sources": {"pool": source}}
    path = release(write_manifest(tmp_path / "m.yaml", document), tmp_path / "work").path
    answers = sorted(row["messages"][-1]["content"] for row in released_rows(path))
    return answers, sorted(row["reason"] for row in rejected_rows(path))


def row(question: str, answer: str, **values) -> dict:
    return {"prompt": question, "completion": answer, **values}


def test_domains_take_turns_in_hard_questions(tmp_path):
    rows = [
        row("a", "long answer of algebra", solved=False, domain="algebra"),
        row("b", "short", solved=False, domain="algebra"),
        row("c", "longest answer of all, of algebra", solved=True, domain="algebra"),
        row("d", "of rings", solved=False, domain="rings"),
        row("D!", "of", solved=False, domain="rings"),
        row("e", "nobody tried", domain="rings"),
        row("f", "<think>cut", solved=False, domain="rings"),
    ]
    answers, reasons = made(tmp_path, "s1k", 2, rows)
    assert answers[0] == "long answer of algebra"
    assert answers[1] in ("of", "of rings"), "either is of the same question"
    assert reasons == ["duplicate_text", "not_selected", "too_easy", "unbalanced_think", "untried"]


def test_the_best_answers_to_what_is_rarely_solved(tmp_path):
    rows = [
        row("a", "good", solved=1, quality=0.9),
        row("a", "better", solved=1, quality=0.95),
        row("b", "fair", solved=3, quality=0.5),
        row("c", "poor", solved=2, quality=0.1),
        row("d", "easy", solved=4, quality=1.0),
        row("e", "hard", solved=0, quality=1.0),
        row("f", "unknown", quality=1.0),
    ]
    answers, reasons = made(tmp_path, "limo", 2, rows)
    assert answers == ["better", "fair"]
    assert reasons == ["duplicate_text", "not_selected", "too_easy", "too_hard", "too_hard"]
