"""What a process may use of the machine: affinity and cgroups of both versions count, and nothing else is needed."""

import pytest

from curate.base import machine
from curate.engine.on_dask import OnDask
from curate.inspect.doctor import doctor


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """Pretend that this process is in some cgroups: a function of the membership and {file: what is in it}."""

    def pretend(membership: str, files: dict[str, str]):
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "fs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        monkeypatch.setattr(machine, "MEMBERSHIP", tmp_path / "membership")
        monkeypatch.setattr(machine, "CGROUPS", tmp_path / "fs")

    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    return pretend


@pytest.mark.parametrize(
    ("membership", "files", "cores", "memory"),
    [
        ("0::/a/b", {"a/b/cpu.max": "150000 100000", "a/memory.max": "3000000", "memory.max": "max"}, 2, 3000000),
        ("0::/", {"cpu.max": "50000 100000", "memory.high": "4000000"}, 1, 4000000),
        ("0::/not/here", {"cpu.max": "300000 100000"}, 3, None),
        ("0::/a", {"a/cpu.max": "max 100000", "cpu.max": "400000 100000", "a/memory.max": "max"}, 4, None),
        (
            "4:memory:/job\n2:cpu,cpuacct:/job",
            {
                "cpu,cpuacct/job/cpu.cfs_quota_us": "250000",
                "cpu,cpuacct/job/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/job/memory.limit_in_bytes": "5000000",
            },
            3,
            5000000,
        ),
        ("2:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8, None),
        ("0::/\n", {"cpu.max": "odd", "memory.max": ""}, 8, None),
        ("", {}, 8, None),
    ],
)
def test_the_narrowest_limit_counts(cgroups, membership, files, cores, memory):
    whole = machine.memory()
    cgroups(membership, files)
    assert machine.cores() == cores
    assert machine.memory() == min(memory or whole, whole)


def test_workers_are_as_many_as_cores_may_be_used(cgroups, tmp_path):
    cgroups("0::/", {"cpu.max": "300000 100000", "memory.max": "2000000000"})
    assert OnDask(None).workers == 3
    checks = {check["name"]: check for check in doctor(tmp_path)}
    assert checks["cores"]["found"].startswith("3 of ")
    assert not checks["memory"]["ok"]
    assert checks["memory"]["fix"] == "run with --workers 1"
