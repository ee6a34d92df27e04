"""Render conversations in a child process: a template that hangs or uses all memory costs only its row.

The bounds of `curate.tokens.chat_rendering` hold by counts; here are those that hold by time and memory, for what no
count can see, such as a regular expression or a text that doubles.
"""

import json
import resource
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from curate.base.child import Child, Gone, main
from curate.errors import CurateError
from curate.tokens import chat
from curate.tokens.chat_rendering import Rendered, Renderer, Unusable

MEMORY = 2 << 30
"""Bytes that the process may address."""

TOGETHER = 64
"""Conversations that it gets at once, before each by itself where that fails."""

HOPELESS = 20
"""A template that takes the process down so often before it renders a conversation is wrong itself."""

Conversation = tuple[list[dict], list | None]
"""Messages and tools."""


@dataclass
class RenderingProcess:
    """Renders conversations by the template in some files, in a process. A context manager, which ends it.

    files    as `curate.tokens.chat.files` finds them
    answers  whether to find what the assistant wrote
    seconds  that conversations may take, `TOGETHER` of them or one by itself; None: any
    """

    files: dict[str, str]
    date: str | None = None
    answers: bool = True
    seconds: float | None = 30

    def __post_init__(self):
        self.child: Child | None = None
        self.lost, self.rendered = 0, False

    def render(self, conversations: Sequence[Conversation]) -> list[Rendered | Unusable]:
        """What each becomes, or why it cannot be used: `template_crashed` where it took the process down.

        Raises CurateError for a template that does nothing else.
        """
        starts = range(0, len(conversations), TOGETHER)
        return [one for start in starts for one in self._some(conversations[start : start + TOGETHER])]

    def _some(self, conversations: Sequence[Conversation]) -> list[Rendered | Unusable]:
        with suppress(Gone):
            found = self._ask(conversations)
            self.rendered = True
            return found
        if len(conversations) > 1:
            return [one for alone in conversations for one in self._some([alone])]
        self.lost += 1
        if self.lost >= HOPELESS and not self.rendered:
            where = next(iter(self.files.values()))
            what = f"the chat template hangs or crashes on each of the first {HOPELESS} conversations"
            raise CurateError(what, str(where), "use another template")
        return [Unusable("template_crashed", "it took too long, or too much memory")]

    def _ask(self, conversations: Sequence[Conversation]) -> list[Rendered | Unusable]:
        if self.child is None:
            options = {"files": {name: str(path) for name, path in self.files.items()}}
            options |= {"date": self.date, "answers": self.answers}
            self.child = Child(__name__, json.dumps(options))
            self.child.ask([])  # the time of conversations does not count the start
        try:
            return self.child.ask(conversations, self.seconds)
        except Gone:
            self.child = None
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.child:
            self.child.end()


def _answers(argument: str) -> Callable[[list[Conversation]], list[Rendered | Unusable]]:
    """What the process does: render the conversations that it is sent."""
    options = json.loads(argument)
    _limit_memory()
    files = {name: Path(path) for name, path in options["files"].items()}
    renderer = Renderer(chat.read(files, options["date"]))

    def one(messages: list[dict], tools: list | None) -> Rendered | Unusable:
        try:
            return renderer.render(messages, tools, options["answers"])
        except Unusable as why:
            return why

    return lambda conversations: [one(*conversation) for conversation in conversations]


def _limit_memory() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most)
    with suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))


if __name__ == "__main__":
    main(_answers)
