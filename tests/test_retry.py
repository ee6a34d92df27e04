"""How long a server that is busy or out of reach is waited for."""

import pytest

from curate.base.retry import Trouble, retried


def pauses(*troubles: Trouble, **patience) -> tuple[list[float], str | None]:
    """How long was waited over these troubles, and what came of it: `done`, or what was said at the end."""
    waited, left = [], iter(troubles)

    def work() -> str:
        for trouble in left:
            raise trouble
        return "done"

    try:
        done = retried(
            work, lambda trouble, pause, tried: waited.append(pause), lambda t: ValueError(t.said), **patience
        )
    except ValueError as error:
        return waited, str(error)
    return waited, done


def test_pauses_grow_to_a_minute():
    assert pauses(*[Trouble("busy")] * 8) == ([1, 2, 4, 8, 16, 32, 60, 60], "done")


def test_a_server_is_left_alone_as_long_as_it_asks():
    assert pauses(Trouble("busy", after=17), Trouble("busy"), Trouble("busy", after=300)) == ([17, 2, 300], "done")


@pytest.mark.parametrize(
    ("patience", "waited"),
    [({"tries": 3}, [1, 2]), ({"tries": 1}, []), ({"seconds": 10}, [1, 2, 4, 3]), ({"seconds": 0}, [])],
)
def test_patience_ends(patience, waited):
    assert pauses(*[Trouble("busy")] * 9, **patience) == (waited, "busy")


def test_more_than_patience_is_not_waited():
    assert pauses(Trouble("busy", after=11), seconds=10) == ([], "busy")
    assert pauses(Trouble("out of reach", share=0.5), Trouble("busy"), seconds=1) == ([0.5, 0.5], "done")


def test_patience_begins_again_when_something_arrives():
    troubles = [Trouble("broken", progress=number % 3 == 0) for number in range(9)]
    assert pauses(*troubles, tries=4) == ([1, 2, 4] * 3, "done")
