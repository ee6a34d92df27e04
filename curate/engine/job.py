"""A job makes one part: its fingerprint, and which jobs a run still has to do."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

ENGINE = 3
"""Raised when the engine itself makes other parts of the same jobs."""


@dataclass(frozen=True)
class Job:
    """One part to make.

    fp        fingerprint: blake2b-128 of the task, its args and the fingerprints upstream
    task      the function of `curate.engine.jobs` that makes it
    label     for people; also what is compared between two plans to say why a job runs
    args      what affects the result, as JSON values
    where     what does not: addresses of the inputs, paths of the resources by their digests, the part that is read
              in place of another that says the same, and the `label` of the stage whose step it is
    upstream  fingerprints of the parts it reads
    scope     the source whose own stages it carries out; empty: those over all sources, or none
    """

    fp: str
    task: str
    label: str
    args: dict = field(repr=False)
    where: dict = field(repr=False)
    upstream: tuple[str, ...] = field(repr=False)
    scope: str = ""


PASSING = ("keys", "step", "merge", "barrier", "order", "line", "quotas", "draw", "chosen")
"""Tasks whose parts are of use to other jobs alone."""


def unmade(jobs: Iterable[Job], made: Callable[[str], Any]) -> list[Job]:
    """The jobs that a run has to do: those that are not made, and of what is only passed on just what these read.

    jobs  in an order in which they can run
    made  whether the part of this fingerprint is there
    """
    found, asked = [], set()
    for job in reversed(list(jobs)):
        if job.task in PASSING and job.fp not in asked:
            continue
        there = made(job.fp)
        if not there:
            found.append(job)
        if not there or job.task == "barrier":  # who goes through a barrier reads what is behind it
            asked.update(job.upstream)
    return found[::-1]


def fingerprint(task: str, args: dict, upstream: Iterable[str]) -> str:
    """The identity of a job: what it does, with what, to what. Nothing of the machine, the clock or the workers."""
    key = json.dumps([ENGINE, task, args, list(upstream)], sort_keys=True, ensure_ascii=True)
    return blake2b(key.encode(), digest_size=16).hexdigest()
