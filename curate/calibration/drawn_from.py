"""What a calibration set's lock records about the releases it was drawn from."""

import hashlib

from curate.calibration import shards


def released(pool: shards.Pool) -> dict:
    """{"release": what is drawn from}, and of several "releases" with their weights."""
    each = [{name: getattr(one.lock, name) for name in ("name", "version", "digest")} for one in pool.releases]
    if len(each) == 1:
        return {"release": each[0]}
    joined = {name: " + ".join(one[name] for one in each) for name in ("name", "version")}
    digest = hashlib.sha256("".join(one["digest"] for one in each).encode()).hexdigest()
    weights = pool.weights or [None] * len(each)
    named = [one | {"weight": weight} for one, weight in zip(each, weights, strict=True)]
    return {"release": joined | {"digest": f"sha256:{digest}"}, "releases": named}


def named_after(pool: shards.Pool) -> str:
    """Names and versions, as part of a path."""
    return "+".join(f"{release.lock.name}-{release.lock.version}" for release in pool.releases)


def each_of(lock: dict) -> list[dict]:
    """The releases of a set."""
    return lock.get("releases") or [lock["release"]]


def license_of(pool: shards.Pool) -> str | None:
    """That of the release, or those of several."""
    return " AND ".join(sorted({release.lock.license for release in pool.releases if release.lock.license})) or None


def decontaminated(pool: shards.Pool) -> list[dict]:
    """The stages that took evaluation sets out of the releases: {"scope", "label", "sets"}, of several "release"."""
    several = len(pool.releases) > 1
    return [
        {"scope": stage.scope, "label": stage.label, "sets": sorted(stage.params["sets"])}
        | ({"release": release.lock.title} if several else {})
        for release in pool.releases
        for stage in release.lock.stages
        if stage.stage == "decontaminate" and stage.params["mode"] == "reject"
    ]


def exposed(lock: dict) -> list[str]:
    """The releases out of which no evaluation set was taken, by name and version."""
    done, each = {entry.get("release") for entry in lock["decontaminated"]}, each_of(lock)
    if len(each) == 1:
        return [] if done else ["the release"]
    return [title for one in each if (title := f"{one['name']} {one['version']}") not in done]
