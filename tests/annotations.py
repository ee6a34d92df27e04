"""Functions that the tests of `annotate` name by path."""

import pyarrow as pa
import pyarrow.compute as pc


def dashes(docs, *, dash="-"):
    return {"n_dashes": pc.count_substring(docs["text"], dash)}


def in_a_table(docs):
    return pa.table({"upper": pc.utf8_upper(docs["text"]), "host": docs["url"]})


def one_column(docs):
    return pc.utf8_length(docs["text"])


def lists(docs):
    return {"n": [len(text or "") for text in docs["text"].to_pylist()]}


def too_few(docs):
    return {"n": [1]}


def of_letters(docs):
    return {"n": docs["text"]}


def not_columns(docs):
    return 5


NO_FUNCTION = 1
