"""Bands, groups and components: against datasketch and against dictionaries and sets."""

import itertools

import numpy as np
import pytest
from datasketch.lsh import _optimal_param
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from texts import untimed

from curate.kernels.bands import band_keys, group_edges, optimal_bands, partition, proposal_probability
from curate.kernels.unionfind import components, singletons, union_edges

few_keys = st.lists(st.tuples(st.integers(0, 6) | st.integers(0, 2**64 - 1), st.integers(0, 30)), max_size=60)


@pytest.mark.parametrize("num_perm", [16, 112, 128, 256])
@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.95])
def test_optimal_bands_are_those_of_datasketch(num_perm, threshold):
    assert optimal_bands(threshold, num_perm) == _optimal_param(threshold, num_perm, 0.5, 0.5)


def test_optimal_bands_weighs_what_is_missed():
    assert optimal_bands(0.8, 128, 0.1, 0.9) == _optimal_param(0.8, 128, 0.1, 0.9)


def test_proposal_probability_is_the_share_of_random_pairs_that_share_a_band():
    rng = np.random.default_rng(0)
    agree = rng.random((20_000, 14, 8)) < 0.75  # rows of a pair agree with the chance of its similarity
    share = agree.all(axis=2).any(axis=1).mean()
    assert proposal_probability(0.75, 14, 8) == pytest.approx(share, abs=0.02)
    assert proposal_probability(np.array([0, 1]), 14, 8).tolist() == [0, 1]


@untimed
@given(arrays(np.uint32, (7, 12), elements=st.integers(0, 1)), st.sampled_from([(3, 4), (4, 3), (5, 2), (12, 1)]))
def test_band_keys_are_equal_where_band_and_rows_are(signatures, shape):
    bands, rows = shape
    keys = band_keys(signatures, bands, rows)
    assert keys.shape == (7, bands)
    cut = [
        (band, *signatures[doc, band * rows : (band + 1) * rows].tolist())
        for doc, band in itertools.product(range(7), range(bands))
    ]
    pairs = set(zip(keys.ravel().tolist(), cut, strict=True))
    assert len(pairs) == len(set(cut)) == len(np.unique(keys))


@untimed
@given(few_keys, st.integers(0, 60), st.integers(0, 4))
def test_partition_is_a_stable_sort_by_some_bits(items, shift, bits):
    keys, docs = np.array(items, np.uint64).reshape(-1, 2).T.copy()
    part = (keys >> np.uint64(shift)) % np.uint64(1 << bits)
    order = np.argsort(part, kind="stable")
    sorted_keys, sorted_docs, bounds = partition(keys, docs, shift, bits)
    assert np.array_equal(sorted_keys, keys[order])
    assert np.array_equal(sorted_docs, docs[order])
    assert bounds.tolist() == [int((part < k).sum()) for k in range((1 << bits) + 1)]


def reference_edges(items):
    first, edges = {}, []
    for key, doc in items:
        if first.setdefault(key, doc) != doc:
            edges.append((first[key], doc))
    return sorted(edges)


@untimed
@given(few_keys)
def test_group_edges_equal_the_reference(items):
    keys, docs = np.array(items, np.uint64).reshape(-1, 2).T.copy()
    first, other = group_edges(keys, docs)
    assert sorted(zip(first.tolist(), other.tolist(), strict=True)) == reference_edges(items)


@pytest.mark.parametrize("distinct", [1, 1000, 10**9])
def test_group_edges_of_many_keys(distinct):
    """Several buckets; one key 50,000 times; few repetitions."""
    rng = np.random.default_rng(distinct)
    keys = rng.integers(0, distinct, 50_000).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    docs = np.arange(50_000, dtype=np.uint32)
    first, other = group_edges(keys, docs)
    edges = sorted(zip(first.tolist(), other.tolist(), strict=True))
    assert edges == reference_edges(zip(keys.tolist(), docs.tolist(), strict=True))


def reference_components(docs, edges):
    component = [{doc} for doc in range(docs)]
    for a, b in edges:
        joined = component[a] | component[b]
        for doc in joined:
            component[doc] = joined
    return [min(members) for members in component]


@untimed
@given(st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24)), max_size=40), st.integers(0, 40))
def test_components_equal_the_reference_in_any_batches(edges, cut):
    parent = singletons(25)
    for batch in (edges[cut:], edges[:cut]):
        a, b = np.array(batch, np.uint32).reshape(-1, 2).T.copy()
        union_edges(parent, a, b)
        assert (parent <= np.arange(25)).all()
    components(parent)
    assert parent.tolist() == reference_components(25, edges)


@pytest.mark.parametrize("order", [1, -1])
def test_a_chain_of_a_million_documents_is_one_component(order):
    parent = singletons(1_000_000)
    chain = np.arange(1_000_000, dtype=np.uint32)[::order].copy()
    union_edges(parent, chain[1:], chain[:-1])
    components(parent)
    assert not parent.any()


def test_nothing():
    none = np.empty(0, np.uint64)
    assert [len(edges) for edges in group_edges(none, none)] == [0, 0]
    parent = singletons(0)
    union_edges(parent, none.astype(np.uint32), none.astype(np.uint32))
    components(parent)
    assert band_keys(np.empty((0, 8), np.uint32), 2, 4).shape == (0, 2)
