"""Leading factors of stacks of blocks: by Gram matrices with a proof for each, else one after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.bounds import energy_missed, error_of_root, lapack_norm, residual_rounding
from lowrank_blocks.linalg.energies import tail_energy
from lowrank_blocks.linalg.leading import leading
from lowrank_blocks.linalg.questions import Known, Leading, Question
from lowrank_blocks.linalg.stacks import leading_eigenpairs
from lowrank_blocks.linalg.svd import lapack_svd, svd_method

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

# Crossovers, in entries of the smaller side and in ranks; tests/benchmarks/crossovers.py measures them.
STACK_FROM = 24  # sides from this on: by Gram matrices ...
STACK_SHARE = 4  # ... for ranks up to side / this


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


def stack_pays(side: int, ranks: Any) -> Any:
    """Whether blocks of this smaller side are solved by Gram matrices in stacks at some ranks."""
    return (side >= STACK_FROM) & (ranks * STACK_SHARE <= side)


def leading_stack(
    stack: Array, ranks: Counts, tolerance: float, known: tuple[Array, Array] | None = None
) -> LeadingStack:
    """Return the best approximations of a stack of blocks, smaller side first.

    Parameters
    ----------
    stack : (n, k, l) array
        Blocks with ``k <= l``, whose squares neither overflow nor vanish.
    ranks : (n,) array of int
        From 0 to k.
    tolerance : float
        Excess, relative to the norm of a block, beyond which it is solved by other methods.
    known : pair of (n,) arrays, optional
        The least error of every block at its rank, where spectra determine it, and its bound.
    """
    if not ranks.any() or not stack_pays(stack.shape[1], ranks).all():
        return _by_svd(stack, ranks)
    try:
        found = _by_gram(stack, ranks, known)
    except np.linalg.LinAlgError:
        return _by_svd(stack, ranks)
    doubtful = ~(found.excess <= tolerance * found.norm)  # or not a number
    for k in np.flatnonzero(doubtful).tolist():
        best = Known(*(float(array[k]) for array in known)) if known else None
        _replace(found, k, leading(Question(stack[k], int(ranks[k]), tolerance, best)))
    return found


def _by_gram(stack: Array, ranks: Counts, known: tuple[Array, Array] | None) -> LeadingStack:
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
    product = np.matmul(basis * values[:, None], rows)
    error, norm = np.sqrt(_energies(np.subtract(stack, product, out=product))), np.sqrt(total)
    skew = np.sqrt(_energies(np.matmul(vectors.mT, vectors) - kept[:, None] * np.eye(most)))
    missed = energy_missed(error, total, squares, stack.shape, ranks)
    excess = np.minimum(error, error_of_root(np.square(error), missed))
    if known:
        excess = np.minimum(excess, np.maximum(error - known[0] + known[1], 0.0))
    rounding = norm * skew + residual_rounding(error, norm, most)
    methods = np.full(len(stack), "gram", dtype="<U7")
    return LeadingStack(basis, values, rows, norm, error, excess + rounding, methods)


def _by_svd(stack: Array, ranks: Counts) -> LeadingStack:
    u, s, vt = lapack_svd(stack)
    most, left = int(ranks.max()), np.sqrt(tail_energy(s))
    return LeadingStack(
        u[:, :, :most],
        s[:, :most] * (np.arange(most) < ranks[:, None]),
        vt[:, :most],
        left[:, 0],
        left[np.arange(len(ranks)), ranks],
        2 * lapack_norm(left[:, 0], stack.shape),
        np.full(len(stack), svd_method(stack.shape), dtype="<U7"),
    )


def _replace(found: LeadingStack, k: int, best: Leading) -> None:
    """Put another approximation of block k in place of what was found of it."""
    rank = len(best.part.values)
    found.basis[k, :, :rank], found.rows[k, :rank] = best.part.basis, best.part.rows
    found.values[k, :rank] = best.part.values
    found.error[k], found.excess[k], found.methods[k] = best.error, best.excess, best.method


def _energies(stack: Array) -> Array:
    """Return the sum of the squares of every block, that of its rows in pairs."""
    return np.asarray(np.einsum("nkl,nkl->nk", stack, stack).sum(axis=1))
