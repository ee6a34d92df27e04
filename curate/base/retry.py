"""How long to pause between tries, for inputs and the Hub alike: try, wait, try again."""

from collections.abc import Callable
from typing import TypeVar

LONGEST = 60.0
"""Seconds of one pause, unless the server asks for more."""

T = TypeVar("T")


class Trouble(Exception):
    """What may pass.

    said      for people: `it answers 503`
    after     seconds that the server asks for
    share     of the patience that this deserves
    progress  whether something arrived before
    final     what to raise where it does not pass, if that is known here
    """

    def __init__(
        self,
        said: str,
        after: float | None = None,
        share: float = 1.0,
        progress: bool = False,
        final: Exception | None = None,
    ):
        super().__init__(said)
        self.said, self.after, self.share, self.progress, self.final = said, after, share, progress, final


def retried(
    work: Callable[[], T],
    wait: Callable[[Trouble, float, int], bool | None],
    given_up: Callable[[Trouble], Exception],
    seconds: float = float("inf"),
    tries: float = float("inf"),
) -> T:
    """What `work` returns, called again where it raises Trouble, after pauses of 1, 2, 4 ... seconds, or as long as the
    server asks.

    wait      wait(trouble, pause, tried) waits so many seconds, after that many tries; true: give up
    given_up  the error to raise then, and where patience is at an end
    seconds   to wait in all, and `tries` to make in all: both count from where something arrived last
    """
    waited, tried = 0.0, 0
    while True:
        try:
            return work()
        except Trouble as trouble:
            if trouble.progress:
                waited, tried = 0.0, 0
            tried += 1
            left, asked = seconds * trouble.share - waited, trouble.after
            if tried >= tries or left <= 0 or (asked is not None and asked > left):
                raise given_up(trouble) from trouble
            longer = min(LONGEST, 2.0 ** (tried - 1))
            pause = min(left, longer) if asked is None else max(asked, longer / 2)
            waited += pause
            if wait(trouble, pause, tried):
                raise given_up(trouble) from trouble
