"""Character classes: a table over all of Unicode that answers as `str` methods do.

The table is that of one Unicode version, ``character_table.VERSION``, under every Python. MARK and TERMINAL
are the lists that datatrove's filters go by: TERMINAL, what ends a sentence in any script; MARK, CCNet's
punctuation (with its full-width 1), the controls, and all of TERMINAL.
"""

import base64
import functools
import json
import zlib

import numpy as np

from curate.kernels.tables.character_table import PACKED

LETTER = 1  # str.isalpha
NUMERIC = 2  # str.isnumeric, isdigit or isdecimal; LETTER or NUMERIC is str.isalnum
DECIMAL = 4  # str.isdecimal, which is \d of a regular expression
UPPER = 8  # str.isupper
SPACE = 16  # str.isspace
BREAK = 32  # where str.splitlines ends a line
PUNCTUATION = 64  # Unicode categories P*
MARK = 128  # a word of these alone is not counted as a word
TERMINAL = 256  # ends a sentence
ALL = 511

_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_MARKS = "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
_CONTROLS = "0-8 b-1f 7f-9f"
_TERMINALS = """
    21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e 1735-1736
    17d4-17d6 17d9-17da 1803 1809 1944-1945 1aa8-1aab 1b5a-1b5b 1b5e-1b5f 1b7d-1b7e 1c3b-1c3c 1c7e-1c7f
    203c-203d 2047-2049 2e2e 2e3c 2e53-2e54 3002 a4ff a60e-a60f a6f3 a6f7 a876-a877 a8ce-a8cf a92f a9c8-a9c9
    aa5d-aa5f aaf0-aaf1 abeb fe52 fe56-fe57 ff01 ff0e ff1f ff61 10a56-10a57 10f55-10f59 10f86-10f89
    11047-11048 110be-110c1 11141-11143 111c5-111c6 111cd 111de-111df 11238-11239 1123b-1123c 112a9
    1144b-1144c 115c2-115c3 115c9-115d7 11641-11642 1173c-1173e 11944 11946 11a42-11a43 11a9b-11a9c
    11c41-11c42 11ef7-11ef8 11f43-11f44 16a6e-16a6f 16af5 16b37-16b38 16b44 16e98 1bc9f 1da88
"""


def _points(ranges: str) -> list[int]:
    """Code points of ``"21 61d-61f"``, hexadecimal and inclusive."""
    bounds = [[int(end, 16) for end in part.split("-")] for part in ranges.split()]
    return [code for bound in bounds for code in range(bound[0], bound[-1] + 1)]


@functools.cache
def character_classes() -> np.ndarray:
    """Classes of every code point, sums of this module's constants: uint16[0x110000], to read only."""
    lengths, kinds = np.array(json.loads(zlib.decompress(base64.b85decode(PACKED)))).T
    classes = np.repeat(kinds.astype(np.uint16), lengths)
    classes[[ord(c) for c in _BREAKS]] |= BREAK
    terminals = _points(_TERMINALS)
    classes[terminals] |= TERMINAL
    classes[terminals + _points(_CONTROLS) + [ord(c) for c in _MARKS]] |= MARK
    return classes
