"""Quotas along the hash line, against a plain walk along it, and what phases and budgets promise."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from curate.mix.keys import Repeats
from curate.mix.quotas import Short, Want, draw

sizes = st.lists(st.lists(st.integers(1, 50), max_size=12), min_size=1, max_size=4)


def drawn(keys: list[list[int]], wants: list[Want], repeats: int = 1) -> list[list[tuple[int, int, int]]]:
    """For each phase the (key, place in the key, copy) of what it gets."""
    size = np.array([size for key in keys for size in key], np.int64)
    start = np.concatenate([[0], np.cumsum([len(key) for key in keys], dtype=np.int64)])
    found = draw(size, start, wants, Repeats.same(len(keys), repeats))
    phases = [[] for _ in wants]
    for row, phase, copy in zip(found.row.tolist(), found.phase.tolist(), found.copy.tolist(), strict=True):
        key = int(np.searchsorted(start, row, side="right")) - 1
        phases[phase].append((key, row - int(start[key]), copy))
    return phases


def shortage(keys: list[list[int]], wants: list[Want], repeats: int) -> Short | None:
    try:
        drawn(keys, wants, repeats)
    except Short as short:
        return short
    return None


def walk(pool: list[int], amount, epochs: int) -> int:
    """How many documents of a pool that is gone through again and again come nearest to an amount."""
    best, total = 0, 0
    for count, size in enumerate(pool * epochs, 1):
        total += size
        if abs(total - amount) < abs(sum((pool * epochs)[:best]) - amount):
            best = count
    return best


def reference(keys: list[list[int]], wants: list[Want], repeats: int) -> list[Counter]:
    """How often each phase sees each (key, place): phase after phase, key after key, document after document."""
    demand = [sum(want.budget * want.weights[key] for want in wants if not want.again) for key in range(len(keys))]
    position, so_far = [0] * len(keys), [Fraction(0)] * len(keys)
    begins, phases = {}, [Counter() for _ in wants]

    def take(number: int, pools: list[list[int]], epochs: list[int]) -> list[int]:
        taken, share, counts = 0, Fraction(0), []
        for key, pool in enumerate(pools):
            count = 0
            if wants[number].weights[key]:
                share += wants[number].weights[key]
                goal = int(wants[number].budget * share + Fraction(1, 2)) - taken
                amounts = [keys[key][place] for place in pool]
                count = walk(amounts, goal, epochs[key])
                taken += sum((amounts * epochs[key])[:count])
                phases[number].update((key, place) for place in (pool * epochs[key])[:count])
            counts.append(count)
        return counts

    for number, want in enumerate(wants):
        if want.again:
            continue
        pools, scarce = [], [demand[key] > sum(keys[key]) for key in range(len(keys))]
        for key, mine in enumerate(keys):
            so_far[key] += want.budget * want.weights[key]
            stop = walk(mine, so_far[key] * sum(mine) / demand[key], 1) if scarce[key] else len(mine)
            begins[number, key] = position[key]
            pools.append(list(range(position[key], max(stop, position[key]))))
        counts = take(number, pools, [repeats if few else 1 for few in scarce])
        position = [
            start + (len(pool) if few else count)
            for start, pool, few, count in zip(position, pools, scarce, counts, strict=True)
        ]
    for number, want in enumerate(wants):
        if want.again:
            later = [other for other in range(number + 1, len(wants)) if not wants[other].again]
            pools = []
            for key, mine in enumerate(keys):
                begin = begins[later[0], key] if later else position[key]
                pools.append([*range(position[key], len(mine)), *range(begin)])
            take(number, pools, [repeats] * len(keys))
    return phases


@st.composite
def mixtures(draw_):
    keys = draw_(sizes)
    wants = []
    for _ in range(draw_(st.integers(1, 3))):
        parts = draw_(st.lists(st.integers(0, 5), min_size=len(keys), max_size=len(keys)))
        total = sum(parts)
        weights = tuple(Fraction(part, total) if total else Fraction(1, len(keys)) for part in parts)
        again = bool(wants) and draw_(st.booleans())
        wants.append(Want(weights, draw_(st.integers(1, 400)), again))
    return keys, wants, draw_(st.integers(1, 4))


@settings(max_examples=300, deadline=None)
@given(mixtures())
def test_equals_a_walk_along_the_line(mixture):
    keys, wants, repeats = mixture
    assume(shortage(keys, wants, repeats) is None)
    found = drawn(keys, wants, repeats)
    assert [Counter((key, place) for key, place, _ in phase) for phase in found] == reference(keys, wants, repeats)


@settings(max_examples=300, deadline=None)
@given(mixtures())
def test_what_is_promised(mixture):
    """Short exactly where there is too little; else every budget to a document, phases apart, no document too often."""
    keys, wants, repeats = mixture
    apart = [want for want in wants if not want.again]
    demand = [sum(want.budget * want.weights[key] for want in apart) for key in range(len(keys))]
    there = [sum(key) for key in keys]
    too_little = any(amount > repeats * total for amount, total in zip(demand, there, strict=True))
    short = shortage(keys, wants, repeats)
    if short:
        assert too_little or any(wants[phase].again for phase in short.phases)
        return
    assert not too_little
    found = drawn(keys, wants, repeats)
    largest = max((size for key in keys for size in key), default=0)
    seen = [{(key, place) for key, place, _ in phase} for phase in found]
    for number, (phase, want) in enumerate(zip(found, wants, strict=True)):
        assert len(phase) == len(set(phase)), "the same copy twice"
        assert all(0 <= copy < repeats for _, _, copy in phase)
        total = sum(keys[key][place] for key, place, _ in phase)
        spare = all(2 * amount <= all_ for amount, all_ in zip(demand, there, strict=True))
        if spare and not want.again:
            assert abs(total - want.budget) <= largest / 2 + Fraction(1, 2)
            for key, weight in enumerate(want.weights):
                mine = sum(keys[of][place] for of, place, _ in phase if of == key)
                assert abs(mine - want.budget * weight) <= largest + 1
        for other in range(number):
            if not want.again:
                assert not seen[number] & seen[other], "phases are not disjoint"


@given(sizes, st.integers(1, 3))
def test_without_weights_and_budget_all_is_taken_each_time(keys, repeats):
    (found,) = drawn(keys, [Want()], repeats)
    everything = [(key, place) for key, mine in enumerate(keys) for place in range(len(mine))]
    assert Counter((key, place) for key, place, _ in found) == dict.fromkeys(everything, repeats)


def test_documents_without_size_are_not_lost():
    (found,) = drawn([[0, 0], [5, 0, 3, 0]], [Want()])
    assert sorted(found) == [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0), (1, 2, 0), (1, 3, 0)]


def test_a_weight_of_nothing_takes_nothing():
    (found,) = drawn([[0, 4], [10, 10]], [Want((Fraction(0), Fraction(1)), 10)])
    assert found == [(1, 0, 0)]


@settings(max_examples=200, deadline=None)
@given(mixtures())
def test_what_an_error_says_would_mend_does(mixture):
    keys, wants, repeats = mixture
    wants = [Want(want.weights, want.budget) for want in wants]
    short = shortage(keys, wants, repeats)
    assume(short is not None)
    assert short.asked > repeats * short.there
    assert short.there == sum(keys[short.group])
    if short.repeats:
        assert short.repeats > repeats
        assert shortage(keys, wants, short.repeats) is None
        assert shortage(keys, wants, short.repeats - 1) is not None
    if short.scale:
        lower = [Want(want.weights, int(want.budget * short.scale)) for want in wants]
        assert shortage(keys, lower, repeats) is None


def test_a_budget_left_out_is_as_much_as_the_weights_allow():
    keys = [[10] * 10, [10] * 50]
    half = (Fraction(1, 2), Fraction(1, 2))
    size = np.full(60, 10, np.int64)
    found = draw(size, np.array([0, 10, 60]), [Want(half)], Repeats.same(2, 2))
    assert found.budgets == [400]
    assert len(found.row) == 40
    found = draw(size, np.array([0, 10, 60]), [Want(half), Want(half, 120)], Repeats.same(2, 1))
    assert found.budgets == [80, 120]
    with pytest.raises(Short) as error:
        drawn(keys, [Want(half, 200), Want(half)])
    assert (error.value.phases, error.value.group, error.value.asked) == ([1], 0, None)


def test_upsampling_is_whole_epochs_and_a_part():
    (found,) = drawn([[1] * 4, [1] * 96], [Want((Fraction(1, 10), Fraction(9, 10)), 100)], 3)
    small = Counter(place for key, place, _ in found if key == 0)
    assert small == {0: 3, 1: 3, 2: 2, 3: 2}


def test_a_phase_that_may_repeat_takes_what_no_other_has_first():
    one = (Fraction(1),)
    first, again = drawn([[1] * 10], [Want(one, 6), Want(one, 7, again=True)])
    assert [place for _, place, _ in first] == [0, 1, 2, 3, 4, 5]
    assert [place for _, place, _ in again] == [6, 7, 8, 9, 0, 1, 2]
