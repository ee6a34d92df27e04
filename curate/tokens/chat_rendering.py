"""Render conversations by a chat template, as `transformers` does, within bounds.

Templates are other people's code: Jinja2's sandbox runs them, without chance and clock, and what one conversation may
take of loops and text is bounded by counts, so that the same conversation is refused everywhere.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import MAX_RANGE, ImmutableSandboxedEnvironment

from curate.tokens.chat import GENERATION, ChatTemplate

STEPS = 1 << 21
"""Turns of loops and calls of macros that a conversation may take, of all its renderings together: some seconds."""

CHARS = 1 << 27
"""Characters that its renderings may have together."""

MOST_POWER = 1000

Span = tuple[int, int]


class Unusable(Exception):
    """A conversation that cannot be used. reason: a short name; detail: what is wrong with it."""

    def __init__(self, reason: str, detail: str):
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Rendered:
    """The text of a conversation, and what the assistant wrote of it: spans of characters, in order."""

    text: str
    spans: list[Span] = field(default_factory=list)


class Renderer:
    """Renders conversations. Compiles each template once."""

    def __init__(self, template: ChatTemplate, steps: int = STEPS, chars: int = CHARS):
        self.template, self.steps, self.chars = template, steps, chars
        self.compiled: dict[str, jinja2.Template] = {}

    def render(self, messages: list[dict], tools: list | None = None, answers: bool = True) -> Rendered:
        """A conversation as text.

        messages  dicts of role, content, and what else the template reads
        tools     JSON schemas
        answers   whether to find the spans of the assistant: those in `{% generation %}` blocks, or if the template
                  has none what each answer adds to the text before it, the generation prompt included

        Raises Unusable: `template_error` where the template refuses it or fails on it, `template_limit` beyond the
        bounds, `not_a_prefix` where the text of an answer depends on what follows it.

        >>> renderer.render([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}])
        Rendered(text='<|user|>Hi<|assistant|>Hello<|end|>', spans=[(21, 33)])
        """
        source = self.template.source(tools)
        with _errors_named():
            if source not in self.compiled:
                self.compiled[source] = Sandbox(self.template).from_string(source)
            template = self.compiled[source]
            template.environment.allow(self.steps, self.chars)
            once = partial(_once, template, tools=tools, **self.template.special)
            found = once(messages)
            if not answers or GENERATION.search(source):
                return found if answers else Rendered(found.text)
            return Rendered(found.text, list(_by_prefix(once, messages, found.text)))


def names_in(template: ChatTemplate) -> set[str]:
    """The names of variables and functions that a template uses. Raises ValueError for one that is not Jinja2."""
    try:
        trees = [Sandbox().parse(source) for source in template.sources.values()]
    except (jinja2.TemplateError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return {node.name for tree in trees for node in tree.find_all(nodes.Name)}


def _once(template: jinja2.Template, messages: list[dict], prompt: bool = False, **variables: Any) -> Rendered:
    """Render once, with the spans of `{% generation %}` blocks. prompt: with the generation prompt at the end."""
    environment, blocks = template.environment, []
    environment.written, environment.spans = 0, []
    variables = {"messages": messages, "documents": None, "add_generation_prompt": prompt} | variables
    for block in template.generate(**variables):
        environment.write(block)
        blocks.append(block)
    return Rendered("".join(blocks), environment.spans)


def _by_prefix(once: Callable, messages: list[dict], text: str) -> Iterator[Span]:
    """Where each answer is: from the text of what came before it, with the generation prompt, to the text up to it."""
    for place, message in enumerate(messages):
        if message.get("role") != "assistant":
            continue
        before, after = once(messages[:place], True).text, once(messages[: place + 1]).text
        if not (len(before) <= len(after) and text.startswith(before) and text.startswith(after)):
            what = "the template writes it otherwise when other messages follow"
            raise Unusable("not_a_prefix", f"message {place + 1} of {len(messages)}: {what}")
        yield len(before), len(after)


@contextmanager
def _errors_named() -> Iterator[None]:
    """Whatever a template raises as Unusable."""
    try:
        yield
    except (Unusable, KeyboardInterrupt):
        raise
    except MemoryError:
        raise Unusable("template_limit", "out of memory") from None
    except Exception as error:
        said = str(error).strip().partition("\n")[0][:200]
        what = said if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: {said}"
        raise Unusable("template_error", what or type(error).__name__) from None


class _Generation(Extension):
    """`{% generation %}` ... `{% endgeneration %}`: notes where in the text the block is."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Any) -> nodes.CallBlock:
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_noted"), [], [], body).set_lineno(line)

    def _noted(self, caller: Any) -> str:
        text = caller()
        environment = self.environment
        environment.spans.append((environment.written, environment.written + len(text)))
        return text


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2 as `transformers` sets it up for chat templates, with bounds, and without chance."""

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, template: ChatTemplate | None = None):
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self.written, self.spans = 0, []
        self.allow(STEPS, CHARS)
        self.filters["tojson"] = _tojson
        self.globals |= {"raise_exception": _raise_exception, "dict": _Dict(), "namespace": _Namespace}
        self.globals["range"] = self._range
        if template and template.date:
            self.globals["strftime_now"] = date.fromisoformat(template.date).strftime
        del self.globals["lipsum"], self.filters["random"]  # by chance

    def allow(self, steps: int, chars: int) -> None:
        """What the next renderings may take together."""
        self.steps, self.chars = steps, chars

    def step(self, count: int = 1) -> str:
        """Take steps of those that are left."""
        self.steps -= count
        if self.steps < 0:
            raise Unusable("template_limit", "the template loops too often")
        return ""

    def write(self, block: str) -> None:
        """Count a block of the text."""
        self.chars_left(len(block))
        self.chars -= len(block)
        self.written += len(block)

    def chars_left(self, count: int) -> None:
        """Raise Unusable unless so many characters are left."""
        if count > self.chars:
            raise Unusable("template_limit", "the template writes too much")

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """A product or a power, unless it would be huge."""
        if operator == "**" and isinstance(right, int) and right > MOST_POWER:
            raise Unusable("template_limit", f"a number to the power of {right:,}")
        for repeated, times in ((left, right), (right, left)):
            if isinstance(repeated, str | list | tuple) and isinstance(times, int):
                self.chars_left(len(repeated) * times)
        return super().call_binop(context, operator, left, right)

    def _range(self, *bounds: int) -> range:
        found = range(*bounds)
        if len(found) > MAX_RANGE:
            raise Unusable("template_limit", f"a range of {len(found):,} numbers")
        self.step(len(found))
        return found

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """The syntax tree, with a step at the start of each loop's and each macro's body."""
        tree = super()._parse(source, name, filename)
        for node in tree.find_all((nodes.For, nodes.Macro)):
            step = nodes.Call(nodes.EnvironmentAttribute("step"), [], [], None, None)
            node.body.insert(0, nodes.ExprStmt(step).set_lineno(node.lineno))
        return tree


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False) -> str:
    """As plain JSON: Jinja2's own escapes what HTML does not allow."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


class _Dict:
    """`dict` of templates: its two functions, without what else a class has."""

    def __call__(self, *args: Any, **values: Any) -> dict:
        return dict(*args, **values)

    def fromkeys(self, *args: Any) -> dict:
        return dict.fromkeys(*args)


class _Namespace(jinja2.utils.Namespace):
    """`namespace` of templates, which takes no name that Python keeps for itself."""

    def __init__(*args: Any, **values: Any) -> None:
        self, *rest = args
        held = dict(*rest, **values)
        for name in held:
            _check_name(name)
        jinja2.utils.Namespace.__init__(self, held)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: str) -> None:
    if re.match("_", str(name)):
        raise jinja2.exceptions.SecurityError(f"a namespace has no `{name}`")
