"""Leading factors of stacks of small blocks: by Gram matrices with a proof for each, else by LAPACK's SVD."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.bounds import energy_missed, error_of_root, lapack_norm, residual_rounding
from lowrank_blocks.linalg.energies import tail_energy
from lowrank_blocks.linalg.lapack import leading_eigenpairs
from lowrank_blocks.linalg.scratch import scratch
from lowrank_blocks.linalg.svd import lapack_svd, svd_method

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

# Crossovers, in entries of the smaller side and in ranks; tests/benchmarks/crossovers.py measures them.
GRAM_SIDES = 24, 96  # from the first to the second: by Gram matrices ...
GRAM_SHARE = 4  # ... for ranks up to side / this


@dataclass(frozen=True, eq=False)
class LeadingStack:
    """The best approximations of a stack of n blocks, (k, l), at ranks of their own, the largest r.

    Attributes
    ----------
    basis, values, rows : (n, k, r), (n, r) and (n, r, l) arrays
        Leading singular vectors and values; values beyond the rank of a block are zeros.
    norm : (n,) array
        Frobenius norms of the blocks.
    error : (n,) array
        Frobenius norms of what is left.
    excess : (n,) array
        Bounds on how far `error` is above the least possible.
    methods : (n,) array of str
        See `Accuracy`.
    """

    basis: Array
    values: Array
    rows: Array
    norm: Array
    error: Array
    excess: Array
    methods: NDArray[np.str_]


def leading_stack(stack: Array, ranks: Counts, tolerance: float) -> LeadingStack:
    """Return the best approximations of a stack of blocks, smaller side first.

    Parameters
    ----------
    stack : (n, k, l) array
        Blocks with ``k <= l``, whose squares neither overflow nor vanish.
    ranks : (n,) array of int
        From 0 to k.
    tolerance : float
        Excess, relative to the norm of a block, beyond which LAPACK's SVD solves it.
    """
    side, (least, most) = stack.shape[1], GRAM_SIDES
    if not least <= side <= most or not 0 < ranks.max() * GRAM_SHARE <= side:
        return _by_svd(stack, ranks)
    try:
        found = _by_gram(stack, ranks)
    except np.linalg.LinAlgError:
        return _by_svd(stack, ranks)
    doubtful = ~(found.excess <= tolerance * found.norm)  # or not a number
    if doubtful.any():
        _replace(found, doubtful, _by_svd(stack[doubtful], ranks[doubtful], int(ranks.max())))
    return found


def _by_gram(stack: Array, ranks: Counts) -> LeadingStack:
    """Project every block on the leading eigenvectors of its Gram matrix, and bound the energy they miss."""
    most = int(ranks.max())
    kept = np.arange(most) < ranks[:, None]
    grams = np.matmul(stack, stack.mT)
    total = np.trace(grams, axis1=1, axis2=2)
    grams[total == 0] = np.eye(grams.shape[1])  # any vectors will do, and inverse iteration finds these
    squares, vectors = leading_eigenpairs(grams, most)
    squares, vectors = squares * kept, vectors * kept[:, None]
    rotation, values, rows = lapack_svd(np.matmul(vectors.mT, stack))
    basis = np.matmul(vectors, rotation)
    product = np.matmul(basis * values[:, None], rows, out=scratch("stack", stack.shape))
    error, norm = np.sqrt(_energies(np.subtract(stack, product, out=product))), np.sqrt(total)
    skew = np.sqrt(_energies(np.matmul(vectors.mT, vectors) - kept[:, None] * np.eye(most)))
    missed = energy_missed(error, total, squares, stack.shape, ranks)
    excess = np.minimum(error, error_of_root(np.square(error), missed))
    rounding = norm * skew + residual_rounding(error, norm, most)
    methods = np.full(len(stack), "gram", dtype="<U6")
    return LeadingStack(basis, values, rows, norm, error, excess + rounding, methods)


def _by_svd(stack: Array, ranks: Counts, most: int | None = None) -> LeadingStack:
    u, s, vt = lapack_svd(stack)
    most = int(ranks.max()) if most is None else most
    left = np.sqrt(tail_energy(s))
    return LeadingStack(
        u[:, :, :most],
        s[:, :most] * (np.arange(most) < ranks[:, None]),
        vt[:, :most],
        left[:, 0],
        left[np.arange(len(ranks)), ranks],
        2 * lapack_norm(left[:, 0], stack.shape),
        np.full(len(stack), svd_method(stack.shape), dtype="<U6"),
    )


def _replace(found: LeadingStack, chosen: NDArray[np.bool_], other: LeadingStack) -> None:
    """Put what was found of some blocks in place of what was found of them before."""
    for name in LeadingStack.__dataclass_fields__:
        getattr(found, name)[chosen] = getattr(other, name)


def _energies(stack: Array) -> Array:
    """Return the sum of the squares of every block, that of its rows in pairs."""
    return np.asarray(np.einsum("nkl,nkl->nk", stack, stack).sum(axis=1))
