"""What `curate.kernels.html.scan` finds in the source of a page, in plain Python: expressions for the tokens of HTML,
sets of names, and lines as lists of tokens."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

from curate.kernels import html_names
from curate.kernels.html import ATTRIBUTES, COST, DEEPEST, FORMULAS, LISTS, NESTS, OPTIONS, SCRIPTS, TAGS

# --- tokens

NAMES = {kind: frozenset(names.encode().split()) for kind, names in html_names.SETS.items()}
HTML_IN = dict.fromkeys(NAMES["html_in_svg"], b"svg") | dict.fromkeys(NAMES["html_in_math"], b"math")
RULED_VALUES = frozenset(html_names._RULED_VALUES.encode().split())
RULED_NAMES = html_names._NAMES.encode().split()
FORMULA_NAMES = html_names._FORMULAS.encode().split()

SPACE, BLANK = "\\t\\n\\f\\r\\x20", b"\t\n\v\f\r \0"
ATTRIBUTE = rf"""[{SPACE}/]*+ ([^{SPACE}/>][^{SPACE}/>=]*+)
    (?: [{SPACE}]*+ = [{SPACE}]*+ (?: "([^"]*+)(?:"|\Z) | '([^']*+)(?:'|\Z) | ([^{SPACE}>]*+) ) )?+"""
ATTRIBUTES_OF_TAG = re.compile(ATTRIBUTE.encode(), re.VERBOSE)
MARKUP = re.compile(
    rf"""(?xsi)
    <!-- (?: -?> | .*?--!?> | .* ) | <[!?][^>]*+>? | </> | </[^a-z>][^>]*+>?
    | <(?P<slash>/?) (?P<name>[a-z][^{SPACE}/>]*+) (?P<attributes>(?:{ATTRIBUTE})*+) (?P<rest>[{SPACE}/]*+) >
    | (?P<cut></?[a-z])
    """.encode()
)
CDATA = re.compile(rb"(?s)<!\[CDATA\[.*?(?:]]>|\Z)")
IN_SCRIPT = re.compile(rf"(?i)<!(?=--)|-->|</?script(?=[{SPACE}/>])".encode())
STATES = {  # of a script: its text, a comment in it, a script in the comment
    ("text", b"<!"): "comment",
    ("text", b"</script"): "end",
    ("comment", b"-->"): "text",
    ("comment", b"<script"): "inner",
    ("comment", b"</script"): "end",
    ("inner", b"-->"): "text",
    ("inner", b"</script"): "comment",
}


@dataclass(frozen=True)
class Text:
    start: int
    text: bytes


@dataclass(frozen=True)
class Tag:
    name: bytes
    start: int
    place: int
    closing: bool
    empty: bool
    foreign: bool
    attributes: list[tuple[bytes, bytes]]

    def __contains__(self, kind: str) -> bool:
        return self.name in NAMES[kind]

    def values(self, *names: bytes) -> list[bytes]:
        return [value for name, value in self.attributes if name.lower() in names]

    @property
    def classes(self) -> list[bytes]:
        return [b"_%s_" % re.sub(rb"[ \t\n\r\f_-]", b"_", value.lower()) for value in self.values(b"class", b"id")]

    def has_class(self, names: list[bytes]) -> bool:
        return any(
            re.search(rb"&(?!amp|gt|lt|quot)[#a-z]", value) or any(name in value for name in names)
            for value in self.classes
        )

    @property
    def named(self) -> bool:
        return self.has_class(RULED_NAMES)

    @property
    def ruled(self) -> bool:
        values = self.values(b"rel", b"itemprop", b"aria-hidden", b"aria-expanded")
        return bool(self.values(b"data-ad", b"data-advertisement", b"data-text-ad")) or any(
            b"&" in value or value.strip(b"\t\n\f\r ").lower() in RULED_VALUES for value in values
        )

    @property
    def control(self) -> bool:
        return "link" in self and any(
            value == b"#" or may_start_with(value, b"javascript:") for value in self.values(b"href")
        )

    @property
    def formula(self) -> bool:
        return not self.closing and (
            "formula" in self
            or ("pictured" in self and self.has_class(FORMULA_NAMES))
            or ("program" in self and any(may_start_with(value, b"math/") for value in self.values(b"type")))
        )

    @property
    def judged(self) -> bool:
        return self.ruled or self.control or self.named or "judged" in self or "script" in self

    @property
    def candidate(self) -> bool:
        raw = "raw" in self and not self.foreign
        return not (self.closing or raw or "block" in self or "unseen" in self) and self.judged


Token = Text | Tag


def may_start_with(value: bytes, prefix: bytes) -> bool:
    head, reference, _ = value.lower().partition(b"&")
    return head.startswith(prefix) or (bool(reference) and prefix.startswith(head))


def end_of_raw(page: bytes, at: int, name: bytes) -> int:
    if name == b"plaintext":
        return len(page)
    if name != b"script":
        end = re.compile(rb"(?i)</%s(?=[\t\n\f\r />])" % name).search(page, at)
        return end.start() if end else len(page)
    state = "text"
    for match in IN_SCRIPT.finditer(page, at):
        state = STATES.get((state, match[0].lower()), state)
        if state == "end":
            return match.start()
    return len(page)


def text_at(page: bytes, start: int, end: int) -> Text:
    text = page[start:end]
    return Text(end - len(text.lstrip(BLANK)), text.strip(BLANK))


def tokens_of(page: bytes) -> Iterator[Token]:
    """Texts, empty ones too, and tags. `around`: the SVG, MathML, and HTML in them that are open."""
    at, around = 0, []
    while markup := MARKUP.search(page, at):
        yield text_at(page, at, markup.start())
        if markup["cut"]:
            return
        at, foreign = markup.end(), around[-1:] in ([b"svg"], [b"math"])
        if not markup["name"]:
            if foreign and (section := CDATA.match(page, markup.start())):
                at = section.end()
            continue
        name, closing, empty = markup["name"].lower(), bool(markup["slash"]), markup["rest"].endswith(b"/")
        if foreign and name in NAMES["breakout"] and not closing:
            foreign = False
            while around and around[-1] != b"html":
                around.pop()
        attributes = [(key, b"".join(value)) for key, *value in ATTRIBUTES_OF_TAG.findall(markup["attributes"])]
        yield Tag(name, markup.start(), markup.end("name"), closing, empty, foreign, attributes)
        if closing and name in around:
            while around.pop() != name:
                pass
        elif closing and name in HTML_IN and around[-1:] == [b"html"]:
            around.pop()
        elif not closing and not empty and name in NAMES["foreign"]:
            around.append(name)
        elif not closing and not empty and around[-1:] == [HTML_IN.get(name)]:
            around.append(b"html")
        if name in NAMES["raw"] and not closing and not foreign:
            at = end_of_raw(page, at, name)
    yield text_at(page, at, len(page))


# --- what is found


def depths(tokens: list[Token]) -> tuple[list[int], list[int]]:
    """How many elements, and inline elements, are open behind each token."""
    opened, all_changes, inline = Counter(), [], [0]
    for token in tokens:
        change = 0
        if isinstance(token, Tag) and not ("flat" in token or "raw" in token):
            if token.closing:
                change = -(opened[token.name] > 0)
            else:
                change = not (token.empty and (token.foreign or "foreign" in token))
            opened[token.name] += change
        all_changes.append(int(change))
        counts = isinstance(token, Tag) and not (
            token.foreign or token.name in HTML_IN or "block" in token or "foreign" in token
        )
        inline.append(max(0, inline[-1] + change * counts))
    return list(accumulate(all_changes)), inline[1:]


def counts_of(page: bytes, tokens: list[Token]) -> list[int]:
    tags = [token for token in tokens if isinstance(token, Tag)]
    open_tags = [tag for tag in tags if not tag.closing]
    around, _ = depths(tags)
    places = [0, *(tag.start for tag in tags), len(page)]
    counts = {
        TAGS: len(tags),
        NESTS: sum("nests" in tag for tag in open_tags),
        OPTIONS: sum("option" in tag for tag in open_tags),
        ATTRIBUTES: max((len(tag.attributes) for tag in tags), default=0),
        COST: sum(depth * (end - start) for depth, (start, end) in zip([0, *around], pairwise(places), strict=True)),
        DEEPEST: max(around, default=0),
        LISTS: sum("list" in tag for tag in open_tags),
        SCRIPTS: sum("script" in tag for tag in open_tags),
        FORMULAS: sum(tag.formula for tag in open_tags),
    }
    return [counts[name] for name in sorted(counts)]


PRIVATE = rb"\xee|\xef[^\xa4-\xff]"
LONE = re.compile(rb"(?s)(?:[^&]?(?=&)|\xc2\xb6|(?!%s)[^&]{2}[\x80-\xff])(?:&.*)?" % PRIVATE)
NO_WORDS = re.compile(rb"(?s)\xe2\x80.|\xc2[\xa0\xab\xb7\xbb]|&nbsp")


def is_lone(text: bytes) -> bool:
    if b"&" in text and (len(text) > 70 or re.fullmatch(rb"(?s)&nbsp.?", text)):
        return False
    return LONE.fullmatch(text) is not None


def has_words(text: bytes) -> bool:
    return re.search(rb"[a-zA-Z0-9\x80-\xff]", NO_WORDS.sub(b" ", text)) is not None


def grouped(line: list[Token]) -> tuple[list[Tag], list[Text], bool]:
    """The candidates of a line, but for elements without text; the text outside of them; whether one is still open."""
    groups, outside, depth = [], [], 0
    for token in line:
        if depth:
            groups[-1].append(token)
            if isinstance(token, Tag) and token.name == groups[-1][0].name:
                depth += -1 if token.closing else 1
        elif isinstance(token, Text):
            outside.append(token)
        elif token.candidate:
            groups.append([token])
            depth = 1
    kept = [group for group in groups if any(isinstance(token, Text) and token.text for token in group)]
    if depth and groups[-1] not in kept:
        kept.append(groups[-1])
    found = [token for group in kept for token in group if isinstance(token, Tag) and token.candidate]
    return found, outside, depth > 0


def candidates_of(tokens: list[Token]) -> list[int]:
    places, line, inside, box, rows = [], [], False, True, False
    for token, inline in zip(tokens, depths(tokens)[1], strict=True):
        if isinstance(token, Text) or "block" not in token:
            line.append(token)
            continue
        found, outside, is_open = grouped(line)
        soft = any(not (tag.ruled or tag.control or "judged" in tag) for tag in found)
        if (
            (inside or inline or is_open or rows)
            or any(has_words(text.text) for text in outside)
            or any("script" in tag or "judged" in tag for tag in found)
            or (soft and len(found) > 1)
            or (box and any(tag.control for tag in found))
        ):
            places += [tag.place for tag in found]
        if "cell" in token and not token.closing and (token.ruled or token.named):
            places.append(token.place)
        line, inside = [], inline > 0
        box = token.closing or "box" in token or (box and "empty" in token)
        rows = "rows" in token or (token.closing if "cell" in token else rows)
        rows = rows and not (token.closing and token.name == b"table")
    return places + [tag.place for tag in grouped(line)[0]]


def reference(page: bytes) -> tuple[list[int], list[int], list[list[int]]]:
    tokens = list(tokens_of(page))
    texts = [token for token in tokens if isinstance(token, Text)]
    lone = [[text.start, text.start + len(text.text)] for text in texts if is_lone(text.text)]
    return counts_of(page, tokens), candidates_of(tokens), lone
