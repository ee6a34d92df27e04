"""Run any filter or formatter of datatrove as a stage."""

import copy
import importlib
import inspect
import json
import re
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.documents import flat
from curate.errors import CurateError, did_you_mean
from curate.models.resources import find_source
from curate.stage_api import reject, set_column, stage

_REASON = re.compile(r"""return\s*+\(?+\s*+False,\s*+["']([\w ./-]+)["']""")
OWN = ("datatrove.pipeline.filters.", "datatrove.pipeline.formatters.")
FILTERED = "filtered"
"""The reason of a filter that gives none."""


def _packages(**_) -> tuple[str, ...]:
    if find_spec("datatrove") is None:
        raise CurateError("datatrove is not installed", fix='pip install "curate-corpus[datatrove]"')
    return ("datatrove",)


def _is_of_datatrove(block: str) -> bool:
    """Whether a block comes with datatrove, so that planning may load it and running needs no leave."""
    return block.startswith(OWN)


def _reasons(block: str, **_) -> tuple[str, ...]:
    """Those that the source of a filter names; it may make more as it goes."""
    if _is_of_datatrove(block):
        source = inspect.getsource(_class(block))
    else:
        path = find_source(block.rpartition(".")[0])
        if path is None:
            raise CurateError(
                f"cannot import block `{block}`: there is no such file", fix=did_you_mean(block, _known())
            )
        source = path.read_text(encoding="utf-8", errors="replace")
    return (*dict.fromkeys(_named(reason) for reason in _REASON.findall(source)), FILTERED)


@stage(
    version=1,
    packages=_packages,
    reads_from=lambda columns, **_: ("id", "text", *columns),
    reasons_from=_reasons,
    code_from=lambda block, **_: () if _is_of_datatrove(block) else (":".join(block.rpartition(".")[::2]),),
    hazard=True,
    dry=True,
)
def datatrove(
    docs: pa.Table,
    *,
    block: str,
    params: dict[str, Any] = {},  # noqa: B006
    columns: list[str] = ["url", "language"],  # noqa: B006
) -> pa.Table:
    """Run a datatrove filter or formatter, one document at a time, at its own speed.

    The reason is the one that a filter returns when it drops a document, otherwise `filtered`. Changes to the text are
    kept; changes to the metadata are not. A formatter is created again for each document, since some have state. The
    block's result must depend only on the document, because results are cached.

    block    path of the class, such as `datatrove.pipeline.filters.GopherQualityFilter`, or of your own class derived
             from BaseFilter or BaseFormatter, whose module must be allowed with `--allow-code`
    params   arguments of the class
    columns  columns that the block finds in a document's metadata, in addition to the fields of `meta` if listed

    Changes: text
    """
    if docs.num_rows == 0 and not _is_of_datatrove(block):
        return docs  # planned, not run
    made = _make(block, json.dumps(params, sort_keys=True))
    texts = [text or "" for text in docs["text"].to_pylist()]
    if hasattr(made, "format"):
        return _with_texts(docs, [copy.deepcopy(made).format(text) for text in texts])
    from datatrove.data import Document

    metadata = [_metadata(row) for row in docs.select(columns).to_pylist()] if columns else [{} for _ in texts]
    documents = [
        Document(text=text, id=id, metadata=more)
        for text, id, more in zip(texts, docs["id"].to_pylist(), metadata, strict=True)
    ]
    reasons = [_reason(verdict) for verdict in made.filter_batch(documents)]
    docs = _with_texts(docs, [document.text for document in documents])
    reason = pa.array(reasons, pa.string())
    return reject(docs, **{name: pc.equal(reason, name) for name in pc.unique(reason.drop_null()).to_pylist()})


def _reason(verdict: bool | tuple[bool, str]) -> str | None:
    kept, reason = verdict if isinstance(verdict, tuple) else (verdict, "")
    return None if kept else _named(reason) or FILTERED


def _named(reason: str) -> str:
    """A reason as our evidence spells it: words of letters and digits, joined by underscores."""
    return re.sub(r"\W+", "_", reason.lower()).strip("_")


def _with_texts(docs: pa.Table, texts: list[str]) -> pa.Table:
    """The table with these texts; what was null and is still empty stays null."""
    old = flat(docs["text"])
    new = pa.array(texts, old.type)
    return set_column(docs, "text", pc.if_else(pc.and_(old.is_null(), pc.equal(new, "")), old, new))


def _metadata(row: dict) -> dict:
    meta = row.pop("meta", None)
    return (json.loads(meta) if meta else {}) | {name: value for name, value in row.items() if value is not None}


def _known() -> list[str]:
    from datatrove.pipeline import filters

    return [f"{filters.__name__}.{one}" for one in dir(filters) if one.endswith("Filter")]


def _class(block: str) -> type:
    _packages()
    from datatrove.pipeline.filters.base_filter import BaseFilter
    from datatrove.pipeline.formatters.base import BaseFormatter

    module, _, name = block.rpartition(".")
    try:
        found = getattr(importlib.import_module(module or block), name, None)
    except Exception as error:  # an import runs the module, which may raise anything
        raise CurateError(f"cannot import block `{block}`: {error}", fix=did_you_mean(block, _known())) from error
    if not (inspect.isclass(found) and issubclass(found, (BaseFilter, BaseFormatter))):
        raise CurateError(f"`{block}` is not a datatrove filter or formatter", fix=did_you_mean(block, _known()))
    return found


@lru_cache(maxsize=16)
def _make(block: str, params: str):
    chosen = _class(block)
    try:
        return chosen(**json.loads(params))
    except TypeError as error:
        takes = ", ".join(name for name in inspect.signature(chosen).parameters)
        raise CurateError(
            f"{chosen.__name__} does not accept these params: {error}", fix=f"it accepts {takes}"
        ) from error
    except (ValueError, AttributeError, OSError, re.error) as error:
        raise CurateError(f"{chosen.__name__} cannot be created: {error}", fix="correct its `params`") from error
    except ImportError as error:
        raise CurateError(f"{chosen.__name__} needs more: {error}", fix="install the missing package") from error
