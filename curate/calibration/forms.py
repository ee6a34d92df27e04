"""The files that each recipe writes: names, shapes and dtypes.

    gptq, awq  calibration.safetensors  input_ids, attention_mask  int64[sequences, length]
               calibration.parquet      text, input_ids, attention_mask (lists of int64), source; a sequence a row
    imatrix    calibration.txt          documents and pieces of documents, a blank line between them
    kernel     kernel.safetensors       input_ids int32[tokens], cu_seqlens int32[sequences + 1], max_seqlen int32[],
                                        token_counts int64[vocabulary], length_edges int64[bins + 1], length_counts
                                        int64[bins]

Beside them lie `documents.parquet`, which says of each piece whose tokens it is, and `tokenizer.json`.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from safetensors.numpy import save

from curate.calibration.windows import Piece, Sequence
from curate.engine.store import Writer
from curate.errors import CurateError
from curate.models.tokenizer import Tokenizer


@dataclass(frozen=True)
class Form:
    """A recipe.

    data_file                  what `datasets` opens of its folder
    sequences, length, tokens  its defaults; None where they come from elsewhere
    fill                       see `sequences`
    dtype                      of its ids
    """

    write: Callable[[Path, list[Sequence], Tokenizer, list[str]], None]
    data_file: str
    sequences: int | None
    length: int | None
    tokens: int | None = None
    fill: bool = True
    dtype: type = np.int64


def write_ids(folder: Path, sequences: list[Sequence], tokenizer: Tokenizer, sources: list[str]) -> None:
    """The set of `gptq` and `awq`."""
    ids = np.stack([sequence.ids for sequence in sequences]).astype(np.int64)
    mask = np.ones_like(ids)
    (folder / "calibration.safetensors").write_bytes(save({"input_ids": ids, "attention_mask": mask}))
    lists = pa.list_(pa.int64())
    table = {
        "text": pa.array([tokenizer.decode(sequence.ids) for sequence in sequences], pa.string()),
        "input_ids": pa.array(list(ids), lists),
        "attention_mask": pa.array(list(mask), lists),
        "source": pa.array([sources[sequence.source] for sequence in sequences], pa.string()),
    }
    _write_table(folder / "calibration.parquet", table)


def write_text(folder: Path, sequences: list[Sequence], tokenizer: Tokenizer, sources: list[str]) -> None:
    """The set of `imatrix`. What is cut out of a document is what its tokens decode to, less broken characters."""
    pieces = [piece for sequence in sequences for piece in sequence.pieces]
    texts = [piece.text if piece.text is not None else _decoded(piece, tokenizer) for piece in pieces]
    (folder / "calibration.txt").write_bytes("\n\n".join(text.strip("\n") for text in texts).encode() + b"\n")


def write_packed(folder: Path, sequences: list[Sequence], tokenizer: Tokenizer, sources: list[str]) -> None:
    """The set of `kernel`. The bins of lengths are [1, 2), [2, 4), [4, 8) ...; the last ends above the longest."""
    lengths = np.array([len(sequence.ids) for sequence in sequences], np.int64)
    ids = np.concatenate([sequence.ids for sequence in sequences]).astype(np.int32)
    edges = np.int64(1) << np.arange(int(lengths.max()).bit_length() + 1, dtype=np.int64)
    tensors = {
        "input_ids": ids,
        "cu_seqlens": np.append(0, np.cumsum(lengths)).astype(np.int32),
        "max_seqlen": np.array(lengths.max(), np.int32),
        "token_counts": np.bincount(ids, minlength=tokenizer.ids).astype(np.int64),
        "length_edges": edges,
        "length_counts": np.histogram(lengths, edges)[0].astype(np.int64),
    }
    (folder / "kernel.safetensors").write_bytes(save(tensors))


FORMS = {
    "gptq": Form(write_ids, "calibration.parquet", sequences=128, length=2048),
    "awq": Form(write_ids, "calibration.parquet", sequences=128, length=512),
    "imatrix": Form(write_text, "calibration.txt", sequences=None, length=2048, tokens=1 << 18),
    "kernel": Form(write_packed, "documents.parquet", sequences=1024, length=None, fill=False, dtype=np.int32),
}
"""The recipes. 128 sequences of 2,048 tokens are GPTQ's own (Frantar et al. 2022), 128 of 512 those of AWQ's code (Lin
et al. 2023); as many tokens as GPTQ's, 2**18, are 512 chunks of the 512 that llama-imatrix takes by default."""


def write(
    form: Form, folder: Path, sequences: list[Sequence], tokenizer: Tokenizer, sources: list[str]
) -> dict[str, int]:
    """Write a set and what lies beside it. Returns its counts."""
    form.write(folder, sequences, tokenizer, sources)
    rows = [(number, one.source, piece) for number, one in enumerate(sequences) for piece in one.pieces]
    table = {
        "sequence": pa.array([number for number, _, _ in rows], pa.int32()),
        "id": pa.array([piece.id for _, _, piece in rows], pa.string()),
        "source": pa.array([sources[source] for _, source, _ in rows], pa.string()),
        "stratum": pa.array([piece.stratum for _, _, piece in rows], pa.int8()),
        "n_tokens": pa.array([piece.tokens for _, _, piece in rows], pa.int64()),
        "start": pa.array([piece.start for _, _, piece in rows], pa.int64()),
        "stop": pa.array([piece.stop for _, _, piece in rows], pa.int64()),
    }
    _write_table(folder / "documents.parquet", table)
    shutil.copyfile(tokenizer.path, folder / "tokenizer.json")
    return {"sequences": len(sequences), "documents": len(rows), "tokens": sum(len(one.ids) for one in sequences)}


def check_ids(form: Form, tokenizer: Tokenizer) -> None:
    """Raises CurateError where the ids of a tokenizer do not fit the dtype of a form."""
    most, dtype = np.iinfo(form.dtype).max, np.dtype(form.dtype).name
    if tokenizer.ids - 1 > most:
        what = f"the tokenizer's highest id is {tokenizer.ids - 1:,}; {dtype} allows up to {most:,}"
        raise CurateError(what, str(tokenizer.path), "use the model's tokenizer, or renumber its added tokens")


def _decoded(piece: Piece, tokenizer: Tokenizer) -> str:
    return tokenizer.decode(piece.ids).strip("\ufffd")


def _write_table(path: Path, columns: dict[str, pa.Array]) -> None:
    with Writer(path) as writer:
        writer.write(pa.table(columns))
