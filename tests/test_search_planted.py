"""Partitions that were planted come back from the search for the best one."""

import numpy as np
import pytest

import lowrank_blocks as lb


def block(shape, rank, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))


def planted(places, rank=1):
    W = np.zeros((64, 64))
    for k, (t, b, lo, hi) in enumerate(places):
        W[t:b, lo:hi] = block((b - t, hi - lo), rank, k)
    return W, sum(rank * (b - t + hi - lo) for t, b, lo, hi in places)


@pytest.mark.parametrize(
    "structure",
    [
        lb.Global(),
        lb.DiagonalLocal(4),
        lb.DiagonalLocal(8),
        lb.Localized(4),
        lb.Localized(8, 1),
        lb.Localized(1, 4),
        lb.Localized(2, 8),
    ],
    ids=repr,
)
def test_planted_named_structures_come_back(structure):
    places = [
        (b.rows.start, b.rows.stop, b.cols.start, b.cols.stop) for b in structure.layout((64, 64)).cells()
    ]
    W, budget = planted(places, rank=2)
    found = lb.best_partition(W, budget, max_depth=3)
    assert found.structure == structure
    assert found.verdict == repr(structure)
    assert found.relative_error == pytest.approx(0, abs=1e-12)
    assert found.gap == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("place", [(0, 16, 0, 16), (16, 24, 40, 48), (32, 64, 8, 16), (60, 64, 32, 48)])
def test_planted_hot_block_comes_back(place):
    W, budget = planted([place])
    found = lb.best_partition(W, budget)
    used = [b for b, r in zip(found.blocks, found.ranks, strict=True) if r]
    assert [(b.rows.start, b.rows.stop, b.cols.start, b.cols.stop) for b in used] == [place]
    t, b, lo, hi = place
    assert found.verdict == f"one block, rows {t}:{b}, columns {lo}:{hi}"
    assert found.relative_error == pytest.approx(0, abs=1e-12)


def test_planted_l_shape_comes_back():
    W, budget = planted([(0, 16, 0, 16), (16, 32, 0, 16), (16, 32, 16, 32)])
    found = lb.best_partition(W, budget)
    assert found.verdict == "L-shape of 3 blocks, rows 0:32, columns 0:32 without its top right"
    assert found.relative_error == pytest.approx(0, abs=1e-12)
    assert found.n_parameters == budget


def test_natural_edges_are_cut_first():
    W = np.zeros((24, 16))
    for k, (t, b) in enumerate([(0, 7), (7, 13), (13, 24)]):
        W[t:b] = block((b - t, 16), 2, k)
    budget = 2 * (24 + 3 * 16)
    found = lb.best_partition(W, budget, rows=(0, 7, 13, 24))
    assert found.structure == lb.Localized((0, 7, 13, 24), 1)
    assert found.relative_error == pytest.approx(0, abs=1e-12)
    assert lb.best_partition(W, budget).relative_error > 0.01
