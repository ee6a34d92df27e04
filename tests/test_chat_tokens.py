"""Conversations to token shards: masks beside the ids, conversations in one piece, and what is left out."""

from itertools import pairwise

import numpy as np
import pytest
from chat_templates import CHATML, CONVERSATIONS, GENERATION, THINKING, chat_table, chat_tokenizer, said, write_config
from releases import one_source, rows
from token_readers import documents, from_mds, from_npy

from curate.engine.job import Job
from curate.engine.jobs import run_job
from curate.engine.store import Store, Writer
from curate.engine.token_tasks import left_out, sequence_blocks, token_blocks
from curate.errors import CurateError, ManifestError
from curate.manifest.manifest import load
from curate.models import tokenizer as tokenizers
from curate.tokens import chat
from curate.tokens.chat_process import RenderingProcess
from curate.tokens.chat_rows import ChatEncoder
from curate.tokens.requested import Tokens, encoding
from curate.tokens.trainer_formats import read_mds, read_npy, write_mds, write_mds_index, write_npy

CONTEXT = 64
LONG = said(("user", "go on " * 60), ("assistant", "on and on " * 40))
TALKS = [*CONVERSATIONS, LONG, None, [], *CONVERSATIONS]


def settings(folder, template=GENERATION, **more):
    return {
        "tokenizer": chat_tokenizer(),
        "chat_template": str(write_config(folder, template)),
        "context": CONTEXT,
    } | more


class Made:
    """The parts of a shard of these rows."""

    def __init__(self, folder, table, **tokens):
        self.tokens, self.store = Tokens(**tokens), Store(folder / "store")
        with self.store.commit("a" * 32) as (draft, _), Writer(draft) as writer:
            for start in range(0, table.num_rows, 4):
                writer.write(table.slice(start, 4))
        self.encoding, files = encoding(self.tokens)
        where = {digest: str(path) for digest, path in files.items()}
        args = {"call": self.encoding.identity, "shard": "a" * 32}
        self.tokenized = run_job(self.store.root, Job("b" * 32, "tokenize", "tokenize", args, where, ()))
        args = {"tokenized": "b" * 32, "context": CONTEXT, "pack": self.tokens.way, "pad": self.encoding.pad}
        args |= {"split": "never"} if self.tokens.leaves_out else {}
        self.packed = run_job(self.store.root, Job("c" * 32, "pack", "pack", args, {}, ()))

    def documents(self):
        """(ids, mask) of each row, as it is tokenized."""
        found = []
        for block in token_blocks(self.store, "b" * 32):
            for start, stop in pairwise(block.offsets.tolist()):
                mask = None if block.mask is None else block.mask[start:stop].tolist()
                found.append((block.ids[start:stop].tolist(), mask))
        return found

    def sequences(self):
        return sequence_blocks(self.store, "c" * 32)

    def left_out(self, context=CONTEXT):
        class Part:
            tokenized = "b" * 32

        return left_out(self.store, Part, context).to_pylist()


def expected(tokens, table):
    """The ids and the mask of each row, by the encoder that is held against `transformers`."""
    files = chat.files(tokens["chat_template"])
    with RenderingProcess(files) as process:
        found = ChatEncoder(tokenizers.load(tokens["tokenizer"]), process, np.empty(0, np.uint32)).encode(table)
    return [(row.ids.tolist(), row.mask.tolist()) for row in found]


def test_masks_lie_beside_the_ids(tmp_path):
    table, tokens = chat_table(TALKS), settings(tmp_path)
    made = Made(tmp_path, table, **tokens)
    wanted = expected(tokens, table)
    assert made.documents() == wanted
    assert made.tokenized["trained"] == sum(sum(mask) for _, mask in wanted)
    kept = [one if len(one[0]) <= CONTEXT else ([], []) for one in wanted]
    name = made.store.root / "tokens" / "x"
    name.parent.mkdir()
    count = made.packed["sequences"]
    write_npy(name, "uint16", CONTEXT, count, made.sequences(), True)
    write_mds(name, "uint16", CONTEXT, made.sequences(), True)
    write_mds_index(name.parent)
    ids, pieces = from_npy(made.store.root, "x")
    mask = np.load(f"{name}-mask.npy")
    assert (mask.dtype, mask.shape) == (np.uint8, (count, CONTEXT))
    assert documents(ids, pieces, len(TALKS)) == [ids for ids, _ in kept]
    assert documents(mask, pieces, len(TALKS)) == [mask for _, mask in kept]
    assert int(mask.sum()) == made.packed["trained"]
    masks = []
    samples = list(from_mds(name.parent, masks))
    assert np.array_equal(mask, masks)
    assert np.array_equal(ids, [tokens for tokens, _ in samples])
    for again in (read_npy(name), read_mds(name, "uint16", CONTEXT, True)):
        assert np.array_equal(again.tokens, ids)
        assert np.array_equal(again.mask, mask)
        assert np.array_equal(again.pieces, pieces)


def test_no_conversation_is_split_unless_told(tmp_path):
    table = chat_table(TALKS)
    whole = Made(tmp_path / "whole", table, **settings(tmp_path))
    assert (whole.tokens.way, whole.tokens.splits) == ("best-fit", "never")
    assert (whole.packed["cut"], whole.packed["left_out"]) == (0, {"longer_than_context": 1})
    assert whole.packed["longest"] <= CONTEXT
    length = len(whole.documents()[4][0])
    assert whole.left_out() == [
        {"document": 4, "reason": "longer_than_context", "detail": f"{length} tokens"},
        {"document": 6, "reason": "no_messages", "detail": "the row has no `messages`, or none in it"},
    ]
    assert [row["document"] for row in whole.left_out(None)] == [6]
    cut = Made(tmp_path / "cut", table, **settings(tmp_path, split="when_longer"))
    assert (cut.packed["cut"], "left_out" in cut.packed) == (1, False)
    assert cut.packed["tokens"] == whole.packed["tokens"] + length
    told = Made(tmp_path / "told", table, **settings(tmp_path, pack="concat"))
    assert told.packed["cut"] >= 1


def test_rows_that_cannot_be_rendered_are_counted(tmp_path):
    made = Made(tmp_path, chat_table(CONVERSATIONS), **settings(tmp_path, THINKING))
    assert made.tokenized["left_out"] == {"not_a_prefix": 1}
    assert made.tokenized["documents"] == len(CONVERSATIONS)


def test_without_a_mask_all_is_trained_on(tmp_path):
    made = Made(tmp_path, chat_table(CONVERSATIONS), **settings(tmp_path, THINKING, train_on="all"))
    assert "left_out" not in made.tokenized
    assert "trained" not in made.packed
    assert all(ids and mask is None for ids, mask in made.documents())
    assert next(made.sequences()).mask is None


def test_eos_is_after_texts_and_not_after_conversations(tmp_path):
    made = Made(tmp_path, chat_table([CONVERSATIONS[0], None]), **settings(tmp_path, CHATML, eos="</s>"))
    end = tokenizers.load(chat_tokenizer()).id_of("</s>")
    (talk, _), (text, mask) = made.documents()
    assert (end in talk, text[-1], mask[-1]) == (False, end, 1)


def test_the_template_is_part_of_the_encoding(tmp_path):
    def identity(**more):
        return encoding(Tokens(**more))[0].identity

    plain = identity(tokenizer=chat_tokenizer(), context=8)
    assert "chat" not in plain
    assert plain["packages"].keys() == {"tokenizers", "tokie"}
    one = identity(**settings(tmp_path / "one"))
    assert one["packages"].keys() == {"tokenizers", "tokie", "jinja2"}
    assert identity(**settings(tmp_path / "again")) == one
    others = [
        settings(tmp_path / "other", CHATML),
        settings(tmp_path / "one", train_on="all"),
        settings(tmp_path / "one", date="2024-07-26"),
        settings(tmp_path / "bos")
        | {"chat_template": str(write_config(tmp_path / "bos", GENERATION, bos_token="</s>"))},
    ]
    assert all(identity(**other) != one for other in others)


MISTAKES = {
    "a mask for Megatron": ({"formats": ["npy", "megatron"]}, "Megatron-LM does not read a mask"),
    "concat without splits": ({"pack": "concat", "split": "never"}, "needs sequences packed by `best-fit`"),
    "splits without sequences": (
        {"formats": ["megatron"], "train_on": "all", "split": "never"},
        "needs sequences packed",
    ),
    "train_on alone": ({"chat_template": None, "train_on": "all"}, "`train_on` needs a chat template"),
    "date alone": ({"chat_template": None, "date": "2024-07-26"}, "`date` needs a chat template"),
}


def manifest(folder, tokens):
    tokens = {name: value for name, value in tokens.items() if value is not None}
    return one_source(folder, rows(1, 20), [], tokens=tokens)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_of_the_manifest(tmp_path, mistake):
    given, words = MISTAKES[mistake]
    with pytest.raises(ManifestError, match=words):
        load(manifest(tmp_path, settings(tmp_path) | given))


def test_a_template_for_no_conversations_is_a_mistake(tmp_path):
    from curate.inspect.status import plan

    with pytest.raises(ManifestError, match="no source has `messages`"):
        plan(manifest(tmp_path, settings(tmp_path)), tmp_path / "work")


@pytest.mark.parametrize(
    ("template", "more", "words"),
    [
        ("{% if %}", {}, "not valid Jinja2"),
        ("{{ strftime_now('%Y') }}", {}, "date: 2025-01-31"),
        ("{{ bos_token }}", {"bos_token": "<nowhere>"}, "writes `<nowhere>`, which the tokenizer does not have"),
    ],
)
def test_what_is_wrong_with_a_template_is_said_before_anything_runs(tmp_path, template, more, words):
    tokens = settings(tmp_path) | {"chat_template": str(write_config(tmp_path, template, **more))}
    with pytest.raises(CurateError) as caught:
        encoding(Tokens(**tokens))
    assert words in str(caught.value)
    assert caught.value.where == "chat_template"
