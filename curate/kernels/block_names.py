"""Names and columns of the features of blocks, see `block_features`."""

import numpy as np

from curate.kernels.page_names import NEAR_WORDS, PAGE_WORDS, TAG

_IN_WORDS = {
    "text": """characters words link_share word_length sentences ends_sentence digit_share capital_share commas
        wide_share ends_colon begins_capital in_title bars money""",
    "place": """depth place_share before_share repeats breaks verbatim in_row in_cell in_item hidden after_heading
        images controls row_blocks item_blocks item_characters kind_blocks kind_characters kind_link_share kind_texts
        before_prose behind_prose in_main above_main heading_level""",
    "around": "link_share characters blocks prose_share share",
    "window": "characters link_share sentences",
    "neighbor": """characters link_share sentences ends_sentence depth around_link_share around_characters
        same_kind""",
    "page": """blocks characters link_share paragraph_share item_share prose_share tags forms inputs pictures programs
        deepest money repeats median_characters headings""",
    "tag": """p li div td th h1 h2 h3 h4 h5 h6 span a pre blockquote dd dt figcaption button label section summary
        article""",
    "within": """nav header footer aside main article ul ol table form figure section pre blockquote details dl
        noscript""",
}
_NAMES = {group: names.split() for group, names in _IN_WORDS.items()}
OFFSETS = (-3, -2, -1, 1, 2, 3)
LEVELS = 4
FEATURES = [
    *_NAMES["text"],
    *_NAMES["place"],
    *(f"{name}_{level}" for level in range(1, LEVELS + 1) for name in _NAMES["around"]),
    *(f"window_{name}" for name in _NAMES["window"]),
    *(f"{name}_{offset:+}" for offset in OFFSETS for name in _NAMES["neighbor"]),
    *(f"page_{name}" for name in _NAMES["page"]),
    *(f"tag_{name}" for name in _NAMES["tag"]),
    *(f"within_{name}" for name in _NAMES["within"]),
    *(f"near_{name}" for name in NEAR_WORDS),
    *(f"far_{name}" for name in NEAR_WORDS),
    *(f"page_says_{name}" for name in PAGE_WORDS),
]
"""What is counted of a block. All are whole numbers, shares in thousandths.

Of its own text: characters; words; characters of links; characters a word (tenths); ends of sentences and commas in
hundred words; whether it ends a sentence, or with a colon; digits, capitals, wide characters (Chinese, kana ...);
whether it begins with a capital; its words that stand in the title; bars and slashes; signs of money.

Of its place: elements open; blocks and bytes before it; how often its text is on the page; `br` before it; whether it
is code, in a row, a cell, an item, hidden; blocks since the last heading; pictures and controls of its element; blocks
of its row; blocks and bytes of its item; of its kind, blocks whose elements and their parents have the same tags and
classes, how many there are, their mean bytes, links, and different texts; blocks until the first prose and since the
last; whether it is in the innermost element that holds most of the prose, and how far; the level of a heading. Prose
is what has sentences, few links, and six words or more.

Of the elements around it, from the parent (1) on: links, bytes, blocks, their share of the page's prose and bytes. Of
the eight blocks on either side (`window`): means. Of each of three neighbors on either side; -1 where there is none.
Of the page. Then the tag of its element, tags and words of class, id, role and itemprop of the elements around it
(near: its own and the parent's), and words by which the page says what it is.
"""
COLUMN = {name: number for number, name in enumerate(FEATURES)}
N_FEATURES = len(FEATURES)
MOST = 32_767
"""Larger counts stand as this."""

N_AROUND, N_NEIGHBOR = len(_NAMES["around"]), len(_NAMES["neighbor"])
PLACE, AROUND, WINDOW = COLUMN["depth"], COLUMN["link_share_1"], COLUMN["window_characters"]
NEIGHBOR, PAGE = COLUMN["characters_-3"], COLUMN["page_blocks"]
NEAR, FAR, SAYS = COLUMN[f"near_{NEAR_WORDS[0]}"], COLUMN[f"far_{NEAR_WORDS[0]}"], COLUMN[f"page_says_{PAGE_WORDS[0]}"]
"""Where groups of columns begin."""


def _columns(group: str) -> np.ndarray:
    """The column of each tag's number, or -1."""
    found = np.full(256, -1, np.int64)
    for name in _NAMES[group]:
        found[TAG[name]] = COLUMN[f"{group}_{name}"]
    return found


TAG_COLUMNS, WITHIN_COLUMNS = _columns("tag"), _columns("within")
