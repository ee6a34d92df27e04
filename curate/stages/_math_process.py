"""math-verify in a separate process, since SymPy can hang, crash, or exhaust memory on untrusted input.

The time limits of math-verify itself are Python signal handlers: they need the main thread, and cannot interrupt one
long operation on integers. Here the kernel ends the process when a comparison uses too much CPU time, and a new process
takes the next one.
"""

import math
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

from curate.base.child import Child, Gone, main
from curate.errors import CurateError

MEMORY = 1 << 30
"""Bytes that the process may allocate after it has started."""

MAX_DIGITS = 100_000
"""The longest number to compute for an answer."""

EQUAL, DIFFERENT = "equal", "different"
TOO_LARGE = f"a number of more than {MAX_DIGITS:,} digits"
NOT_PARSED = "math-verify cannot parse the {} answer"
CRASHED = f"math-verify crashed, or needed more than {MEMORY >> 30} GiB"

_LOG_2 = math.log10(2)
_GROWING = {"factorial", "factorial2", "subfactorial", "gamma", "binomial", "RisingFactorial", "FallingFactorial"}
_PATIENCE = 30
"""Wall-clock time allowed per second of CPU time: other work on the machine must not change a verdict."""

_KEPT = threading.local()


@lru_cache(4096)
def compared(gold: str, answer: str, seconds: float) -> str:
    """Compare two answers in LaTeX with math-verify: `equal`, `different`, or why it cannot tell.

    seconds  limit of CPU time
    """
    kept = _KEPT.__dict__.setdefault("children", {})
    here = os.getpid()  # a fork of this process must not talk to its parent's
    if here not in kept:
        kept[here] = _started()
    child: Child = kept[here]
    try:
        return child.ask((gold, answer, seconds), _PATIENCE * seconds)
    except Gone:
        del kept[here]
        slow = child.process is not None and child.process.returncode == -signal.SIGPROF
        return f"the comparison takes more than {seconds:g} s" if slow else CRASHED


def _started() -> Child:
    child = Child(__name__, env={"PYTHONHASHSEED": "0"})  # SymPy iterates over sets
    try:
        child.ask(None)  # startup does not count as time of a comparison
    except Gone:
        fix = "see what `python -c 'import math_verify'` says"
        raise CurateError("the process that runs math-verify does not start", fix=fix) from None
    return child


def _answers(argument: str) -> Callable[[tuple[str, str, float] | None], str]:
    """What the process serves: comparisons of (gold answer, final answer, limit in seconds)."""
    import math_verify  # noqa: F401 (at startup, before anything is timed)

    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    most = _limit_memory()

    def answer(question: tuple[str, str, float] | None) -> str:
        if question is None:
            return EQUAL
        gold, answer, seconds = question
        signal.setitimer(signal.ITIMER_PROF, seconds)  # SIGPROF ends the process, whatever it is doing
        try:
            found = _verdict(gold, answer)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        if _peak() > most:  # SymPy catches MemoryError, and goes on as if nothing were wrong
            os._exit(1)
        return found

    return answer


def _verdict(gold: str, answer: str) -> str:
    from math_verify import verify

    golds, answers = _parsed(gold), _parsed(answer)
    if max(map(_digits, golds + answers), default=0) > MAX_DIGITS:
        return TOO_LARGE
    if verify(golds, answers, timeout_seconds=None):
        return EQUAL
    for name, found in (("gold", golds), ("final", answers)):
        if all(isinstance(one, str) for one in found):  # nothing, or just the text
            return NOT_PARSED.format(name)
    return DIFFERENT


@lru_cache(1024)
def _parsed(answer: str) -> list:
    """What math-verify reads in LaTeX: a SymPy object and the text, the text alone, or nothing."""
    from math_verify import parse
    from math_verify.parser import LatexExtractionConfig

    return parse(f"\\boxed{{{answer}}}", [LatexExtractionConfig(boxed_match_priority=0)], parsing_timeout=None)


def _digits(expression: Any) -> float:
    """A rough upper bound of the digits of the numbers that computing a SymPy expression takes."""
    if getattr(expression, "is_Rational", False):
        return _LOG_2 * max(expression.p.bit_length(), expression.q.bit_length())
    if getattr(expression, "is_Float", False):
        _, _, exponent, bits = expression._mpf_
        return _LOG_2 * max(exponent + bits, 1)
    arguments = expression.flat() if hasattr(expression, "flat") else getattr(expression, "args", ())
    sizes = [_digits(one) for one in arguments]
    if not sizes:
        return 0
    if getattr(expression, "is_Mul", False):
        return sum(sizes)
    largest = max(sizes) + math.log10(len(sizes))
    if getattr(expression, "is_Pow", False):
        power = arguments[1]
        times = abs(float(power)) if power.is_Rational and sizes[1] < 99 else 10 ** min(sizes[1], 99)
        return max(largest, max(sizes[0], _LOG_2) * times)
    if type(expression).__name__ in _GROWING:
        return largest * 10 ** min(largest, 99)
    return largest


def _limit_memory() -> int:
    """Limit the memory of this process. Returns the peak, in bytes, from which it counts as having run out."""
    start = _peak()
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    with suppress(OSError, ValueError), open("/proc/self/statm") as sizes:  # Linux only
        size = int(sizes.read().split()[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (size if most == resource.RLIM_INFINITY else min(size, most), most))
    return start + MEMORY * 3 // 4


def _peak() -> int:
    """Peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main(_answers)
