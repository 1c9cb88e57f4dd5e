"""The order of additions depends on the tiling alone."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkdist.cluster.ownership import share_out
from ntkdist.cluster.summation import PairwiseSum, leaves, leaves_under, nodes_over
from ntkdist.tiling import Tiling


@given(n=st.integers(1, 400), tile=st.integers(1, 60))
def test_leaves_hold_every_tile_once_and_never_reach_further_than_earlier_ones(n: int, tile: int) -> None:
    tiling = Tiling(n, tile)
    found = leaves(tiling)
    assert [place for leaf in found for place in leaf] == list(tiling)
    assert len(found) & (len(found) - 1) == 0
    stops = [leaf[0][0] for leaf in found]
    assert stops == sorted(stops, reverse=True)


@given(st.sets(st.integers(0, 63), min_size=1))
def test_subtrees_cover_exactly_the_leaves_they_are_made_of(chosen: set[int]) -> None:
    nodes = nodes_over(chosen)
    covered = [leaf for node in nodes for leaf in leaves_under(node)]
    assert sorted(covered) == sorted(chosen)
    siblings = {(level, k ^ 1) for level, k in nodes}
    assert not siblings & set(nodes)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), split=st.integers(0, 5))
def test_arrival_and_grouping_change_no_bit(seed: int, split: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.standard_normal((40 - k, 2)) * 10.0 ** rng.integers(-8, 8) for k in range(32)]

    def total(order: list[int], cut: int) -> np.ndarray:
        whole = PairwiseSum((5, 0))
        groups = {node: PairwiseSum(node) for node in nodes_over(range(cut))}
        for leaf in order:
            target = next((g for node, g in groups.items() if leaf in leaves_under(node)), whole)
            target.add((0, leaf), parts[leaf].copy())
        for node, group in groups.items():
            assert group.total is not None
            whole.add(node, group.total)
        assert whole.total is not None
        return whole.total

    order = list(range(32))
    random.Random(seed).shuffle(order)
    np.testing.assert_array_equal(total(order, split * 5), total(list(range(32)), 0))


@given(
    threads=st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(1, 9), min_size=1, max_size=7),
    leaves=st.integers(1, 128),
    data=st.data(),
)
def test_leaves_move_only_when_they_must(threads: dict[str, int], leaves: int, data: st.DataObject) -> None:
    first = share_out({}, threads, leaves)
    assert set(first) == set(range(leaves))
    total = sum(threads.values())
    for worker, cores in threads.items():
        assert abs(list(first.values()).count(worker) - leaves * cores / total) <= 1
    assert share_out(first, threads, leaves) == first
    if len(threads) > 1:
        lost = data.draw(st.sampled_from(sorted(threads)))
        rest = {w: c for w, c in threads.items() if w != lost}
        after = share_out(first, rest, leaves)
        moved = [leaf for leaf in range(leaves) if first[leaf] != after[leaf] and first[leaf] != lost]
        assert set(after.values()) <= set(rest)
        assert len(moved) <= len(rest)


def test_no_worker_owns_nothing() -> None:
    assert share_out({}, {}, 4) == {}
