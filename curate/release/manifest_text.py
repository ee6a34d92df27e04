"""Write a new version and its removals into a manifest, without changing anything else in its text."""

import yaml

from curate.errors import CurateError

MOST_NODES = 1_000_000
"""Of a manifest, so that two can be compared."""


def with_record(text: str, version: str, record: str) -> str:
    """The manifest of a patch version: that of the release, with the record of what stays out, which holds what the
    lists named before it said.

    record  its path beside the manifest. Raises CurateError for a text that is no mapping of YAML.
    """
    wanted = _loaded(text)
    wanted |= {"version": version, "removed": [record]}
    made = text
    try:
        made = _put(made, "version", f'"{version}"')
        made = _put(made, "removed", f"[{record}]")
        if _loaded(made) == wanted:
            return made
    except (yaml.YAMLError, CurateError):
        pass
    return yaml.safe_dump(wanted, sort_keys=False, allow_unicode=True)


def _loaded(text: str) -> dict:
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise CurateError(f"the manifest of the release is not YAML: {error}", "manifest.yaml") from None
    if _size(yaml.compose(text, yaml.SafeLoader), {}) > MOST_NODES:
        raise CurateError("the manifest of the release is too large once its aliases are expanded", "manifest.yaml")
    if not isinstance(found, dict):
        raise CurateError("the manifest of the release is not a mapping", "manifest.yaml", "rerun the manifest")
    return found


def _size(node: yaml.Node | None, known: dict[int, int]) -> int:
    """The nodes of a tree, those of aliases each time."""
    if id(node) not in known:
        known[id(node)] = MOST_NODES + 1  # what holds itself has no end
        inner = getattr(node, "value", None)
        children = (
            [one for pair in inner for one in (pair if isinstance(pair, tuple) else (pair,))]
            if isinstance(inner, list)
            else []
        )
        known[id(node)] = 1 + sum(_size(child, known) for child in children)
    return known[id(node)]


def _put(text: str, key: str, value: str) -> str:
    """The text with a value in place of that of a key of its mapping, or with the key."""
    root = yaml.compose(text, yaml.SafeLoader)
    for name, node in root.value:
        if name.value == key:
            start, stop = name.end_mark.index, _end(node)
            return f"{text[:start]}: {value}{text[stop:]}"
    if root.flow_style:
        start = root.start_mark.index + 1
        return f"{text[:start]}{key}: {value}, {text[start:]}"
    stop = max((_end(node) for _, node in root.value), default=len(text))
    line = text.find("\n", stop - 1 if text[stop - 1 : stop] == "\n" else stop)
    stop = len(text) if line < 0 else line + 1
    before = text[:stop]
    gap = "\n" if before.endswith("\n") else "\n\n"
    return f"{before}{gap}{key}: {value}\n{text[stop:]}"


def _end(node: yaml.Node) -> int:
    """Where the text of a node ends; PyYAML has that of a block at the token after it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, yaml.MappingNode) else last)
    return node.end_mark.index
