"""Errors of families by other means: singular values, first-order conditions, and PyTorch's own draws."""

import math

import numpy as np
import pytest
from family_targets import GENERIC, TARGETS, base_of, normal, size, tails

import lowrank_blocks as lb

P = lb.peft


@pytest.mark.parametrize("name", ["square", "wide", "tall"])
def test_errors_of_low_rank_blocks(name):
    dW = TARGETS[name]
    m, n = dW.shape
    near = lambda family: family.nearest(dW, base=base_of(dW)).error  # noqa: E731
    halves = [h for rows in np.split(dW, 2) for h in np.split(rows, 2, axis=1)]
    whole = pytest.approx(tails([dW], [4]), rel=1e-12)

    assert [near(f(4)) for f in (P.LoRA, P.RsLoRA, P.AdaLoRA, P.DeLoRA, P.DEFT)] == [whole] * 5
    assert near(P.GraLoRA(4, k=2)) == pytest.approx(tails(halves, [2] * 4), rel=1e-12)
    assert near(P.BDLoRA(4, k=2, side="A")) == pytest.approx(
        tails(np.split(dW, 2, axis=1), [2, 2]), rel=1e-12
    )
    assert near(P.BDLoRA(4, k=2, side="B")) == pytest.approx(tails(np.split(dW, 2), [2, 2]), rel=1e-12)
    inside, outside = [halves[0], halves[3]], [halves[1], halves[2]]
    assert near(P.MELoRA(2, 2)) == pytest.approx(tails(inside + outside, [2, 2, 0, 0]), rel=1e-12)
    assert near(P.DiaBlo(2)) == pytest.approx(tails(outside, [0, 0]), rel=1e-12)
    tiles = dW.reshape(4, m // 4, 4, n // 4).swapaxes(1, 2).reshape(16, -1)
    assert near(P.LoKr(4)) == pytest.approx(tails([tiles], [1]), rel=1e-12)
    smallest = np.linalg.svd(base_of(dW), full_matrices=False)
    lost = (smallest[0][:, -4:] * smallest[1][-4:]) @ smallest[2][-4:]
    assert [near(P.KaSA(4)), near(P.OSF(4))] == [pytest.approx(tails([dW + lost], [4]), rel=1e-12)] * 2


@pytest.mark.parametrize("name", GENERIC)
def test_psoft_projects_on_the_leading_singular_vectors(name):
    dW = TARGETS[name]
    u, _, vt = np.linalg.svd(base_of(dW), full_matrices=False)
    u, vt = u[:, :3], vt[:3]

    fit = P.PSOFT(3).nearest(dW, base=base_of(dW))

    np.testing.assert_allclose(fit.to_dense(), u @ (u.T @ dW @ vt.T) @ vt, rtol=0, atol=1e-11 * size(dW))


@pytest.mark.parametrize("name", ["square", "wide", "tall"])
def test_shira_keeps_what_sparse_keeps(name):
    dW = TARGETS[name]
    fit = P.SHiRA(2).nearest(dW)

    best = lb.approximate(dW, lb.Sparse(), rank=2)
    np.testing.assert_allclose(fit.to_dense(), best.to_dense(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["square", "wide", "tall"])
def test_orthogonal_families_meet_their_first_order_conditions(name):
    """R N is symmetric with a trace that no rotation raises; U spans the smallest eigenvalues."""
    dW = TARGETS[name]
    W = base_of(dW)
    T = W + dW
    fit = P.OFT(4).nearest(dW, base=W)
    for k in range(0, W.shape[1], 4):
        span = slice(k, k + 4)
        N = W[:, span].T @ T[:, span]
        turned = W[:, span] + fit.to_dense()[:, span]
        R = np.linalg.lstsq(W[:, span], turned, rcond=None)[0].T
        np.testing.assert_allclose(R @ R.T, np.eye(4), atol=1e-10)
        assert np.linalg.det(R) == pytest.approx(1)
        np.testing.assert_allclose(R @ N, (R @ N).T, atol=1e-10 * np.linalg.norm(N))
        s = np.linalg.svd(N, compute_uv=False)
        s[-1] *= np.sign(np.linalg.det(N))
        assert np.trace(R @ N) == pytest.approx(s.sum())
    values = np.linalg.eigvalsh((W.T @ T + T.T @ W) / 2)
    squared = np.vdot(dW, dW) + 4 * values[:3].sum()
    assert P.HRA(3).nearest(dW, base=W).error == pytest.approx(math.sqrt(squared))
    values = np.linalg.eigvalsh(T @ T.T - dW @ dW.T)
    squared = np.vdot(dW, dW) + values[:3].sum()
    assert P.PaRa(3).nearest(dW, base=W).error == pytest.approx(math.sqrt(squared))


def test_half_turns_are_approached_and_said_so():
    W = normal(8, 4)
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])

    fit = P.OFT(4).nearest(W @ turn - W, base=W)

    assert fit.guarantee is P.Claim.INFIMUM
    assert fit.error <= 1e-6 * np.linalg.norm(W)
    assert fit.lower_bound <= 1e-12
    assert all(np.isfinite(t).all() for t in fit.tensors().values())


def test_reflections_are_out_of_reach_of_rotations():
    W = np.eye(4)
    fit = P.OFT(4).nearest(W @ np.diag([-1.0, 1.0, 1.0, 1.0]) - W, base=W)

    assert fit.error == pytest.approx(2)  # the identity is as near as any rotation
    assert P.HRA(1).nearest(W @ np.diag([-1.0, 1.0, 1.0, 1.0]) - W, base=W).error <= 1e-12


@pytest.mark.parametrize("name", GENERIC)
def test_brackets(name):
    dW = TARGETS[name]
    W = base_of(dW)
    dora, lora, rows = (f.nearest(dW, base=W) for f in (P.DoRA(2), P.LoRA(2), P.IA3("rows")))
    loha, hira = P.LoHa(2).nearest(dW), P.HiRA(2).nearest(dW, base=W)

    assert dora.error <= lora.error * (1 + 1e-12)
    assert dora.error <= rows.error * (1 + 1e-12)
    assert loha.error == pytest.approx(tails([dW], [2]))
    assert loha.lower_bound * np.linalg.norm(dW) == pytest.approx(tails([dW], [4]))
    assert hira.lower_bound * np.linalg.norm(dW) == pytest.approx(np.abs(W).min() * tails([dW / W], [2]))
    assert {f.guarantee for f in (dora, loha, hira)} == {P.Claim.UPPER}
    assert hira.relative_error < 1


def test_fourierft_never_holds_the_odd_part():
    dW = TARGETS["ragged"]
    m, n = dW.shape
    mirrored = dW[np.ix_(-np.arange(m) % m, -np.arange(n) % n)]

    fit = P.FourierFT(m * n).nearest(dW)

    np.testing.assert_allclose(fit.to_dense(), (dW + mirrored) / 2, atol=1e-12)


def test_places_are_those_of_pytorch():
    """Its first ten of ``torch.randperm(130, generator=torch.Generator().manual_seed(777))``."""
    from lowrank_blocks.peft.generators import first_of_permutation, uniform

    assert first_of_permutation(130, 10, 777).tolist() == PERMUTED
    assert sorted(first_of_permutation(130, 130, 777).tolist()) == list(range(130))
    drawn = uniform(((1, 3), (2, 2)), (0.5, 2.0), 777)
    assert [part.ravel().tolist() for part in drawn] == UNIFORM


PERMUTED = [55, 15, 61, 105, 117, 7, 113, 122, 25, 13]
UNIFORM = [
    [-0.41808468103408813, -0.008862555027008057, -0.09670668840408325],
    [-0.45632028579711914, 1.5252892971038818, 1.524395227432251, 0.8969895839691162],
]
