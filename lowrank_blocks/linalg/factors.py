"""Leading factors of many blocks, in the units that the caller chose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import Matrix
from lowrank_blocks.linalg.bounds import PROMISE_DOUBLE, lapack_norm
from lowrank_blocks.linalg.energies import energy, norm_rounding, tail_energy
from lowrank_blocks.linalg.gram import flat
from lowrank_blocks.linalg.leading import SVD_BELOW, Known, leading
from lowrank_blocks.linalg.scaling import common_exponent, raised, scaled, stacked
from lowrank_blocks.linalg.single import in_single
from lowrank_blocks.linalg.slabs import groups, restored, slabs
from lowrank_blocks.linalg.svd import lapack_svd
from lowrank_blocks.linalg.threads import one_blas_thread, parallel

Factors = tuple[Matrix, Matrix]

STACKED_BELOW = 9000  # entries of blocks of one shape: LAPACK's SVD of a stack; crossovers.py measures it


@dataclass(frozen=True)
class BlockFactors:
    """Factors of one block and what is certified of them.

    Attributes
    ----------
    factors : (B, A)
        Of shapes (p, rank) and (rank, q); columns of B and rows of A are orthogonal and of norm
        ``sqrt(sigma)``, before they are rounded.
    error : float
        Frobenius norm of what they leave before they are rounded, divided by ``2**exponent``.
    excess : float
        Bound on how far `error` is above the least possible, in the same unit.
    method : str
        See `Accuracy`.
    rounding : float
        Bound on how far rounding to float32 moved their product, in the same unit; 0 for float64.
    """

    factors: Factors
    error: float
    excess: float
    method: str
    rounding: float = 0.0


def leading_factors(
    blocks: Sequence[Matrix],
    ranks: Sequence[int] | NDArray[np.int64],
    exponent: int = 0,
    accuracy: float = PROMISE_DOUBLE,
    known: Sequence[Known] | None = None,
    *,
    single: bool = False,
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
    single : bool, optional
        Whether factors are rounded to float32.
    """
    shapes = [(p, q) for p, q in (b.shape for b in blocks)]
    alike = groups(shapes)
    small = [g for g in alike if len(g) > 1 and math.prod(shapes[g[0]]) < STACKED_BELOW]
    stacks = [slab for g in small for slab in slabs(g, shapes[g[0]])]
    lone = [k for g in alike if g not in small for k in g]

    def together(slab: list[int]) -> list[BlockFactors]:
        return _stacked([blocks[k] for k in slab], [int(ranks[k]) for k in slab], exponent, single)

    def alone(k: int) -> list[BlockFactors]:
        found = _alone(blocks[k], int(ranks[k]), exponent, accuracy, known[k] if known else None)
        return [_rounded(found, exponent) if single else found]

    with one_blas_thread(with_scipy=any(min(shapes[k]) >= SVD_BELOW for k in lone)):
        return restored([*stacks, *([k] for k in lone)], parallel(together, stacks) + parallel(alone, lone))


def _stacked(
    blocks: Sequence[Matrix], ranks: Sequence[int], exponent: int, single: bool
) -> list[BlockFactors]:
    """Solve small blocks of one shape by LAPACK's SVD of all of them."""
    with stacked([flat(b) for b in blocks]) as (rows, own):
        u, s, vt = lapack_svd(rows)
    most, left = max(ranks), np.sqrt(tail_energy(s))
    kept = np.arange(most) < np.array(ranks)[:, None]
    roots = np.ldexp(np.sqrt(s[:, :most]), own[:, None] // 2) * kept
    b, a = u[:, :, :most] * roots[:, None], roots[:, :, None] * vt[:, :most]
    stored_b, stored_a, moved = in_single(b, a) if single else (b, a, np.zeros(len(b)))
    excess = 2 * lapack_norm(left[:, 0], rows.shape)

    def one(i: int, rank: int) -> BlockFactors:
        shift, nothing = int(own[i]) - exponent, rank == 0 or not left[i, 0]
        return BlockFactors(
            _turned((stored_b[i, :, :rank], stored_a[i, :rank]), blocks[i]),
            math.ldexp(float(left[i, rank]), shift),
            float(raised(excess[i], shift)),
            "zero" if nothing else "lapack",
            math.ldexp(float(moved[i]), -exponent),
        )

    return [one(i, rank) for i, rank in enumerate(ranks)]


def _alone(block: Matrix, rank: int, exponent: int, accuracy: float, known: Known | None) -> BlockFactors:
    """Solve a block by the cheapest method that can be proved right."""
    own = common_exponent(block)
    rows, shift = scaled(flat(block), own), own - exponent
    if rank == 0 or not rows.any():
        zeros = np.zeros((block.shape[0], rank)), np.zeros((rank, block.shape[1]))
        norm = math.sqrt(energy(rows))
        off = float(raised(norm_rounding(norm), shift))
        return BlockFactors(zeros, math.ldexp(norm, shift), off, "zero")
    if known is not None:
        known = Known(math.ldexp(known.error, -shift), math.ldexp(known.bound, -shift))
    best = leading(rows, rank, accuracy, known)
    part = best.part
    roots = np.ldexp(np.sqrt(part.values), own // 2)
    b, a = part.basis * roots, roots[:, None] * part.rows
    return BlockFactors(
        _turned((b, a), block),
        math.ldexp(best.error, shift),
        float(raised(best.excess, shift)),
        best.method,
    )


def _rounded(found: BlockFactors, exponent: int) -> BlockFactors:
    """Return the same with factors in float32."""
    b, a = found.factors
    singles, rows, moved = in_single(b[None], a[None])
    return replace(found, factors=(singles[0], rows[0]), rounding=math.ldexp(float(moved[0]), -exponent))


def _turned(factors: Factors, block: Matrix) -> Factors:
    """Return the factors of a block from those of its smaller side first."""
    b, a = factors
    return (b, a) if block.shape[0] <= block.shape[1] else (a.T, b.T)
