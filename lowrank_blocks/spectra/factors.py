"""Leading factors of many blocks, in the units that the caller chose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import Matrix
from lowrank_blocks.spectra.bounds import PROMISE_DOUBLE
from lowrank_blocks.spectra.gram import flat
from lowrank_blocks.spectra.leading import SVD_BELOW, Known, leading
from lowrank_blocks.spectra.scaling import common_exponent, scaled
from lowrank_blocks.spectra.threads import one_blas_thread, parallel

Factors = tuple[Matrix, Matrix]


@dataclass(frozen=True)
class BlockFactors:
    """Factors of one block and what is certified of them.

    Attributes
    ----------
    factors : (B, A)
        Of shapes (p, rank) and (rank, q); columns of B and rows of A are orthogonal and of norm
        ``sqrt(sigma)``.
    norm : float
        Frobenius norm of their product, divided by ``2**exponent``.
    error : float
        Frobenius norm of what they leave, in the same unit.
    excess : float
        Bound on how far `error` is above the least possible, in the same unit.
    method : str
        See `Accuracy`.
    """

    factors: Factors
    norm: float
    error: float
    excess: float
    method: str


def leading_factors(
    blocks: Sequence[Matrix],
    ranks: Sequence[int] | NDArray[np.int64],
    exponent: int = 0,
    accuracy: float = PROMISE_DOUBLE,
    known: Sequence[Known] | None = None,
) -> list[BlockFactors]:
    """Return the best approximation of every (p, q) block by B, (p, rank), times A, (rank, q).

    Parameters
    ----------
    blocks : sequence of (p, q) arrays
        Real and finite.
    ranks : sequence of int
        One a block, at most its smaller side.
    exponent : int, optional
        Power of two by which errors are divided.
    accuracy : float, optional
        Excess, relative to the norm of the block, beyond which LAPACK's SVD is called.
    known : sequence of Known, optional
        The least error of every block at its rank, where spectra tell it.
    """

    def solve(k: int) -> BlockFactors:
        return _factors(blocks[k], int(ranks[k]), exponent, accuracy, known[k] if known else None)

    with one_blas_thread(with_scipy=any(min(b.shape) >= SVD_BELOW for b in blocks)):
        return parallel(solve, range(len(blocks)))


def _factors(block: Matrix, rank: int, exponent: int, accuracy: float, known: Known | None) -> BlockFactors:
    own = common_exponent(block)
    rows, shift = scaled(flat(block), own), own - exponent
    if rank == 0 or not rows.any():
        zeros = np.zeros((block.shape[0], rank)), np.zeros((rank, block.shape[1]))
        return BlockFactors(zeros, 0.0, math.ldexp(float(np.linalg.norm(rows)), shift), 0.0, "zero")
    if known is not None:
        known = Known(math.ldexp(known.error, -shift), math.ldexp(known.bound, -shift))
    best = leading(rows, rank, accuracy, known)
    roots = np.ldexp(np.sqrt(best.values), own // 2)
    b, a = best.basis * roots, roots[:, None] * best.rows
    return BlockFactors(
        (b, a) if block.shape[0] <= block.shape[1] else (a.T, b.T),
        math.ldexp(float(np.linalg.norm(best.values)), shift),
        math.ldexp(best.error, shift),
        math.ldexp(best.excess, shift),
        best.method,
    )
