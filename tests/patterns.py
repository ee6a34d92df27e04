"""All regular expressions of the package, and texts that each of them is slow on if it is slow on any."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from re import _constants as c
from re import _parser as parser

import curate

ROOT = Path(curate.__file__).parent
MOST = 16
SKIPPED = {"curate.__main__"}


def patterns() -> dict[str, tuple[re.Pattern, bool]]:
    """{module:place: (pattern, whether it is searched for)}: what modules, their classes and their objects hold, and
    what calls of `re` spell. A pattern that is only ever matched at one place may be slow to search for."""
    found: dict[str, tuple[re.Pattern, bool]] = {}
    for module in pkgutil.walk_packages([str(ROOT)], "curate."):
        if module.name not in SKIPPED:
            loaded = importlib.import_module(module.name)
            for name, value in vars(loaded).items():
                for number, pattern in enumerate(_held(value, module.name)):
                    found.setdefault(f"{module.name}:{name}.{number}", (pattern, _searched(name, loaded.__file__)))
            for line, pattern, searched in _spelled(Path(loaded.__file__)):
                found.setdefault(f"{module.name}:{line}", (pattern, searched))
    unique: dict[tuple, str] = {}
    for name, (pattern, searched) in found.items():
        unique.setdefault((pattern.pattern, pattern.flags, searched), name)
    return {name: (re.compile(*key[:2]), key[2]) for key, name in unique.items()}


def _searched(name: str, file: str) -> bool:
    """Whether a pattern of this name is used for more than matches at one place; if in doubt it is."""
    for text in (Path(file).read_text(encoding="utf-8"), _sources()):
        if uses := {use for use in re.findall(rf"\b{name}\b[).]*\.?(\w*)", text) if use in METHODS}:
            return bool(uses - ANCHORED)
    return True


@cache
def _sources() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.rglob("*.py")))


METHODS = {"match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}
ANCHORED = {"match", "fullmatch"}


def _held(value, module: str, depth: int = 0) -> Iterator[re.Pattern]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(getattr(value, "__self__", None), re.Pattern):  # its bound method
        yield value.__self__
    elif depth > 2:
        return
    elif isinstance(value, dict):
        for item in value.values():
            yield from _held(item, module, depth + 1)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _held(item, module, depth + 1)
    elif getattr(type(value), "__module__", "").startswith("curate.") or getattr(value, "__module__", "") == module:
        for item in (vars(value) if hasattr(value, "__dict__") else {}).values():
            yield from _held(item, module, depth + 1)


def _spelled(path: Path) -> Iterator[tuple[int, re.Pattern, bool]]:
    """The patterns that stand in calls such as re.sub("...", ...)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
            continue
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "re" and node.func.attr in METHODS:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str | bytes):
                yield node.lineno, re.compile(first.value), node.func.attr not in ANCHORED


def hostile(pattern: re.Pattern, size: int) -> Iterator[str | bytes]:
    """Texts of about `size` characters: each repeat of the pattern made long, alone and with the next, then broken."""
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    count, seen = _number(tree), set()
    for long in [(), *((n,) for n in range(count)[:MOST]), *((n, n + 1) for n in range(count - 1)[:MOST])]:
        for whole in {_sample(tree, long, size), _sample(tree, long, size, tail=False)}:
            for text in (whole, whole[:-1], "\n" + whole + "\0"):
                yield from _new(seen, pattern, text[: 2 * size])
    for unit in sorted({_sample(tree, (), 1), _sample(tree, (), 1)[:-1], *_atoms(tree)}):
        if unit:
            yield from _new(seen, pattern, unit * (size // len(unit)) + "\0")


def _new(seen: set, pattern: re.Pattern, text: str) -> Iterator[str | bytes]:
    if text not in seen:
        seen.add(text)
        yield text.encode("latin-1", "replace") if isinstance(pattern.pattern, bytes) else text


def _number(tree) -> int:
    """How many repeats there are."""
    return sum((op in _REPEATS) + sum(_number(inner) for inner in _inside(op, value)) for op, value in tree)


_REPEATS = (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT)


def _inside(op, value) -> list:
    if op in _REPEATS:
        return [value[2]]
    if op is c.SUBPATTERN:
        return [value[3]]
    if op is c.ATOMIC_GROUP:
        return [value]
    if op is c.BRANCH:
        return list(value[1])
    return [value[1]] if op in (c.ASSERT, c.ASSERT_NOT) else []


def _sample(tree, long: tuple[int, ...], size: int, tail: bool = True) -> str:
    """A text that matches, as far as one is easily found, with these repeats long. tail: with what follows them."""
    state = {"n": 0, "done": False}

    def made(tree) -> str:
        text = ""
        for op, value in tree:
            if state["done"] and not tail:
                for inner in _inside(op, value):
                    made(inner)
                continue
            if op in _REPEATS:
                number, (low, high, inner) = state["n"], value
                state["n"] += 1
                body = made(inner)
                if number in long:
                    times = size // max(len(body), 1) if high is c.MAXREPEAT else min(int(high), size)
                    text += body * max(times, 1)
                    state["done"] = number == max(long)
                else:
                    text += body * min(int(low), 20)
            elif op is c.BRANCH:
                options = [made(inner) for inner in value[1]]
                text += max(options, key=len)
            elif op in (c.ASSERT, c.ASSERT_NOT):
                made(value[1])
            else:
                inner = _inside(op, value)
                text += made(inner[0]) if inner else _one(op, value)
        return text

    return made(tree)


def _one(op, value) -> str:
    if op is c.LITERAL:
        return chr(value)
    if op is c.NOT_LITERAL:
        return "a" if value != ord("a") else "b"
    if op is c.ANY:
        return "a"
    if op is c.IN:
        return _of_class(value)
    return ""


_CATEGORY = {c.CATEGORY_DIGIT: "7", c.CATEGORY_SPACE: " ", c.CATEGORY_WORD: "w"}
_CATEGORY |= {c.CATEGORY_NOT_DIGIT: "n", c.CATEGORY_NOT_SPACE: "n", c.CATEGORY_NOT_WORD: "-"}


def _of_class(items) -> str:
    if items[0][0] is c.NEGATE:
        out = {chr(value) for op, value in items[1:] if op is c.LITERAL}
        out |= {_CATEGORY.get(value, "") for op, value in items[1:] if op is c.CATEGORY}
        ranges = [value for op, value in items[1:] if op is c.RANGE]
        for char in 'a-7 .<=&"A':
            if char not in out and not any(low <= ord(char) <= high for low, high in ranges):
                return char
        return "\u2603"
    op, value = items[0]
    return chr(value) if op is c.LITERAL else chr(value[0]) if op is c.RANGE else _CATEGORY.get(value, "a")


def _atoms(tree) -> set[str]:
    """Each character, or one of each class, that the pattern names."""
    found = set()
    for op, value in tree:
        if op is c.IN and value[0][0] is not c.NEGATE:
            found |= {_of_class([item]) for item in value[:6]}
        elif one := _one(op, value):
            found.add(one)
        for inner in _inside(op, value):
            found |= _atoms(inner)
    return set(sorted(found)[:40])
