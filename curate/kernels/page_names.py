"""Tables of the tags, attributes and character references that `page_reader` knows.

What tags do to the tree follows the HTML standard, section 13.2.6.
"""

from html.entities import html5

import numpy as np

from curate.kernels.html_names import SETS, automaton, hash_of, table

_KINDS = {
    "border": """address article aside blockquote body br button caption center dd details dialog dir div dl dt fieldset
        figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html label legend li listing main menu
        nav ol optgroup option p plaintext pre search section summary table tbody td tfoot th thead tr ul xmp""",
    "void": """area base basefont bgsound br col embed frame hr image img input keygen link meta param source track
        wbr""",
    "closes_p": """address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption figure
        footer form h1 h2 h3 h4 h5 h6 header hgroup hr li listing main menu nav ol p plaintext pre search section
        summary table ul xmp""",
    "scope": "applet caption html marquee object table td template th",
    "special": """address applet article aside blockquote body button caption center col colgroup dd details dir div
        dl dt fieldset figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup html li listing main
        marquee menu nav object ol p plaintext pre search section select summary table tbody td template textarea tfoot
        th thead tr ul""",
    "heading": "h1 h2 h3 h4 h5 h6",
    "unseen": """audio canvas colgroup datalist frameset head iframe noembed noframes object optgroup option
        script select style svg template textarea title video""",
    "raw": SETS["raw"],
    "verbatim": "listing plaintext pre textarea xmp",
    "table_part": "caption colgroup tbody td tfoot th thead tr",
    "rows": "tbody tfoot thead",
    "foreign": SETS["foreign"],
    "breakout": SETS["breakout"],
    "html_in_svg": "desc foreignobject title",
    "html_in_math": "annotation-xml mi mn mo ms mtext",
    "list": "dir menu ol ul",
    "in_head": "base basefont bgsound head html link meta noframes noscript script style template title",
    "control": "button input option select textarea",
}
_TAGS = """
    a abbr address article aside b blockquote body br button caption cite code dd details div dl dt em fieldset
    figcaption figure font footer form h1 h2 h3 h4 h5 h6 head header hr html i img input label legend li main math nav
    noscript ol option p picture plaintext pre script section select small span strong style sub summary sup svg table
    tbody td textarea tfoot th thead time title tr u ul video xmp
"""
_ATTRIBUTES = {
    "class": "class",
    "id": "id",
    "role": "role",
    "itemprop": "itemprop",
    "href": "href",
    "hidden": "hidden",
    "style": "style",
    "type": "type",
    "property": "property",
    "name": "name",
    "content": "content",
    "itemtype": "itemtype",
    "data-testid": "id",
}
_NEAR = """
    nav menu foot head side comment relat share social cookie _ad_ _ads_ promo bread post content article entry main
    body title meta author date tag widget banner modal popup sub newsletter product price desc review forum thread
    message reply list item card grid hero section toolbar search login hidden copyright legal pag toc caption text
    rich wiki doc answer question user button katex math
"""
NEAR_WORDS = _NEAR.split()
"""Looked for in `class`, `id`, `role` and `itemprop`; `_` stands for what parts words. One bit each."""
_PAGE = """
    product article blog website newsarticle blogposting discussion forum thread question answer faq recipe review
    event itemlist collection searchresults profile video book software course jobposting realestate localbusiness
    organization breadcrumb wordpress shopify woocommerce magento phpbb vbulletin xenforo discourse drupal joomla
    wix squarespace mediawiki sphinx docusaurus mkdocs gitbook hugo jekyll ghost home archive category single search
    page listing catalog service contact about docs
"""
PAGE_WORDS = _PAGE.split()
"""Looked for in what describes the page as a whole: `meta`, attributes of `html` and `body`, types of JSON-LD."""


def _names(words: str) -> dict[str, int]:
    return {name: number for number, name in enumerate(words.split(), 1)}


TAG = _names(_TAGS)
"""{tag: its number}; others are 0."""
_BITS = {kind: 1 << (8 + number) for number, kind in enumerate(_KINDS)}
_VALUES = dict(TAG)
for _kind, _members in _KINDS.items():
    for _name in _members.split():
        _VALUES[_name] = _VALUES.get(_name, 0) | _BITS[_kind]
TAG_KEYS, TAG_VALUES = table(_VALUES, 1024)
"""What a tag is: its number in the lowest eight bits, kinds above."""
BORDER, VOID, CLOSES_P, SCOPE, SPECIAL, HEADING, UNSEEN, RAW, VERBATIM, TABLE_PART, ROWS = list(_BITS.values())[:11]
FOREIGN, BREAKOUT, HTML_IN_SVG, HTML_IN_MATH, LIST, IN_HEAD, CONTROL = list(_BITS.values())[11:]

ATTRIBUTE = _names(" ".join(dict.fromkeys(_ATTRIBUTES.values())))
ATTRIBUTE_KEYS, ATTRIBUTE_NUMBERS = table({name: ATTRIBUTE[kind] for name, kind in _ATTRIBUTES.items()}, 64)

NEAR_NEXT, NEAR_FOUND = automaton({word: 1 << number for number, word in enumerate(NEAR_WORDS)})
PAGE_NEXT, PAGE_FOUND = automaton({word: 1 << number for number, word in enumerate(PAGE_WORDS)})

C1 = np.array([ord(bytes([byte]).decode("cp1252", "ignore") or chr(byte)) for byte in range(0x80, 0xA0)], np.int64)
"""What a reference to a control from 80 to 9F means."""
LONGEST_REFERENCE = max(map(len, html5))
LONGEST_BARE_REFERENCE = max(len(name) for name in html5 if not name.endswith(";"))
REFERENCE_BYTES = np.zeros((len(html5), 8), np.uint8)
"""The UTF-8 of each named reference, behind how many bytes it has."""


def _references() -> dict[str, int]:
    numbers = {}
    for number, (name, value) in enumerate(html5.items()):
        data = value.encode()
        REFERENCE_BYTES[number, : len(data) + 1] = np.frombuffer(bytes([len(data)]) + data, np.uint8)
        numbers[name] = number + 1
    return numbers


REFERENCE_KEYS, REFERENCE_NUMBERS = table(_references(), 8192)


def bytes_of(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8).copy()


IN_FORMULA = np.uint64(sum(1 << NEAR_WORDS.index(word) for word in ("katex", "math")))
"""What names a formula, of `NEAR_WORDS`."""

KEY_OF = {name: np.uint64(hash_of(name)) for name in ("meta", "og:type", "generator", "application-name")}
