"""YAML as plain values with line numbers, read in bounded time and memory.

YAML 1.1 as PyYAML's safe loader reads it, with merge keys, and these bounds: no tag but YAML's own, no anchor inside
itself, `DEPTH` levels, `EXPANDED` values through aliases. `1:30` is text, as in YAML 1.2, not 90.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

Place = tuple[str | int, ...]

LONGEST = 2 << 20
"""Characters of a file; a second of work."""

DEPTH = 64
"""Levels of lists and mappings."""

EXPANDED = 100_000
"""Values that a file may have through its aliases, each counted as often as it is used."""

_TAG = "tag:yaml.org,2002:"
_BAD = (yaml.YAMLError, ValueError, OverflowError, KeyError, AttributeError, IndexError, TypeError)
"""What PyYAML raises for a scalar that its tag, given or guessed, does not fit."""

_SPLIT = "put long lists into separate files: `inputs:` and stages accept the path of a list"


@dataclass
class Tree:
    """What is written in a file.

    value     of the whole: dictionaries with text as keys, lists and scalars; what aliases share is one object
    lines     {place: line, from 1}; below an alias there are none, the place of the alias has that
    written   {place: text} of scalars that YAML takes for something other than text
    problems  (place, what, fix) of each mistake
    """

    value: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    written: dict[Place, str] = field(default_factory=dict)
    problems: list[tuple[Place, str, str]] = field(default_factory=list)


def read_tree(text: str) -> Tree:
    """Read a file of one YAML document. It raises nothing: what is wrong stands in `problems`."""
    tree = Tree()
    if len(text) > LONGEST:
        tree.problems.append(((), f"more than {LONGEST:,} characters", _SPLIT))
        return tree
    try:
        refused = _refuse(text)
        node = None if refused else yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line if mark else text.count("\n", 0, getattr(error, "position", 0))
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        refused = (line + 1, f"not YAML: {what}", _cure(error, what))
    if refused:
        tree.lines[()], what, fix = refused
        tree.problems.append(((), what, fix))
    elif node:
        tree.value = _Values(tree).of(node, ())
    return tree


def _cure(error: yaml.YAMLError, what: str) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        return "remove the character, or write it as an escape in double quotes"
    if "'\\t'" in what:
        return "indent with spaces, not with tabs"
    return "check the indentation and the quotes around this line"


def _refuse(text: str) -> tuple[int, str, str] | None:
    """(line, what, fix) of what makes a tree too deep, too large or no tree, found without building it."""
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []  # anchor of each list or mapping around, and the count at its start
    count = expanded = documents = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_):
                return line, f"the anchor `{event.anchor}` is recursive", "write out its contents"
            size = sizes.get(event.anchor, 0)
            count, expanded = count + size, expanded + size
            if expanded > EXPANDED:
                return line, f"aliases expand to more than {EXPANDED:,} values", "use fewer, or write them out"
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                return line, "the file contains a second YAML document", "keep one, and remove the `---` between them"
        elif isinstance(event, yaml.CollectionStartEvent):
            count += 1
            open_.append((event.anchor, count - 1))
            if len(open_) > DEPTH:
                return line, f"nested more than {DEPTH} levels deep", "close the open brackets"
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, start = open_.pop()
            if anchor:
                sizes[anchor] = count - start
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
            if event.anchor:
                sizes[event.anchor] = 1
    return None


class _Values:
    """Values of nodes, each node once."""

    def __init__(self, tree: Tree):
        self.tree = tree
        self.known: dict[int, Any] = {}
        self.scalars = yaml.SafeLoader("")

    def of(self, node: yaml.Node, place: Place) -> Any:
        self.tree.lines.setdefault(place, node.start_mark.line + 1)
        if id(node) not in self.known:
            if not isinstance(node, yaml.ScalarNode) and node.tag not in (_TAG + "seq", _TAG + "map"):
                self.wrong(place, f"`{node.tag}` is not a standard YAML type", "remove the tag")
            if isinstance(node, yaml.SequenceNode):
                value = [self.of(child, (*place, index)) for index, child in enumerate(node.value)]
            elif isinstance(node, yaml.MappingNode):
                value = self.mapping(node, place)
            else:
                return self.scalar(node, place)
            self.known[id(node)] = value
        return self.known[id(node)]

    def mapping(self, node: yaml.MappingNode, place: Place) -> dict:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, child in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _TAG + "merge":
                for name, value in self.merge(child, (*place, "<<")).items():
                    merged.setdefault(name, value)
                    self.tree.lines.setdefault((*place, name), line)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.tree.lines.setdefault((*place, "?"), line)
                self.wrong((*place, "?"), "a key must be text, not a list or a mapping", "write it as `key: value`")
                continue
            key = self.text(key_node, place)
            self.tree.lines[(*place, key)] = line
            if key in result:
                self.wrong((*place, key), f"duplicate key `{key}`", "keep one of them")
            result[key] = self.of(child, (*place, key))
        return {name: value for name, value in merged.items() if name not in result} | result

    def merge(self, node: yaml.Node, place: Place) -> dict:
        """What `<<` takes over: of a mapping, or of several, of which the first that has a key counts."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, Any] = {}
        for one in nodes:
            if not isinstance(one, yaml.MappingNode):
                self.tree.lines.setdefault(place, node.start_mark.line + 1)
                fix = "use the anchor of a mapping, such as `<<: *defaults`"
                self.wrong(place, "`<<` can merge only mappings", fix)
                return {}
            for name, value in self.of(one, place).items():
                found.setdefault(name, value)
        return found

    def scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        text = self.text(node, place)
        if node.style is None and ":" in text and node.tag in (_TAG + "int", _TAG + "float"):
            return text
        if node.style is None and node.tag == _TAG + "int" and re.fullmatch(r"[-+]?0[0-7_]+", text):
            what = f"`{text[:60]}` is octal in YAML 1.1, and decimal in YAML 1.2"
            self.wrong(place, what, f'write it without the leading 0; if it is text, put it in quotes: "{text[:60]}"')
            return None
        try:
            value = self.scalars.construct_object(node)
        except _BAD:  # the 31st of February, or a tag of another program
            if node.tag.startswith(_TAG):
                self.wrong(place, f"`{text[:60]}` is not a valid YAML value", "put it in quotes to use it as text")
            else:
                self.wrong(place, f"`{node.tag[:60]}` is not a built-in YAML type", "remove the tag")
            return None
        if isinstance(value, str):
            return text
        if isinstance(value, bytes):  # `!!binary`
            self.wrong(place, "a value must be text or a number, not bytes", "write it as text")
            return None
        self.tree.written[place] = text
        return value

    def text(self, node: yaml.ScalarNode, place: Place) -> str:
        """The text of a scalar, which holds nothing that no file and no program can hold."""
        text = str(node.value)
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            what = "NUL" if "\0" in text else "a lone surrogate (half a character)"
            self.tree.lines.setdefault(place, node.start_mark.line + 1)
            self.wrong(place, f"{what} is not text", "remove the escape; write an emoji as one \\U with eight digits")
            return text.encode("utf-8", "replace").decode().replace("\0", "?")
        return text

    def wrong(self, place: Place, what: str, fix: str) -> None:
        self.tree.problems.append((place, what, fix))
