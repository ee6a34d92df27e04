"""From conversations to a release with token shards, and what `curate remove` makes of it."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from chat_releases import CONTEXT, manifest
from chat_templates import GENERATION, chat_tokenizer, write_config
from releases import curate, release
from token_readers import documents, from_mds, from_npy

from curate.models import tokenizer as tokenizers
from curate.release.lock import read_lock, verify
from curate.release.takedown import remove
from curate.tokens import chat
from curate.tokens.chat_process import RenderingProcess
from curate.tokens.chat_rows import ChatEncoder


def expected(path, folder):
    """{name of a shard: (ids, mask) of each row}, nothing for one that is too long."""
    loaded, found = tokenizers.load(chat_tokenizer()), {}
    with RenderingProcess(chat.files(str(folder / "model"))) as process:
        encoder = ChatEncoder(loaded, process, np.array([loaded.id_of("</s>")]))
        for file in sorted((path / "data").iterdir()):
            encoded = encoder.encode(pq.read_table(file))
            found[file.stem] = [
                ([], []) if len(row.ids) > CONTEXT else (row.ids.tolist(), row.mask.tolist()) for row in encoded
            ]
    return found


def held(path, formats):
    """The same of its token shards, from each format."""
    samples, masks = None, []
    if "mds" in formats:
        samples = [tokens for tokens, _ in from_mds(path / "tokens" / "mds", masks)]
    found = {}
    for file in sorted((path / "data").iterdir()):
        ids, pieces = from_npy(path, file.stem)
        mask = np.load(path / "tokens" / f"{file.stem}-mask.npy")
        count = pq.read_metadata(file).num_rows
        found[file.stem] = list(zip(documents(ids, pieces, count), documents(mask, pieces, count), strict=True))
        if samples is not None:
            assert np.array_equal(ids, samples[: len(ids)])
            assert np.array_equal(mask, masks[: len(ids)])
            del samples[: len(ids)], masks[: len(ids)]
    assert not samples
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return folder, release(manifest(folder, formats=["npy", "mds"]), folder / "work").path


def test_token_shards_have_the_conversations_of_their_shards(made):
    folder, path = made
    wanted = expected(path, folder)
    assert held(path, ["npy", "mds"]) == wanted
    assert len(wanted) > 1
    tokens = read_lock(path)["tokens"]
    (split,) = tokens["splits"]
    assert tokens["chat"]["name"] == "tokenizer_config.json"
    assert (tokens["pack"], tokens["split"], split["cut"]) == ("best-fit", "never", 0)
    assert split["left_out"] == {"longer_than_context": 1}
    assert split["trained"] == sum(sum(mask) for shard in wanted.values() for _, mask in shard)
    assert verify(path) == []


def test_it_is_what_transformers_makes(made):
    transformers = pytest.importorskip("transformers", minversion="5", reason="transformers is not installed")
    folder, path = made
    (folder / "model" / "tokenizer.json").write_bytes(Path(chat_tokenizer()).read_bytes())
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(str(folder / "model"))
    for name, shard in held(path, ["npy"]).items():
        for row, (ids, mask) in zip(pq.read_table(path / "data" / f"{name}.parquet").to_pylist(), shard, strict=True):
            if row["messages"] and ids:
                found = theirs.apply_chat_template(row["messages"], return_assistant_tokens_mask=True, return_dict=True)
                assert (ids, mask) == (found["input_ids"], found["assistant_masks"])


def left_out(path):
    """(shard, row, reason) of each document that is left out, and the id that the shard has there."""
    found = []
    for file in sorted((path / "tokens").glob("*-left-out.parquet")):
        name = file.name.removesuffix("-left-out.parquet")
        ids = pq.read_table(path / "data" / f"{name}.parquet")["id"].to_pylist()
        for row in pq.read_table(file).to_pylist():
            assert ids[row["document"]] == row["id"]
            found.append((name, row["document"], row["reason"], row["detail"]))
    return found


def test_what_is_left_out_is_named(made):
    folder, path = made
    ((name, row, reason, detail),) = left_out(path)
    assert reason == "longer_than_context"
    assert expected(path, folder)[name][row] == ([], [])
    assert detail.endswith(" tokens")
    card = (path / "README.md").read_text()
    assert "1 of 46 documents are left out: longer_than_context 1" in card.replace("\\_", "_")
    assert f'mask = np.load("tokens/{sorted(held(path, ["npy"]))[0]}-mask.npy"' in card


@pytest.mark.parametrize("formats", [["npy"], ["mds"], ["npy", "mds"]])
def test_what_is_removed_is_gone_from_masks_too(tmp_path, formats):
    path = release(manifest(tmp_path, formats=formats), tmp_path / "work").path
    ((name, row, *_),) = left_out(path)
    ids = pq.read_table(path / "data" / f"{name}.parquet")["id"].to_pylist()
    (tmp_path / "asked.txt").write_text(next(id for place, id in enumerate(ids) if place != row))
    taken = remove(path, ids=tmp_path / "asked.txt").path
    assert verify(taken) == []
    wanted = expected(taken, tmp_path)
    if "npy" in formats:
        assert held(taken, formats) == wanted
    else:
        masks = []
        found = sum(int((piece[:, 1] - piece[:, 0]).sum()) for _, piece in from_mds(taken / "tokens" / "mds", masks))
        assert found == sum(len(ids) for shard in wanted.values() for ids, _ in shard)
        assert int(np.sum(masks)) == sum(sum(mask) for shard in wanted.values() for _, mask in shard)
    ((_, _, reason, _),) = left_out(taken)
    (split,) = read_lock(taken)["tokens"]["splits"]
    assert (reason, split["left_out"]) == ("longer_than_context", {"longer_than_context": 1})
    assert split["trained"] == sum(sum(mask) for shard in wanted.values() for _, mask in shard)
    (tmp_path / "long.txt").write_text(ids[row])
    last = remove(taken, ids=tmp_path / "long.txt").path
    assert left_out(last) == []
    assert "left_out" not in read_lock(last)["tokens"]["splits"][0]


def test_another_template_tokenizes_again(tmp_path):
    path = manifest(tmp_path)
    first = release(path, tmp_path / "work")
    write_config(tmp_path / "model", GENERATION.replace("content +", "content | upper +"))
    again = release(path, tmp_path / "work")
    assert again.lock["digest"] == first.lock["digest"]
    assert again.lock["tokens"]["chat"] != first.lock["tokens"]["chat"]
    assert held(again.path, ["npy"]) == expected(again.path, tmp_path)


def test_megatron_has_whole_conversations_without_a_mask(tmp_path):
    path = release(manifest(tmp_path, formats=["megatron"], train_on="all", context=None), tmp_path / "work").path
    assert {file.suffix for file in (path / "tokens").iterdir()} == {".bin", ".idx"}
    assert "trained" not in read_lock(path)["tokens"]["splits"][0]


def test_the_plan_says_what_is_left_out(tmp_path):
    done = curate("plan", manifest(tmp_path), "--work", tmp_path / "work")
    assert "documents longer than the context are left out and counted" in done.stdout
