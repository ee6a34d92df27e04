"""Calibration sets in the form of each recipe, as their consumers open them."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from calibrations import SMALL, pieces_of, plain, small, trained_rows  # noqa: F401
from datasets import load_dataset
from safetensors.numpy import load_file
from small_tokenizers import small_tokenizer

from curate.calibration.calibrate import calibrate
from curate.models.tokenizer import load

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


# What consumers get


def test_gptq_and_awq_open_as_tensors_and_as_a_dataset(small, tmp_path):
    tokenizer, texts = load(small_tokenizer()), {row["id"]: row["text"] for row in trained_rows(small)}
    for recipe in ("gptq", "awq"):
        made = calibrate(small, recipe, **SMALL, end="<unk>", to=tmp_path / recipe)
        tensors = load_file(made.path / "calibration.safetensors")
        assert {name: (one.shape, one.dtype) for name, one in tensors.items()} == {
            "input_ids": ((24, 64), np.int64),
            "attention_mask": ((24, 64), np.int64),
        }
        assert tensors["attention_mask"].all()
        rows = load_dataset("parquet", data_files=str(made.path / "calibration.parquet"), split="train")
        assert rows.column_names == ["text", "input_ids", "attention_mask", "source"]
        assert rows["input_ids"][:] == tensors["input_ids"].tolist()
        assert rows["attention_mask"][:] == tensors["attention_mask"].tolist()
        assert load_dataset(str(made.path), split="train")[:] == rows[:]  # the card says which file
        pieces = pieces_of(made.path)
        for number, row in enumerate(rows):
            mine = [piece for piece in pieces if piece["sequence"] == number]
            expected = []
            for piece in mine:
                expected += tokenizer.encode([texts[piece["id"]]])[0][piece["start"] : piece["stop"]].tolist()
                expected += [tokenizer.id_of("<unk>")] if len(expected) < 64 else []
            assert row["input_ids"] == expected
            assert row["text"] == tokenizer.decode(np.array(expected))
            assert {piece["source"] for piece in mine} == {row["source"]}


def test_without_joining_every_sequence_is_a_window_of_one_document(small, tmp_path):
    made = calibrate(small, "awq", sequences=24, length=100, join=False, to=tmp_path / "set")
    assert all(piece["stop"] - piece["start"] == 100 <= piece["n_tokens"] for piece in pieces_of(made.path))
    assert made.lock["left_out"]["too_short"] > 0


def test_imatrix_is_text_of_the_size_that_was_asked(small, tmp_path):
    made = calibrate(small, "imatrix", tokens=1000, length=100, to=tmp_path / "set")
    assert made.lock["counts"]["tokens"] == 1000
    texts = (made.path / "calibration.txt").read_text().removesuffix("\n").split("\n\n")
    pieces, known = pieces_of(made.path), {row["id"]: row["text"] for row in trained_rows(small)}
    assert len(texts) == len(pieces)
    for text, piece in zip(texts, pieces, strict=True):
        assert text in known[piece["id"]]
        assert piece["stop"] < piece["n_tokens"] or piece["start"] or text == known[piece["id"]]
    assert len(load(small_tokenizer()).encode(["\n\n".join(texts)])[0]) == pytest.approx(1000, abs=2 * len(pieces))


def test_kernel_holds_what_variable_length_attention_takes(small, tmp_path):
    made = calibrate(small, "kernel", sequences=40, length=50, to=tmp_path / "set")
    tensors = load_file(made.path / "kernel.safetensors")
    ids, lengths = tensors["input_ids"], np.diff(tensors["cu_seqlens"])
    assert {name: one.dtype for name, one in tensors.items()} == {
        "input_ids": np.int32,
        "cu_seqlens": np.int32,
        "max_seqlen": np.int32,
        "token_counts": np.int64,
        "length_edges": np.int64,
        "length_counts": np.int64,
    }
    assert tensors["cu_seqlens"][0] == 0
    assert tensors["cu_seqlens"][-1] == len(ids)
    assert (lengths > 0).all()
    assert tensors["max_seqlen"].shape == ()
    assert tensors["max_seqlen"] == lengths.max() <= 50
    assert tensors["token_counts"].tolist() == [(ids == token).sum() for token in range(load(small_tokenizer()).ids)]
    bins = list(pairwise(tensors["length_edges"].tolist()))
    assert tensors["length_counts"].tolist() == [((lengths >= a) & (lengths < b)).sum() for a, b in bins]
    assert tensors["length_counts"].sum() == 40
    assert [piece["stop"] - piece["start"] for piece in pieces_of(made.path)] == lengths.tolist()


def test_sets_open_in_pytorch(small, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its reading of the sets is not tried")
    from safetensors.torch import load_file as load_tensors

    gptq = load_tensors(calibrate(small, "gptq", **SMALL, to=tmp_path / "gptq").path / "calibration.safetensors")
    assert (gptq["input_ids"].shape, gptq["input_ids"].dtype) == ((24, 64), torch.int64)
    kernel = load_tensors(calibrate(small, "kernel", sequences=20, to=tmp_path / "kernel").path / "kernel.safetensors")
    table = torch.nn.Embedding(len(kernel["token_counts"]), 8)
    parts = torch.nested.nested_tensor_from_jagged(table(kernel["input_ids"]), kernel["cu_seqlens"].long())
    lengths = [len(part) for part in parts.unbind()]
    assert max(lengths) == kernel["max_seqlen"].item()
    assert len(lengths) == 20


def test_a_model_of_transformers_takes_a_batch_as_it_is(small, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: no model is run on a set")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: no model is run on a set")
    from safetensors.torch import load_file as load_tensors

    made = calibrate(small, "gptq", **SMALL, to=tmp_path / "set")
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.LlamaConfig(vocab_size=made.lock["tokenizer"]["ids"], **size, num_key_value_heads=2)
    batch = load_tensors(made.path / "calibration.safetensors")
    with torch.no_grad():
        logits = transformers.LlamaForCausalLM(config)(**batch).logits
    assert logits.shape == (24, 64, config.vocab_size)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(made.path / "tokenizer.json"))
    assert tokenizer.decode(batch["input_ids"][0]) == load(small_tokenizer()).decode(batch["input_ids"][0].numpy())


@pytest.mark.skipif(not SHARED.is_dir(), reason="no real tokenizer and texts in ../shared/data")
def test_with_a_real_tokenizer_every_id_stands_where_the_documents_say(plain, tmp_path):
    tokenizer = str(SHARED / "tokenizers" / "gpt-neox-dolma.json")
    made = calibrate(plain, "gptq", tokenizer=tokenizer, sequences=12, length=128, to=tmp_path / "set")
    assert made.lock["options"]["end"] == "<|endoftext|>"
    ids = load_file(made.path / "calibration.safetensors")["input_ids"]
    end = load(tokenizer).id_of("<|endoftext|>")
    joined = [number for number in range(12) if sum(piece["sequence"] == number for piece in pieces_of(made.path)) > 1]
    assert joined
    assert {number for number in range(12) if end in ids[number]} == set(joined)
