"""The fastText library, which trains the models here, is the oracle; for malformed UTF-8, a reference is."""

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import fasttext
import numpy as np
import pytest
from fasttext_models import (
    MANY,
    TWO,
    WORDS,
    pack,
    trained,  # noqa: F401
)
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import CurateError
from curate.kernels import fasttext as kernels
from curate.models.fasttext_file import load_model
from curate.models.fasttext_model import Classifier, Collapsed, collapse, score_all

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def library_probabilities(library, texts):
    """One {label: probability} a text, as callers of fastText ask for them, without the 1e-5 by which it exceeds 1."""
    labels, probabilities = library.predict([text.replace("\n", " ") for text in texts], k=-1)
    return [
        dict(zip(found, np.minimum(p, 1).tolist(), strict=True)) for found, p in zip(labels, probabilities, strict=True)
    ]


labels = ["</s>", "__label__0", "__label__unknown", "__label__", "_", "<", ">"]
spaces = ["\0", "\v", "\n", "\r\n", "\xa0", "\u2028", "\x1f"]
pieces = st.one_of(st.sampled_from(WORDS + labels + spaces), st.text(max_size=8))
texts = st.builds(lambda gap, parts: gap.join(parts), st.sampled_from(["", " ", "\t"]), st.lists(pieces, max_size=30))


@pytest.mark.parametrize("name", TWO)
@settings(deadline=None, max_examples=30)
@given(batch=st.lists(texts, max_size=5))
def test_collapsed_scores_are_those_of_the_library(trained, name, batch):
    library, path = trained(name)
    scores = collapse(load_model(path), "__label__1").score(*pack(batch))
    expected = [found["__label__1"] for found in library_probabilities(library, batch)]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", [*MANY, "pruned"])
@settings(deadline=None, max_examples=30)
@given(batch=st.lists(texts, min_size=1, max_size=5))
def test_classifier_probabilities_are_those_of_the_library(trained, name, batch):
    library, path = trained(name)
    classifier = Classifier(load_model(path))
    data, offsets = pack(batch)
    probabilities = classifier.probabilities(data, offsets)
    indices, best = classifier.predict(data, offsets)
    for doc, expected in enumerate(library_probabilities(library, batch)):
        found = dict(zip(classifier.labels, probabilities[doc].tolist(), strict=True))
        for label, p in found.items():
            if label in expected:
                assert p == pytest.approx(expected[label], abs=5e-6)
            else:
                assert p < 5e-5  # the library leaves out what is less probable than 1e-5
        assert expected[classifier.labels[indices[doc]]] == pytest.approx(max(expected.values()), abs=1e-6)
        assert best[doc] == pytest.approx(max(expected.values()), abs=2e-5)


def fnv(word, prime=16777619, basis=2166136261):
    for byte in word:
        basis = (basis ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * prime & 0xFFFFFFFF
    return basis


def reference_rows(text, model, dictionary):
    """Rows of the input matrix for a text of any bytes: the rules of fastText's dictionary.cc, plainly."""

    def ngram(h):
        place = h % model.bucket
        row = int(model.prune[place]) if len(model.prune) else model.n_words + place
        return [row] if row >= 0 else []

    for space in b"\n\r\t\v\f\0":
        text = text.replace(bytes([space]), b" ")
    words = [word for word in text.split(b" ") if word]
    words = [*(words[: words.index(b"</s>")] if b"</s>" in words else words), b"</s>"]
    rows, hashes = [], []
    for word in words:
        row = dictionary.get(word, -1)
        if row >= model.n_words or (row < 0 and word.startswith(b"__label__")):
            continue
        rows += [row] if row >= 0 else []
        hashes.append(fnv(word) - (fnv(word) >> 31 << 32))
        if word == b"</s>" or model.bucket == 0 or model.maxn == 0:
            continue
        characters = []
        for byte in b"<" + word + b">":
            if byte & 0xC0 == 0x80:
                characters[-1] += bytes([byte])
            else:
                characters.append(bytes([byte]))
        for i in range(len(characters)):
            for n in range(model.minn, model.maxn + 1):
                if i + n <= len(characters) and not (n == 1 and i in (0, len(characters) - 1)):
                    rows += ngram(fnv(b"".join(characters[i : i + n])))
    for i in range(len(hashes)):
        h = hashes[i] % 2**64
        for j in range(i + 1, min(i + model.word_ngrams, len(hashes))):
            h = (h * 116049371 + hashes[j]) % 2**64
            rows += ngram(h)
    return rows


@pytest.mark.parametrize("name", ["unigrams", "trigrams", "characters", "letters", "pruned"])
@settings(deadline=None, max_examples=30)
@given(batch=st.lists(st.one_of(st.binary(max_size=40), texts.map(str.encode)), max_size=4))
def test_any_bytes_give_the_rows_of_the_reference(trained, name, batch):
    library, path = trained(name)
    model = load_model(path)
    words = [word.encode() for word in library.get_words() + library.get_labels()]
    dictionary = {word: row for row, word in enumerate(words)}
    numbers = np.arange(model.n_rows, dtype=np.float32)[:, None]
    features = collapse(model, "1").features._replace(rows=numbers)
    data, offsets = pack(batch)
    tokens = kernels.tokenize(data, offsets)
    means, counts = kernels.embed(tokens, *kernels.sum_words(data, tokens, features), features)
    expected = [reference_rows(text, model, dictionary) for text in batch]
    assert counts.tolist() == [len(rows) for rows in expected]
    assert means[:, 0] * counts == pytest.approx([sum(rows) for rows in expected], rel=1e-6)


@settings(deadline=None, max_examples=25)
@given(batch=st.lists(texts, min_size=1, max_size=6))
def test_a_text_scores_the_same_alone_and_in_any_batch(trained, batch):
    _, path = trained("letters")
    collapsed = collapse(load_model(path), "1")
    data, offsets = pack(batch)
    together = collapsed.score(data, offsets).tolist()
    assert together == [collapsed.score(*pack([text]))[0] for text in batch]
    assert together == [collapsed.score(data, offsets[i : i + 2])[0] for i in range(len(batch))]


@pytest.mark.parametrize("name", ["bigrams", "characters", "hs"])
def test_matrices_and_labels_are_those_of_the_library(trained, name):
    library, path = trained(name)
    model = load_model(path)
    np.testing.assert_array_equal(model.input[:], library.get_input_matrix())
    np.testing.assert_array_equal(model.output, library.get_output_matrix())
    labels, counts = library.get_labels(include_freq=True)
    assert model.labels == labels
    assert model.label_counts.tolist() == counts.tolist()


@pytest.mark.parametrize("name", ["quantized", "normed", "pruned", "pruned-words", "hs-pruned"])
def test_quantized_rows_are_those_of_the_library(trained, name):
    library, path = trained(name)
    rows = load_model(path).input
    expected = np.array([library.get_input_vector(i) for i in range(rows.shape[0])])
    np.testing.assert_allclose(rows[:], expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(rows[5:9], rows[:][5:9])


def test_odd_input_gives_probabilities(trained):
    _, path = trained("letters")
    collapsed = collapse(load_model(path), "1")
    assert collapsed.score(*pack([])).shape == (0,)
    odd = ["", "\n\n", "\0", "🙂" * 1000, "x" * 5_000_000, "é" * 2_500_000, b"\x80" * 100_000, "שלום " * 1000]
    scores = collapsed.score(*pack(odd))
    assert ((scores >= 0) & (scores <= 1)).all()
    classifier = Classifier(load_model(trained("hs")[1]))
    assert [part.shape for part in classifier.predict(*pack([]))] == [(0,), (0,)]
    assert classifier.probabilities(*pack([])).shape == (0, len(classifier.labels))
    indices, probability = classifier.predict(*pack(odd))
    assert ((indices >= 0) & (probability > 0) & (probability <= 1)).all()


def test_a_text_of_which_nothing_is_known_scores_zero(trained):
    model = load_model(trained("unigrams")[1])
    stranger = replace(model, keys=model.keys ^ np.uint64(2))
    assert collapse(stranger, "1").score(*pack(["the fox", ""])).tolist() == [0, 0]
    indices, probability = Classifier(stranger).predict(*pack(["the fox"]))
    assert (indices.tolist(), probability.tolist()) == ([-1], [0])


def test_labels_are_asked_for_with_or_without_prefix(trained):
    model = load_model(trained("bigrams")[1])
    collapsed = collapse(model, "1")
    assert collapsed.labels == ["__label__1", "__label__0"]
    batch = pack(["the quick brown fox", "日本語"])
    assert collapsed.score(*batch).tolist() == collapse(model, "__label__1").score(*batch).tolist()
    assert collapsed.score(*batch) + collapse(model, "0").score(*batch) == pytest.approx([1, 1], abs=3e-5)
    with pytest.raises(CurateError, match="no label `hq`") as error:
        collapse(model, "hq")
    assert "__label__0" in error.value.fix
    classifier = Classifier(model)
    one = classifier.probabilities(*batch, labels=["1"])
    place = classifier.labels.index("__label__1")
    assert one[:, 0].tolist() == classifier.probabilities(*batch)[:, place].tolist()


def test_several_models_score_the_same_together(trained):
    models = [collapse(load_model(trained(name)[1]), "1") for name in ("bigrams", "pruned", "characters")]
    batch = pack(["the quick brown fox", "日本語 テキスト 日本語", "", "die Katze"])
    together = score_all(models, *batch)
    assert [scores.tolist() for scores in together] == [model.score(*batch).tolist() for model in models]


def test_a_collapsed_model_is_saved_as_the_same_bytes(trained, tmp_path):
    _, path = trained("pruned")
    collapsed = collapse(load_model(path), "1")
    assert collapsed.source == hashlib.sha256(path.read_bytes()).hexdigest()
    collapsed.save(tmp_path / "a.npz")
    loaded = Collapsed.load(tmp_path / "a.npz")
    loaded.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert (loaded.labels, loaded.source) == (collapsed.labels, collapsed.source)
    batch = pack(["the quick brown fox", "日本語 テキスト", ""])
    assert loaded.score(*batch).tolist() == collapsed.score(*batch).tolist()


def real_texts():
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    with (DATA / "crawl" / "web-a.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            body = record.reader.read()
            yield extract_plain_text(bytes_to_str(body, detect_encoding(body)), main_content=True)
    for name in ("c4/c4-sample.01.json.gz", "dolma/documents-000.json.gz"):
        with gzip.open(DATA / "rows" / name, "rt", encoding="utf-8") as lines:
            yield from (json.loads(line)["text"] for line in lines)


@pytest.fixture(scope="module")
def real_lines():
    if not DATA.exists():
        pytest.skip("the real documents are not at hand")
    return [text.replace("\n", " ") for text in real_texts()]


def test_quality_of_real_documents_is_that_of_the_library(real_lines, tmp_path):
    training, path = tmp_path / "train.txt", tmp_path / "model.bin"
    rows = [f"__label__{'ab'[line.isascii()]} {line}" for line in real_lines]
    training.write_text("\n".join(rows), encoding="utf-8")
    options = {"dim": 16, "wordNgrams": 2, "bucket": 50_000, "epoch": 5, "lr": 1.0, "thread": 1, "verbose": 0}
    library = fasttext.train_supervised(str(training), **options)
    library.save_model(str(path))
    scores = collapse(load_model(path), "a").score(*pack(real_lines))
    expected = [found["__label__a"] for found in library_probabilities(library, real_lines)]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=2e-5)
    assert scores.std() > 0.1


def test_languages_of_real_documents_are_those_of_the_library(real_lines):
    path = DATA / "models" / "lid.176.ftz"
    labels, expected = fasttext.load_model(str(path)).predict(real_lines)
    classifier = Classifier(load_model(path))
    indices, probability = classifier.predict(*pack(real_lines))
    assert [[classifier.labels[i]] for i in indices] == labels
    np.testing.assert_allclose(probability, np.concatenate(expected), rtol=0, atol=1e-3)
