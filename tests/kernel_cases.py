"""Hard matrices, and oracles for their best errors that share no code with the package."""

from __future__ import annotations

import math
from functools import lru_cache
from types import MappingProxyType, SimpleNamespace

import mpmath
import numpy as np
import scipy.linalg
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

# Two BLAS threads wait for each other while other tests run.
steady = ThreadpoolController().wrap(limits=1, user_api="blas")

DOUBLE = 1e-10
SINGLE = 1e-7


@steady
def rotated(m, n, spectrum, seed=0):
    """Return an (m, n) matrix with these singular values, up to rounding."""
    rng = np.random.default_rng(seed)
    k = len(spectrum)
    u, v = (np.linalg.qr(rng.standard_normal((length, k)))[0] for length in (m, n))
    return (u * spectrum) @ v.T


@lru_cache(maxsize=8)
@steady
def hard_matrices(m, n):
    """Return read-only matrices of one shape by name, each hard for a reason of its own."""
    k = min(m, n)
    i = np.arange(k)
    rng = np.random.default_rng(m * 1000 + n)
    spike = np.ones(k)
    spike[0] = 1e12
    one = np.zeros((m, n))
    one[m // 2, n // 3] = 3.0
    sparse_rows = rng.standard_normal((m, n))
    sparse_rows[1::2] = 0.0
    zero_block = rng.standard_normal((m, n))
    zero_block[: m // 2, : n // 2] = 0.0
    angle, x = 1.2, np.linspace(0, 1, m)
    kahan = np.sin(angle) ** np.arange(m)[:, None] * (
        np.eye(m, n) - math.cos(angle) * np.triu(np.ones((m, n)), 1)
    )
    rank = max(1, k // 5)
    made = {
        "gaussian": rng.standard_normal((m, n)),
        "flat": rotated(m, n, np.ones(k)),
        "power law": rotated(m, n, 1.0 / (i + 1)),
        "steep power law": rotated(m, n, (i + 1.0) ** -3),
        "geometric to 1e-16": rotated(m, n, 10.0 ** (-16 * i / max(k - 1, 1))),
        "geometric to 1e-8": rotated(m, n, 10.0 ** (-8 * i / max(k - 1, 1))),
        "exact low rank": rng.integers(-3, 4, (m, rank)).astype(float) @ rng.integers(-3, 4, (rank, n)),
        "low rank and noise": rotated(m, n, np.where(i < rank, 1.0, 1e-7)),
        "spike": rotated(m, n, spike),
        "clusters": rotated(m, n, np.where(i < k // 2, 1.0, 1e-5)),
        "repeated": np.kron(np.eye(m, n), np.ones((1, 1))) * 2.0,
        "hilbert": 1.0 / (np.arange(m)[:, None] + np.arange(n) + 1),
        "vandermonde": x[:, None] ** np.arange(n),
        "kahan": kahan,
        "ones": np.ones((m, n)),
        "one entry": one,
        "zero rows": sparse_rows,
        "zero block": zero_block,
        "zero": np.zeros((m, n)),
        "graded columns": rng.standard_normal((m, n)) * 10.0 ** (-12 * np.arange(n) / n),
    }
    for matrix in made.values():
        matrix.flags.writeable = False  # they are kept for the next test
    return MappingProxyType(made)


@steady
def gesvd_tails(matrix):
    """Return the least error of every rank, from LAPACK's gesvd after exact scaling, and its scale."""
    exponent = math.frexp(np.abs(matrix).max())[1]
    s = scipy.linalg.svd(np.ldexp(matrix, -exponent), compute_uv=False, lapack_driver="gesvd")
    return np.append(np.sqrt(np.cumsum(np.square(s)[::-1])[::-1]), 0.0), exponent


def exact_tails(matrix):
    """Return the least error of every rank from 50-digit arithmetic."""
    with mpmath.workdps(50):
        s = mpmath.svd_r(mpmath.matrix(matrix.tolist()), compute_uv=False)
        squares = sorted((v**2 for v in s), reverse=True)
        return [mpmath.sqrt(mpmath.fsum(squares[r:])) for r in range(len(squares) + 1)]


@st.composite
def small_matrices(draw):
    """Return small matrices with drawn singular values, from equal ones to 1e-18."""
    exponents = draw(st.lists(st.floats(-18, 0), min_size=2, max_size=7))
    wide = len(exponents) + draw(st.integers(0, 6))
    return rotated(
        len(exponents), wide, 10.0 ** np.array(sorted(exponents, reverse=True)), draw(st.integers(0, 99))
    )


def telling_ranks(k):
    """Return ranks at both ends, in the middle, and where factors begin to cost more than the block."""
    return sorted(
        {r for r in (0, 1, 2, k // 5, k // 5 + 1, k // 3, k // 2, k // 2 + 1, k - 2, k - 1, k) if 0 <= r <= k}
    )


@steady
def true_residual(matrix, approximation, exponent):
    """Return ``||dW - X||_F / 2**exponent``, block by block in extended precision where there is one."""
    rest = np.ldexp(matrix.astype(np.float64), -exponent).astype(np.longdouble)
    for block, (b, a) in zip(approximation.blocks, approximation.factors, strict=True):
        half = exponent // 2
        left = np.ldexp(b.astype(np.longdouble), -half)
        rest[block] -= left @ np.ldexp(a.astype(np.longdouble), half - exponent)
    return float(np.sqrt(np.square(rest).sum()))


def each_block(found):
    """Return the factors, the error and the excess of every block."""
    each = zip(found.factors, found.error, found.excess, strict=True)
    return [SimpleNamespace(factors=f, error=error, excess=excess) for f, error, excess in each]


def symmetric(side, seed=None):
    rng = np.random.default_rng(side if seed is None else seed)
    return np.cov(rng.standard_normal((side, side + 9))).reshape(side, side)
