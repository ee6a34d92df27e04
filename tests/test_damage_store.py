"""Whatever happens to the files of a work folder, running again gives the same releases or names the file."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "bench"))
from damage import Outcome, Place, damage

del sys.path[0]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    return Place(tmp_path_factory.mktemp("damage"))


@pytest.mark.parametrize("seed", range(12))
def test_a_damage_is_healed_or_named(place, seed):
    outcome = Outcome()
    damage(place, seed, outcome)
    assert not outcome.failing
    assert (outcome.damages, outcome.healed_or_named, outcome.wrong_releases, outcome.exit_70) == (1, 1, 0, 0)
