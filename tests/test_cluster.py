"""Where jobs run: in waves, on the cluster of a profile, and what is said of a worker that is lost."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from releases import release, rows, write_jsonl, write_manifest

from curate.engine.execute import Ended, Lost, execute
from curate.engine.job import Job
from curate.engine.on_dask import Connected, OutOfMemory
from curate.engine.profile import Profile, load_profile, profile_of
from curate.engine.store import Store
from curate.engine.waves import Waves
from curate.errors import CurateError, ManifestError, Stopped
from curate.inspect.progress import follow
from curate.release.make import run_events


def job(name: str, *upstream: str, task: str = "map", **args) -> Job:
    return Job(name, task, name, args, {}, upstream)


@st.composite
def graphs(draw) -> list[Job]:
    count = draw(st.integers(0, 25))
    reads = [draw(st.sets(st.integers(0, number - 1), max_size=4)) if number else set() for number in range(count)]
    return [job(str(number), *map(str, sorted(seen)), "made before") for number, seen in enumerate(reads)]


@given(graphs(), st.data())
def test_each_job_runs_once_after_all_that_it_reads_and_never_after_a_failure(jobs, data):
    failing = data.draw(st.sets(st.sampled_from([one.fp for one in jobs]), max_size=3)) if jobs else set()
    spoiled: set[str] = set()  # by a plain walk in the order of the plan
    for one in jobs:
        if spoiled & {*one.upstream} or failing & {*one.upstream}:
            spoiled.add(one.fp)
    waves, running, ran, made = Waves(jobs), [], [], {"made before"}
    while True:
        room = 3 - len(running)
        taken = waves.take(room)
        assert len(taken) <= room
        assert all(made >= {*one.upstream} for one in taken)
        running += taken
        if not running:
            break
        ended = running.pop(data.draw(st.integers(0, len(running) - 1)))
        ran.append(ended.fp)
        if ended.fp not in failing:
            made.add(ended.fp)
            waves.made(ended)
    assert sorted(ran) == sorted(one.fp for one in jobs if one.fp not in spoiled)


def test_jobs_are_handed_out_in_the_order_of_the_plan():
    waves = Waves([job("a"), job("b", "a"), job("c"), job("d")])
    assert [one.fp for one in waves.take(2)] == ["a", "c"]
    waves.made(job("a"))
    assert [one.fp for one in waves.take(9)] == ["b", "d"]


def test_a_worker_without_memory_is_named_with_the_cure(tmp_path, capsys):
    killed = OutOfMemory("tcp://10.0.0.7:4444", 4 * 10**9, local=False)
    events = execute([job("big", args={})], Store(tmp_path), lambda jobs, *_: [(jobs[0], killed)])
    with pytest.raises(Stopped) as caught:
        follow(events)
    assert "retrying big: worker tcp://10.0.0.7:4444 was ended at its memory limit of 4.0 GB" in capsys.readouterr().err
    assert "give each worker more memory" in caught.value.fix
    assert "fewer --workers" in OutOfMemory("tls://127.0.0.1:1", 0, local=True).fix


@pytest.mark.parametrize(
    ("profile", "said", "where"),
    [
        ({}, "set either `cluster` or `scheduler`", ""),
        ({"cluster": "a.B", "scheduler": "tcp://x:1"}, "set either `cluster` or `scheduler`", ""),
        ({"scheduler": "tcp://x:1", "workers": 2}, "are of a cluster to start", ""),
        ({"cluster": "a.B", "workers": 2, "adaptive": {"maximum": 3}}, "either `workers` or `adaptive`", ""),
        (
            {"cluster": "a.B", "adaptive": {"minimum": 4, "maximum": 3}},
            "is more than maximum (3)",
            "adaptive",
        ),
        ({"cluster": "a.B", "adaptive": {"minimum": 4}}, "Field required", "adaptive.maximum"),
        ({"cluster": "SLURMCluster"}, "match pattern", "cluster"),
        ({"cluster": "a.B", "nodes": 3}, "Extra inputs", "nodes"),
        ({"cluster": "a.B", "workers": 0}, "greater than or equal to 1", "workers"),
        ([], "valid dictionary", ""),
    ],
)
def test_a_mistake_in_a_profile_is_named_with_its_place(tmp_path, profile, said, where):
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(profile))
    with pytest.raises(CurateError) as caught:
        load_profile(path)
    assert said in caught.value.what
    assert caught.value.where == f"{path}  {where}".rstrip()


def test_all_mistakes_of_a_profile_are_named_at_once(tmp_path):
    (tmp_path / "cluster.yaml").write_text("cluster: a.B\nnodes: 3\nworkers: none\n")
    with pytest.raises(ManifestError) as caught:
        load_profile(tmp_path / "cluster.yaml")
    assert [problem.where.split()[-1] for problem in caught.value.problems] == ["workers", "nodes"]


@pytest.mark.parametrize("text", [None, "{", "\x00"])
def test_a_profile_that_cannot_be_read_is_an_error(tmp_path, text):
    if text is not None:
        (tmp_path / "cluster.yaml").write_text(text)
    with pytest.raises(CurateError, match=r"no profile|not YAML"):
        load_profile(tmp_path / "cluster.yaml")


def test_a_scheduler_and_a_profile_are_one_too_many():
    with pytest.raises(CurateError, match="both"):
        profile_of("tcp://x:1", "cluster.yaml")


@pytest.mark.parametrize(
    ("cluster", "arguments", "said"),
    [
        ("nowhere.Cluster", {}, "no class `nowhere.Cluster`"),
        ("distributed.NoCluster", {}, "no class `distributed.NoCluster`"),
        ("distributed.LocalCluster", {"n_workers": "many"}, "`distributed.LocalCluster` could not be started"),
    ],
)
def test_a_class_that_is_not_there_or_does_not_start_is_an_error(cluster, arguments, said):
    with pytest.raises(CurateError) as caught:
        Profile(cluster=cluster, arguments=arguments).start()
    assert said in caught.value.what
    assert caught.value.exit_code == 2


def test_a_profile_for_slurm_makes_the_script_it_describes():
    pytest.importorskip("dask_jobqueue")
    asked = {"cores": 32, "processes": 32, "memory": "128GB", "queue": "cpu", "walltime": "12:00:00"}
    asked |= {"job_extra_directives": ["--exclusive"], "worker_extra_args": ["--resources", "LARGE=1"]}
    profile = Profile(cluster="dask_jobqueue.SLURMCluster", arguments=asked | {"interface": "lo"})
    cluster = profile.start()
    try:
        script = cluster.job_script()
    finally:
        cluster.close()
    for line in ("#SBATCH -p cpu", "#SBATCH -t 12:00:00", "#SBATCH --cpus-per-task=32", "#SBATCH --exclusive"):
        assert line in script
    assert "--nthreads 1 " in script
    assert "--nworkers 32 " in script
    assert "--resources LARGE=1" in script


def test_only_jobs_over_all_documents_need_the_resources_of_a_profile():
    profile = Profile(scheduler="tcp://x:1", resources={"LARGE": 1})
    assert profile.needs(job("a", task="mix")) == profile.needs(job("b", task="step", over="all")) == {"LARGE": 1}
    assert profile.needs(job("c", task="step", over="bins")) is profile.needs(job("d")) is None
    assert Profile(scheduler="tcp://x:1").needs(job("a", task="mix")) is None


def test_a_release_made_by_workers_of_a_profile_is_the_same(tmp_path, monkeypatch):
    """By a scheduler and workers that are processes of their own, with few jobs in flight."""
    monkeypatch.setattr("curate.engine.on_dask.IN_FLIGHT", 3)
    for name in "abc":
        write_jsonl(tmp_path / "in" / f"{name}.jsonl", rows(ord(name), 40))
    sources = {name: {"inputs": [f"in/{name}.jsonl"]} for name in "abc"}
    document = {"name": "x", "version": "1.0.0", "license": "mit", "sources": sources}
    manifest = write_manifest(tmp_path / "m.yaml", document | {"stages": [{"near_dedup": {"max_removed": 1}}]})
    arguments = {"worker_kwargs": {"nthreads": 1, "resources": {"LARGE": 1}}, "silence_logs": 50}
    profile = {"cluster": "distributed.SubprocessCluster", "arguments": arguments, "workers": 1}
    profile["resources"] = {"LARGE": 1}
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(profile))
    *events, last = run_events(manifest, tmp_path / "work", profile=tmp_path / "cluster.yaml")
    assert [event.dashboard[:17] for event in events if isinstance(event, Connected)] == ["http://127.0.0.1:"]
    assert not any(isinstance(event, Lost) for event in events)
    assert sum(isinstance(event, Ended) for event in events) > 20
    assert last.lock == release(manifest, tmp_path / "here").lock
