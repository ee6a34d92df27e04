"""Normalize text: Unicode NFC, newlines, control characters."""

import pyarrow as pa
import pyarrow.compute as pc

from curate.base.parameters import Newlines
from curate.documents import flat
from curate.stage_api import set_column, stage
from curate.stages._text import change_rows, in_order

_NEWLINE = r"\r\n|[\r\v\f\x{85}\x{2028}\x{2029}]"
_CONTROL = r"[\x{0}-\x{8}\x{E}-\x{1F}\x{7F}-\x{84}\x{86}-\x{9F}\x{FEFF}]"
_NOT_NFC = (
    # Marks, and the letters that compose with what stands before them or are never written so in NFC.
    r"\p{M}|[\x{374}\x{37E}\x{387}\x{958}-\x{95F}\x{9DC}-\x{9DF}\x{A33}-\x{A5E}\x{B5C}\x{B5D}\x{F43}-\x{F69}"
    r"\x{1161}-\x{1175}\x{11A8}-\x{11C2}\x{1F71}-\x{1FFD}\x{2000}\x{2001}\x{2126}\x{212A}\x{212B}\x{2329}"
    r"\x{232A}\x{2ADC}\x{F900}-\x{FAD9}\x{FB1D}-\x{FB4E}\x{16D63}-\x{16D6A}\x{1D15E}-\x{1D164}"
    r"\x{1D1BB}-\x{1D1C0}\x{2F800}-\x{2FA1D}]"
)


def _packages(ftfy: bool, **_) -> tuple[str, ...]:
    return ("ftfy", "pyarrow") if ftfy else ("pyarrow",)


@stage(version=2, packages=_packages)
def normalize(docs: pa.Table, *, ftfy: bool = False, strip_lines: bool = False, max_newlines: Newlines = 0) -> pa.Table:
    """Normalize text: Unicode NFC, `\\n` for every kind of newline, no control characters.

    Newlines are those of the Unicode Standard (5.8): CR LF, CR, VT, FF, NEL, U+2028 and U+2029. All other C0 and C1
    control characters except the tab are removed, and so is U+FEFF, the byte-order mark. Spaces, soft hyphens and the
    zero-width characters that Thai, Persian, Indic scripts and emoji need are kept.

    ftfy          use `ftfy.fix_text(text, normalization="NFC")` instead (Speer 2019), which also repairs text decoded
                  with the wrong charset, HTML entities, curly quotes, ligatures and full-width letters. This is
                  SlimPajama's first step; about a hundred times slower
    strip_lines   remove spaces and tabs at the ends of lines
    max_newlines  maximum newlines in a row; 0: no limit

    Reads: text
    Changes: text
    """
    text = flat(docs["text"])
    text = _fixed(text) if ftfy else _written_one_way(text)
    if strip_lines:
        text = pc.replace_substring_regex(text, r"(?m)[ \t]+$", "")
    if max_newlines:
        text = pc.replace_substring_regex(text, rf"\n{{{max_newlines + 1},}}", "\n" * max_newlines)
    return set_column(docs, "text", text)


def _fixed(text: pa.Array) -> pa.Array:
    from ftfy import TextFixerConfig, fix_text

    text = in_order(text)
    config = TextFixerConfig(normalization="NFC", explain=False)
    return pa.array([page and fix_text(page, config) for page in text.to_pylist()], text.type)


def _written_one_way(text: pa.Array) -> pa.Array:
    text = change_rows(text, _NEWLINE, lambda rows: pc.replace_substring_regex(rows, _NEWLINE, "\n"))
    text = change_rows(text, _CONTROL, lambda rows: pc.replace_substring_regex(rows, _CONTROL, ""))
    return change_rows(text, _NOT_NFC, lambda rows: pc.utf8_normalize(in_order(rows), "NFC"))
