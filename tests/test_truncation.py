"""Factors of one rank, and what is cut from them: best at every smaller rank, within what is certified."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import (
    DOUBLE,
    SINGLE,
    exact_tails,
    gesvd_tails,
    hard_matrices,
    small_matrices,
    true_residual,
)
from oracles import pick
from registry import GENERIC, KINDS, examples

import lowrank_blocks as lb
from lowrank_blocks.linalg import BlockFactors, PackedFactors, common_exponent, leading
from lowrank_blocks.solver.direct import LeadingFactors
from lowrank_blocks.structures.checked import laid_out

SHAPES = [(96, 120), (130, 70)]
NAMES = sorted(hard_matrices(4, 4))


def leading_factors(matrix, structure, rank):
    layout = laid_out(structure, matrix.shape)
    return LeadingFactors.of(matrix, structure, np.minimum(rank, layout.max_ranks), rounded=False)


@pytest.mark.parametrize("lanczos_from", [64, 512])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cut_factors_are_the_best_of_their_rank(monkeypatch, shape, name, lanczos_from):
    for kind in ("LANCZOS", "SINGLE"):
        monkeypatch.setattr(leading, f"{kind}_FROM", lanczos_from)
        monkeypatch.setattr(leading, f"{kind}_SHARE", 4)
    source = hard_matrices(*shape)[name]
    for matrix, promise in ((source, DOUBLE), (source.astype(np.float32), SINGLE)):
        matrix = matrix.copy()
        tails, exponent = gesvd_tails(matrix.astype(np.float64))
        kept = leading_factors(matrix, lb.Global(), 16)
        for rank in (0, 1, 2, 5, 15, 16):
            found = kept.truncate([rank])
            least, norm = math.ldexp(tails[rank], exponent), math.ldexp(tails[0], exponent)
            true = math.ldexp(true_residual(matrix, found, exponent), exponent)
            assert found.accuracy.relative_bound <= promise
            assert abs(found.error - least) <= found.accuracy.bound + 1e-14 * norm
            assert true - least <= found.accuracy.bound + 1e-14 * norm
            assert found.factors[0][0].dtype == matrix.dtype
            assert found.ranks.tolist() == [rank]


@examples(40)
@given(small_matrices(), st.integers(-140, 140))
def test_certificates_hold_against_exact_arithmetic(matrix, power):
    matrix = np.ldexp(matrix, 4 * power)  # beyond 2**200, squares are not taken
    tails, norm = exact_tails(matrix), float(exact_tails(matrix)[0])
    kept = leading_factors(matrix, lb.Global(), 5)
    for rank in range(1 + int(kept.found.factors.ranks[0])):
        found = kept.truncate([rank])
        assert abs(found.error - tails[rank]) <= found.accuracy.bound
        assert found.accuracy.bound <= DOUBLE * norm


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_block_is_cut_by_itself(kind):
    for matrix in GENERIC.values():
        if not kind.fits(matrix.shape):
            continue
        structure = kind.make(*matrix.shape)
        kept = leading_factors(matrix, structure, 4)
        blocks = kind.blocks(*matrix.shape)
        ranks = [k % (1 + int(most)) for k, most in enumerate(kept.found.factors.ranks)]
        found = kept.truncate(ranks)
        spectra = [np.linalg.svd(pick(matrix, block), compute_uv=False) for block in blocks]
        inside = sum(float(np.square(pick(matrix, block)).sum()) for block in blocks)
        left = sum(float(np.square(s[r:]).sum()) for s, r in zip(spectra, ranks, strict=True))
        expected = math.sqrt(float(np.square(matrix).sum()) - inside + left)
        assert found.error == pytest.approx(expected, abs=1e-7)
        assert np.linalg.norm(matrix - found.to_dense()) == pytest.approx(expected, abs=1e-7)
        assert found.ranks.tolist() == ranks
        assert found.n_parameters == found.budget


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("power", [-600, 0, 600])
def test_norms_are_those_of_the_blocks_and_of_what_is_in_none(kind, power):
    for matrix in GENERIC.values():
        if not kind.fits(matrix.shape):
            continue
        kept = leading_factors(np.ldexp(matrix, power), kind.make(*matrix.shape), 3)
        scale = kept.exponent - power
        for norm, block in zip(kept.found.norm, kind.blocks(*matrix.shape), strict=True):
            exact = math.sqrt(math.fsum(np.square(pick(matrix, block)).ravel()))
            assert np.ldexp(norm, scale) == pytest.approx(exact, rel=1e-14)
        exact = math.sqrt(math.fsum(np.square(matrix).ravel()))
        found = kept.truncate(0 * kept.found.factors.ranks)
        assert abs(np.ldexp(found.accuracy.norm, -power) - exact) <= np.ldexp(
            found.accuracy.norm_bound, -power
        )


def off_by(angle, shape, rank, seed):
    """Return a matrix, its spectrum, and factors on a subspace that is not quite the leading one."""
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal(shape)
    u, s, _ = np.linalg.svd(matrix, full_matrices=False)
    basis = np.linalg.qr(u[:, :rank] + angle * rng.standard_normal((shape[0], rank)))[0]
    rotation, values, rows = np.linalg.svd(basis.T @ matrix, full_matrices=False)
    b, a = basis @ rotation * np.sqrt(values), np.sqrt(values)[:, None] * rows
    error = np.linalg.norm(matrix - b @ a)
    excess = np.array([error - np.linalg.norm(s[rank:])])
    factors = PackedFactors.of_pairs([(b, a)])
    norm, error = np.array([np.linalg.norm(matrix)]), np.array([error])
    return matrix, s, BlockFactors(factors, norm, error, excess, np.zeros(1), ("gram",))


@pytest.mark.parametrize("angle", [1e-6, 1e-2, 0.3, 3.0])
@pytest.mark.parametrize("shape", [(9, 14), (20, 11)], ids=str)
def test_an_excess_covers_that_of_every_smaller_rank(shape, angle):
    """Factors on a wrong subspace: the excess of the largest rank is known, and no other is above it."""
    for seed in range(20):
        matrix, s, found = off_by(angle, shape, 6, seed)
        for rank in range(7):
            cut = found.truncated([rank], 0, single=False)
            b, a = cut.factors[0]
            true = np.linalg.norm(matrix - b @ a)
            assert cut.error[0] == pytest.approx(true, abs=1e-12)
            assert -1e-12 <= true - np.linalg.norm(s[rank:]) <= cut.excess[0]
            assert cut.excess[0] <= found.excess[0] + 1e-11


@pytest.mark.parametrize("shape", [(9, 14), (20, 11)], ids=str)
def test_what_rounding_moves_is_measured_anew_at_every_rank(shape):
    for seed in range(20):
        _, _, found = off_by(1e-2, shape, 6, seed)
        b, a = found.factors[0]
        for rank in range(1, 7):
            cut = found.truncated([rank], 0, single=True)
            single_b, single_a = cut.factors[0]
            assert single_b.dtype == single_a.dtype == np.float32
            wide = b[:, :rank] @ a[:rank]
            moved = np.linalg.norm(wide - single_b.astype(np.float64) @ single_a)
            norm = np.linalg.norm(wide)
            assert moved <= cut.rounding[0] <= 1.504 * 2.0**-24 * norm
            assert cut.rounding[0] <= moved + 1e-3 * 2.0**-24 * norm


def test_columns_that_are_rounded_alike_are_split_anew():
    """A constant matrix with something small beside it: the first value alone needs another split."""
    constant = np.float32(1 + 2.0**-23) * np.ones((64, 64), np.float32)
    matrix = constant + np.diag(np.linspace(0, 30, 64)).astype(np.float32)
    kept = leading_factors(matrix, lb.Global(), 8)
    for rank in range(9):
        assert kept.truncate([rank]).accuracy.relative_bound <= SINGLE


def test_larger_ranks_are_refused():
    kept = leading_factors(np.eye(6), lb.DiagonalLocal(2), 2)
    with pytest.raises(ValueError, match=r"ranks must be at most \[2 2\], got \[2 3\]"):
        kept.truncate([2, 3])


def test_values_are_those_of_the_matrix():
    rng = np.random.default_rng(0)
    for power in (-1000, 0, 1000):
        matrix = np.ldexp(rng.standard_normal((10, 17)), power)
        exponent = common_exponent(matrix)
        kept = leading_factors(matrix, lb.Localized(2, 1), 3)
        for found, block in zip(kept.found.values(exponent), np.split(matrix, 2), strict=True):
            expected = np.linalg.svd(np.ldexp(block, -exponent), compute_uv=False)[:3]
            assert found == pytest.approx(expected, rel=1e-12)


def test_what_is_sent_to_another_process_is_cut_alike():
    matrix = np.random.default_rng(1).standard_normal((70, 90)).astype(np.float32)
    kept = leading_factors(matrix, lb.Localized((0, 5, 40, 70), 2), 6)
    sent = pickle.loads(pickle.dumps(kept))
    for ranks in ([0] * 6, [1, 2, 3, 0, 5, 6]):
        here, there = kept.truncate(ranks), sent.truncate(ranks)
        for (b, a), (other_b, other_a) in zip(here.factors, there.factors, strict=True):
            assert b.tobytes() == other_b.tobytes()
            assert a.tobytes() == other_a.tobytes()
        assert replace(here.accuracy) == there.accuracy
        assert here.error == there.error
