"""How many cores and how much memory this process may use: CPU affinity, cgroup limits.

A container, a Slurm job or `taskset` gives a part of the machine. Taking all of it starts workers that wait for one
another, or that the kernel kills.
"""

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def cores() -> int:
    """Cores that this process may use, at least 1: affinity, and the quota of its cgroup rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *_quotas()]))


def memory() -> int:
    """Bytes of memory that this process and its workers may use: the machine's, or the limit of its cgroup."""
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_limits()])


def _quotas() -> list[int]:
    """Cores of each CPU quota that holds for this process."""
    found = []
    for folder in _folders("cpu"):
        quota, _, period = _read(folder / "cpu.max").partition(" ")  # version 2: `MICROSECONDS|max PERIOD`
        quota, period = quota or _read(folder / "cpu.cfs_quota_us"), period or _read(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period) > 0:  # -1 and max: none
            found.append(-(-int(quota) // int(period)))
    return [cores for cores in found if cores > 0]


def _limits() -> list[int]:
    """Bytes of each memory limit that holds for this process."""
    names = ("memory.max", "memory.high", "memory.limit_in_bytes")
    found = [_read(folder / name) for folder in _folders("memory") for name in names]
    return [int(limit) for limit in found if limit.isdigit() and int(limit) > 0]


def _folders(controller: str) -> list[Path]:
    """The folders of the cgroups of this process, from its own to the root: each limits those below it."""
    found = []
    for line in _read(MEMBERSHIP).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            root = CGROUPS
        elif controller in controllers.split(","):
            root = next((home for home in (CGROUPS / controllers, CGROUPS / controller) if home.is_dir()), CGROUPS)
        else:
            continue
        own = root / path.strip("/")  # in a container this is often not there, and the root is its own cgroup
        found += [folder for folder in (own, *own.parents) if folder == root or root in folder.parents]
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
