"""Values that a manifest takes from outside its file: `--set`, and environment variables in paths."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

from curate.errors import CurateError, did_you_mean
from curate.manifest.models import Spec
from curate.manifest.yaml_tree import Place, read_tree

_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*+)(?::-([^}]*+))?\}")
_PATHS = (
    ("sources", None, "inputs", None),
    ("sources", None, "inputs", None, "paths"),
    ("sources", None, "inputs", None, "base"),
    ("sources", None, "images"),
    ("sources", None, "images", None),
    ("removed", None),
    ("against", None),
    ("extends",),
    ("card",),
    ("tokens", "tokenizer"),
)
"""Where a manifest has paths and addresses; None stands for any key."""


def parse(settings: Iterable[str]) -> dict[str, Any]:
    """{path: value} of what `--set` is given: `PATH=VALUE`, the value as YAML. Raises CurateError.

    parse(["near_dedup.threshold=0.7", "name=small"])  # -> {"near_dedup.threshold": 0.7, "name": "small"}
    """
    found = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not all(path.split(".")):
            fix = "for example: --set near_dedup.threshold=0.7"
            raise CurateError("`--set` takes `PATH=VALUE`", f"--set {setting}", fix)
        tree = read_tree(text)
        if tree.problems:
            raise CurateError(tree.problems[0][1], f"--set {setting}", "put the value in quotes")
        found[path] = tree.value
    return found


def lay_over(document: dict, settings: Mapping[str, Any], labels: Callable[[Any], list[str]]) -> dict[Place, str]:
    """Put settings into the tree of a manifest, which nothing else may hold a part of.

    settings  {path: value}; a path is that of a key, such as `sources.web.priority`, or `STAGE.PARAMETER`
    labels    of the stages of a list, or of a pipeline by its name

    Returns {place: path} of what is new. Raises CurateError for a path that leads nowhere.
    """
    new: dict[Place, str] = {}
    for path, value in settings.items():
        keys = path.split(".")
        if keys[0] in Spec.model_fields:
            new[_put(document, (), keys, value, path)] = path
            continue
        scopes: list[tuple[Place, dict, str]] = [((), document, "stages")]
        sources = document.get("sources")
        for name, source in (sources if isinstance(sources, dict) else {}).items():
            scopes += [(("sources", name), source, "pipeline")] if isinstance(source, dict) else []
        known = {label: None for _, held, key in scopes for label in labels(held.get(key))}
        label = path.rpartition(".")[0]
        if label not in known:
            fix = did_you_mean(label or path, [*known, *Spec.model_fields])
            raise CurateError(f"`{path}` is neither a key nor a parameter of a stage", f"--set {path}", fix)
        for place, held, key in scopes:
            if label in labels(held.get(key)):
                new[_put(held, place, ["set", path], value, path)] = path
    return new


def _put(held: Any, place: Place, keys: list[str], value: Any, path: str) -> Place:
    """Put a value where the keys lead from here. Returns its place."""
    key = keys[0]
    if isinstance(held, list):
        names = [next(iter(entry), "") if isinstance(entry, dict) else entry for entry in held]
        if key in names:
            at: str | int = names.index(key)
            if len(keys) > 1:
                if not isinstance(held[at], dict):
                    held[at] = {key: {}}
                return _put(held[at], (*place, at), keys, value, path)
        elif key.isdecimal() and int(key) < len(held):
            at = int(key)
        else:
            fix = did_you_mean(key, dict.fromkeys(map(str, names)))
            raise CurateError(f"the list has no `{key}`", f"--set {path}", fix)
    elif isinstance(held, dict):
        at = key
        held.setdefault(key, {})
    else:
        raise CurateError(f"`{key}` is inside a value that is not a mapping", f"--set {path}", "set the whole value")
    if len(keys) == 1 or (key == "set" and len(keys) > 2):  # whose keys have dots
        rest = ".".join(keys[1:])
        if rest:
            return _put(held, place, ["set", rest], value, path)
        held[at] = value
        return (*place, at)
    if held[at] is None:
        held[at] = {}
    return _put(held[at], (*place, at), keys[1:], value, path)


def written(document: dict, settings: Mapping[str, Any]) -> str:
    """The text of a manifest with its settings laid over, which is what a release has of it."""
    said = "".join(f"# set: {path}\n" for path in settings)
    return said + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def unshared(value: Any) -> Any:
    """A copy of a tree in which no two places hold one object, as those of aliases do."""
    if isinstance(value, dict):
        return {key: unshared(held) for key, held in value.items()}
    return [unshared(held) for held in value] if isinstance(value, list) else value


class Environment:
    """Variables of the environment, and the home, in the paths of a manifest. used: {variable: value} so far."""

    def __init__(self):
        self.used: dict[str, str] = {}

    def expand(self, text: str) -> str:
        """`${NAME}`, `${NAME:-DEFAULT}` and a `~` at the beginning, as a shell would. Raises CurateError."""

        def value(found: re.Match) -> str:
            name, default = found[1], found[2]
            here = os.environ.get(name) or default
            if here is None:
                fix = f"set it, or write `${{{name}:-DEFAULT}}`"
                raise CurateError(f"the environment variable `{name}` is not set", fix=fix)
            self.used[name] = here
            return here

        text = _VARIABLE.sub(value, text)
        if text == "~" or text.startswith("~/"):
            self.used["~"] = home = os.path.expanduser("~")
            return home + text[1:]
        return text

    def expand_paths(self, document: Any, wrong: Callable[[Place, str, str], None], place: Place = ()) -> Any:
        """The tree of a manifest with its paths expanded. wrong: told the place and the mistake of one that is not."""
        if isinstance(document, dict):
            return {key: self.expand_paths(held, wrong, (*place, key)) for key, held in document.items()}
        if isinstance(document, list):
            return [self.expand_paths(held, wrong, (*place, at)) for at, held in enumerate(document)]
        if isinstance(document, str) and any(_matches(place, pattern) for pattern in _PATHS):
            try:
                return self.expand(document)
            except CurateError as error:
                wrong(place, error.what, error.fix)
        return document

    def expand_parameters(self, params: Any) -> Any:
        """The parameters of a stage, with those expanded that begin as such a path."""
        if isinstance(params, dict):
            return {key: self.expand_parameters(held) for key, held in params.items()}
        if isinstance(params, list):
            return [self.expand_parameters(held) for held in params]
        is_path = isinstance(params, str) and params.startswith(("${", "~/"))
        return self.expand(params) if is_path else params


def _matches(place: Place, pattern: tuple) -> bool:
    return len(place) == len(pattern) and all(key in (None, at) for at, key in zip(place, pattern, strict=True))
