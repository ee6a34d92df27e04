"""What cannot be drawn is told with numbers and with what can be had instead."""

import json
import re
import shutil
from pathlib import Path

import pytest
from calibrations import plain, small, trained_rows  # noqa: F401
from small_tokenizers import small_tokenizer

from curate.calibration.calibrate import calibrate
from curate.errors import CurateError

# Mistakes


def mistake(*args, **options) -> str:
    with pytest.raises(CurateError) as error:
        calibrate(*args, **options)
    assert error.value.fix
    return str(error.value)


def test_mistakes_are_told_with_numbers_and_a_mend(small, plain, tmp_path):
    to = {"to": tmp_path / "none"}
    assert "no recipe `gtpq`" in mistake(small, "gtpq", **to)
    assert "did you mean `gptq`?" in mistake(small, "gtpq", **to)
    assert "recipe `gptq` does not accept --tokens" in mistake(small, "gptq", tokens=9, **to)
    assert "recipe `imatrix` does not accept --sequences" in mistake(small, "imatrix", sequences=9, **to)
    assert "no lock.json" in mistake(tmp_path, **to)
    assert "no token `<end>`" in mistake(small, end="<end>", **to)
    assert "it specifies no tokenizer" in mistake(plain, **to)
    assert "cu_seqlens" in mistake(small, "kernel", sequences=10**9, length=3, **to)
    for recipe, option in (("gptq", "sequences"), ("kernel", "sequences"), ("awq", "length"), ("imatrix", "tokens")):
        for value in (-1, 0, 10**20):
            assert f"--{option} {value} is out of range" in mistake(small, recipe, **{option: value}, **to)
    assert "can be drawn from" in mistake(small, "gptq", sequences=2**31 - 1, length=2**31 - 1, **to)
    (tmp_path / "tokenizer.json").write_text("{")
    assert "is not JSON" in mistake(small, tokenizer=str(tmp_path / "tokenizer.json"), **to)
    (tmp_path / "questions.jsonl").write_text("?")
    assert "cannot read the evaluation set" in mistake(small, against=[str(tmp_path / "questions.jsonl")], **to)
    (tmp_path / "none.jsonl").write_text("")
    assert "the evaluation set is empty" in mistake(small, against=[str(tmp_path / "none.jsonl")], **to)
    longest = max(row["n_tokens"] for row in trained_rows(small))
    said = mistake(small, "gptq", length=longest + 1, join=False, **to)
    assert f"the longest document has {longest:,} tokens, fewer than the {longest + 1:,} of a sequence" in said
    assert f"--length of at most {longest}" in said
    assert not (tmp_path / "none").exists()


def test_too_few_tokens_name_what_can_be_had_and_that_can_be_had(small, tmp_path):
    for recipe, option in (("gptq", "sequences"), ("kernel", "sequences"), ("imatrix", "tokens")):
        said = mistake(small, recipe, **{option: 10**6}, length=500, to=tmp_path / recipe)
        enough = int(re.search(rf"request fewer \(--{option} (\d+)\)", said)[1])
        assert f"{-(-(10**6) // 500) if recipe == 'imatrix' else 10**6:,} sequences of 500 tokens requested" in said
        made = calibrate(small, recipe, **{option: enough}, length=500, to=tmp_path / recipe)
        assert made.lock["counts"]["sequences"] > 10


def test_ids_that_do_not_fit_are_refused(small, tmp_path):
    spec = json.loads(Path(small_tokenizer()).read_text())
    spec["added_tokens"].append(spec["added_tokens"][0] | {"id": 3_000_000_000, "content": "<far>"})
    spec["model"]["vocab"]["<far>"] = 3_000_000_000
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    said = mistake(small, "kernel", tokenizer=str(tmp_path / "tokenizer.json"), to=tmp_path / "none")
    assert "highest id is 3,000,000,000; int32 allows up to 2,147,483,647" in said


def test_a_shard_that_is_gone_or_damaged_is_named(plain, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(plain, broken)
    (shard,) = (broken / "data").glob("*.parquet")
    whole = shard.read_bytes()
    middle = len(whole) // 3
    for damaged in (whole[:-9], whole[:4] + bytes(40) + whole[44:], whole[:middle] + b"?" + whole[middle + 1 :]):
        shard.write_bytes(damaged)
        assert "a shard cannot be read" in mistake(broken, tokenizer=small_tokenizer(), to=tmp_path / "none")
    shard.unlink()
    said = mistake(broken, tokenizer=small_tokenizer(), to=tmp_path / "none")
    assert shard.name in said
    assert "curate verify" in said
