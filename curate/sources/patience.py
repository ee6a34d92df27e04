"""Which responses of an input's server are worth retrying, and for how long in total (`CURATE_PATIENCE`).

CURATE_PATIENCE in the environment: seconds to wait, all tries together, for one file of a server that asks for
patience (120 unless set); half of it for one that does not answer at all. Bytes that arrive start it again.
"""

import os
import random
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from curate.base.retry import T, Trouble, retried
from curate.base.terminal import say
from curate.errors import Stopped
from curate.sources import shown

PATIENCE = float(os.environ.get("CURATE_PATIENCE", 120))
PAUSE = 1.0
"""What a second of waiting lasts; 0 in tests."""

BUSY = frozenset((408, 425, 429, 500, 502, 503, 504, 509, *range(520, 528), 529, 598, 599))
"""Statuses that pass. 509 and above are those of hosts and of Cloudflare."""

abandoned = threading.Event()
"""Set while another file of the same plan has failed: nothing is waited for any more."""

_told: dict[str, float] = {}
_telling = threading.Lock()


def patiently(url: str, work: Callable[[], T]) -> T:
    """What `work` returns, tried again where it raises Trouble, with some chance in the pauses, for PATIENCE seconds.
    Raises Stopped when patience is at an end."""

    def wait(trouble: Trouble, pause: float, tried: int) -> bool:
        _tell(url, trouble.said, pause)
        return abandoned.wait(pause * random.uniform(1, 1.25) * PAUSE)  # chance: many do not come back at once

    return retried(work, wait, lambda trouble: _given_up(url, trouble), seconds=PATIENCE)


def _given_up(url: str, trouble: Trouble) -> Exception:
    if trouble.final:
        return trouble.final
    wait = "" if trouble.after is None else f", and asks to wait {trouble.after:,.0f} s"
    fix = "run the same command again later to resume; CURATE_PATIENCE sets how many seconds to wait for a server"
    return Stopped(f"cannot fetch an input now: {trouble.said}{wait}", shown(url), fix)


def _tell(url: str, said: str, pause: float) -> None:
    """One line a host every few seconds, however many files wait for it."""
    parts = urlsplit(url)
    host, now = parts.hostname or parts.scheme, time.monotonic()
    with _telling:
        if now - _told.get(host, -1e9) < 5:
            return
        _told[host] = now
    say(f"waiting {pause:.0f} s for {shown(f'x://{host}')[4:]}: {said}")


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header: a number, or a date. None where it has neither."""
    if not value:
        return None
    try:
        return max(float(value), 0.0) if float(value) < float("inf") else None
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(value)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max((until - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def plain(error: Exception) -> str:
    """What a library says, without the objects and addresses it names."""
    first = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    text = re.sub(r"<[^<>]*>:? ?|\b\w+\(host=[^)]*\):? ?|\bhttps?://\S+", "", first)
    return text.strip()[:200] or type(error).__name__
