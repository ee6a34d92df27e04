"""Documents are counted in the tokens of any tokenizer, as `tokenizers` counts them."""

import gzip
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import KINDS, LINES, small_tokenizer
from texts import texts
from tokenizers import Tokenizer

from curate.errors import CurateError
from curate.models import tokenizer as module
from curate.models.tokenizer import Tokenizer as Ours
from curate.stage_api import find_stage
from curate.stages.tokens import tokens
from curate.testing import ODD_TEXTS, docs

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def counts(path, *texts):
    return tokens(docs(*texts), tokenizer=str(path))["n_tokens"].to_pylist()


def expected(path, texts):
    oracle = Tokenizer.from_file(str(path))
    oracle.no_truncation()
    oracle.encode_special_tokens = True
    return [len(oracle.encode(text or "", add_special_tokens=False)) for text in texts]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_tokenizer(kind):
    path = small_tokenizer(kind)
    odd = [text and text[:2000] for text in ODD_TEXTS]
    given = [*LINES, " ".join(LINES) * 5, "a <ss> b<unknown>", "\tthat's\t'tis\t’s\r\n\f a", *odd]
    assert counts(path, *given) == expected(path, given)


@pytest.mark.parametrize("kind", ["gpt2", "llama3"])
def test_byte_level_tokenizers_are_counted_the_fast_way(kind):
    assert Ours(Path(small_tokenizer(kind))).fast


@settings(deadline=None)
@given(st.sampled_from(KINDS), st.lists(st.none() | texts | st.text(" \n\t\r'sSt1.éß’中😀"), max_size=6))
def test_equals_tokenizers(kind, given):
    path = small_tokenizer(kind)
    assert counts(path, *given) == expected(path, given)


def test_equals_tokenizers_on_real_documents():
    path = DATA / "tokenizers" / "gpt-neox-dolma.json"
    if not path.exists():
        pytest.skip(f"the tokenizer is not here: {path}")
    given = []
    for file in ("dolma/cc_en_head-0091.jsonl", "data-juicer/arxiv.jsonl", "dolma/documents-000.json.gz"):
        opened = gzip.open if file.endswith(".gz") else open
        with opened(DATA / "rows" / file, "rt", encoding="utf-8") as lines:
            given += [json.loads(line)["text"] for line in lines]
    assert sum(map(len, given)) > 200_000
    assert counts(path, *given) == expected(path, given)


class Wrong:
    """A fast tokenizer that is always one off."""

    def count_tokens(self, text):
        return len(text) + 1

    def encode(self, text, add_special_tokens):
        return Encoding([0] * (len(text) + 1))


class Encoding(NamedTuple):
    ids: list[int]


def test_how_a_text_is_counted_does_not_depend_on_what_it_comes_with():
    counter = Ours(Path(small_tokenizer("gpt2")))
    counter.fast = Wrong()
    texts = [f"{line} {number}" for number in range(60) for line in LINES]
    alone = [counter.count([text])[0] for text in texts]
    assert counter.count(texts) == alone
    assert [len(ids) for ids in counter.encode(texts[::-1])] == alone[::-1]
    right = expected(counter.path, texts)
    assert any(count == exact for count, exact in zip(alone, right, strict=True)), "none was looked at closely"


@pytest.mark.parametrize("kind", KINDS)
def test_a_special_token_that_a_text_spells_is_text(kind):
    ours = Ours(Path(small_tokenizer(kind)))
    special = [ours.id_of("<s>"), ours.id_of("<unk>")]
    for text in ("ends with <s>", "<s><s>", "a<unk>b"):
        (ids,) = ours.encode([text])
        assert special[0] not in ids
        assert ours.count([text]) == [len(ids)]


@settings(deadline=None)
@given(st.sampled_from(KINDS), st.lists(texts | st.text(" \n\t\r'sSt1.éß’中😀"), max_size=6))
def test_ids_are_those_of_tokenizers(kind, given):
    path = small_tokenizer(kind)
    oracle = Tokenizer.from_file(path)
    oracle.no_truncation()
    oracle.encode_special_tokens = True
    found = Ours(Path(path)).encode(given)
    assert [ids.tolist() for ids in found] == [oracle.encode(text, add_special_tokens=False).ids for text in given]
    assert all(ids.dtype == np.uint32 for ids in found)


@pytest.mark.parametrize("pins", [True, False])
@pytest.mark.parametrize("kind", ["gpt2", "llama3"])
def test_long_texts_are_cut_nowhere_else_on_a_machine_of_several_processors(kind, pins, monkeypatch):
    monkeypatch.setattr(module, "_PINS", pins and module._PINS)
    counter, before = Ours(Path(small_tokenizer(kind))), os.sched_getaffinity(0) if module._PINS else None
    given = [" " * 10_000, "a" + " " * 20_001 + "b", "中" * 12_001, "👩\u200d" * 4000, "\u202eم" * 6000, "a\n" * 6000]
    monkeypatch.setattr(counter, "_agree", lambda *_: True)  # no text is counted the other way by chance
    assert counter.count(given) == expected(counter.path, given)
    assert [len(ids) for ids in counter.encode(given)] == expected(counter.path, given)
    assert before is None or os.sched_getaffinity(0) == before


def test_ids_of_special_tokens():
    ours = Ours(Path(small_tokenizer()))
    assert ours.decode(np.array([ours.id_of("<s>")])) == "<s>"
    assert ours.ids == ours.exact.get_vocab_size()
    with pytest.raises(CurateError, match="no token `<z>`") as caught:
        ours.id_of("<z>")
    assert "`<s>`" in caught.value.fix


def test_a_tokenizer_whose_fast_form_fails_the_probes_is_counted_exactly(monkeypatch):
    monkeypatch.setattr(module, "_PROBES", ("\t's",))
    assert Ours(Path(small_tokenizer("llama3"))).fast is None


@pytest.mark.parametrize(
    ("content", "what"), [(b"\x00\xff", "not JSON"), (b"{", "not JSON"), (b"[]", "no `model`"), (b"{}", "no `model`")]
)
def test_what_is_no_tokenizer_is_named(tmp_path, content, what):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(CurateError, match=what) as caught:
        counts(tmp_path / "tokenizer.json", "a")
    assert caught.value.where == str(tmp_path / "tokenizer.json")


def test_the_tokenizer_and_not_its_place_bears_on_identity(tmp_path):
    content = Path(small_tokenizer()).read_bytes()
    (tmp_path / "copy.json").write_bytes(content)
    stage = find_stage("tokens")
    identities = [
        stage.identity(stage.configure({"tokenizer": str(path)}))
        for path in (small_tokenizer(), tmp_path / "copy.json", small_tokenizer("llama3"))
    ]
    assert identities[0] == identities[1] != identities[2]
