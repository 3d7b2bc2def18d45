"""Leading factors of many blocks, in the units that the caller chose."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import Matrix, Shape, is_narrow
from lowrank_blocks.linalg.bounds import PROMISE_DOUBLE
from lowrank_blocks.linalg.energies import energies, norm_rounding
from lowrank_blocks.linalg.gram import flat
from lowrank_blocks.linalg.leading import SVD_BELOW, leading
from lowrank_blocks.linalg.packed import Factors, Pack
from lowrank_blocks.linalg.questions import Known, Question
from lowrank_blocks.linalg.scaling import common_exponent, raised, scaled, stacked
from lowrank_blocks.linalg.sequences import BlockSequence, Indices
from lowrank_blocks.linalg.single import in_single
from lowrank_blocks.linalg.slabs import slabs
from lowrank_blocks.linalg.small import STACK_FROM, leading_stack, stack_pays
from lowrank_blocks.linalg.solved import BlockFactors, Solved, restored
from lowrank_blocks.linalg.threads import one_blas_thread, parallel

Floats = NDArray[np.float64]

# Crossovers, in entries of blocks of one shape; crossovers.py measures them.
STACKED_BELOW = 9000  # solved in stacks whatever the method ...
GRAM_BELOW = 40000  # ... or by Gram matrices only


def leading_factors(
    blocks: Sequence[Matrix],
    ranks: Sequence[int] | NDArray[np.int64],
    exponent: int = 0,
    accuracy: float = PROMISE_DOUBLE,
    known: tuple[Floats, Floats] | None = None,
    *,
    single: bool = False,
) -> BlockFactors:
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
    known : pair of (n_blocks,) arrays, optional
        The least error of every block at its rank, where spectra determine it, and its bound.
    single : bool, optional
        Whether factors are rounded to float32.
    """
    blocks, ranks = BlockSequence.of(blocks), np.asarray(ranks, dtype=np.int64)
    stacks: list[Indices] = []
    lone: list[Indices] = []
    for group in blocks.groups():
        shape = blocks.shapes[group[0]]
        by_gram, by_svd = _stackable(shape, ranks[group])
        for alike in (group[by_gram], group[by_svd]):
            stacks += slabs(alike, shape) if len(alike) else []
        lone.extend(group[~(by_gram | by_svd)][:, None])

    def together(chosen: Indices) -> Solved:
        best = (known[0][chosen], known[1][chosen]) if known else None
        return _stacked(blocks, chosen, ranks[chosen], exponent, accuracy, best, single)

    def alone(chosen: Indices) -> Solved:
        (k,) = chosen.tolist()
        best = Known(*(float(array[k]) for array in known)) if known else None
        return _alone(blocks[k], int(ranks[k]), exponent, accuracy, best, single)

    large = any(min(blocks.shapes[chosen[0]]) >= min(STACK_FROM, SVD_BELOW) for chosen in stacks + lone)
    with one_blas_thread(with_scipy=large):
        solved = parallel(together, stacks) + parallel(alone, lone)
    return restored(stacks + lone, solved)


def _stackable(shape: Shape, ranks: Indices) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which of the blocks of one shape are solved in stacks: by Gram matrices, and by LAPACK's SVD."""
    several, size = len(ranks) > 1, math.prod(shape)
    small = np.full(len(ranks), several and size < STACKED_BELOW)
    by_gram = ((ranks > 0) | small) & stack_pays(min(shape), ranks) & (several and size < GRAM_BELOW)
    return by_gram, small & ~by_gram


def _stacked(
    blocks: BlockSequence,
    chosen: Indices,
    ranks: Indices,
    exponent: int,
    accuracy: float,
    known: tuple[Floats, Floats] | None,
    single: bool,
) -> Solved:
    """Solve small blocks of one shape together."""
    p, q = blocks.shapes[chosen[0]]
    rows, own = stacked(blocks, chosen)
    if known:
        known = np.ldexp(known[0], exponent - own), np.ldexp(known[1], exponent - own)
    best = leading_stack(rows, ranks, accuracy, known)
    roots = np.ldexp(np.sqrt(best.values), own[:, None] // 2)
    b, a = best.basis * roots[:, None], roots[:, :, None] * best.rows
    stored_b, stored_a, moved = in_single(b, a) if single else (b, a, np.zeros(len(b)))
    if p > q:
        stored_b, stored_a = stored_a.swapaxes(1, 2), stored_b.swapaxes(1, 2)
    zero = (ranks == 0) | (best.norm == 0)
    return Solved(
        Pack.of_stacks(stored_b, stored_a, ranks),
        np.ldexp(np.sqrt(energies(rows)), own - exponent),  # a Gram matrix gives `best.norm`
        np.ldexp(best.error, own - exponent),
        raised(best.excess, own - exponent),
        np.ldexp(moved, -exponent),
        np.where(zero, "zero", best.methods).tolist(),
    )


def _alone(
    block: Matrix, rank: int, exponent: int, accuracy: float, known: Known | None, single: bool
) -> Solved:
    """Solve a block by the cheapest method that can be proved right."""
    own = common_exponent(block)
    rows = flat(block).astype(np.float32, copy=False) if is_narrow(block.dtype) else scaled(flat(block), own)
    shift = own - exponent
    if known is not None:
        known = Known(math.ldexp(known.error, -shift), math.ldexp(known.bound, -shift))
    question = Question(rows, rank, accuracy, known)
    norm = question.norm
    if rank == 0 or norm == 0:
        zeros = np.zeros((len(rows), rank)), np.zeros((rank, rows.shape[1]))
        return _one(zeros, block, (norm, norm, norm_rounding(norm)), shift, exponent, "zero", single)
    best = leading(question)
    part = best.part
    roots = np.ldexp(np.sqrt(part.values), own // 2)
    factors = part.basis * roots, roots[:, None] * part.rows
    return _one(factors, block, (norm, best.error, best.excess), shift, exponent, best.method, single)


def _one(
    factors: Factors,
    block: Matrix,
    claims: tuple[float, float, float],
    shift: int,
    exponent: int,
    method: str,
    single: bool,
) -> Solved:
    """Return what was found of one block, from its factors smaller side first, its norm, error and excess."""
    b, a = factors
    moved = 0.0
    if single:
        singles, rows, moves = in_single(b[None], a[None])
        b, a, moved = singles[0], rows[0], math.ldexp(float(moves[0]), -exponent)
    norm, error, excess = claims
    return Solved(
        Pack.of_one((b, a) if block.shape[0] <= block.shape[1] else (a.T, b.T)),
        np.array([math.ldexp(norm, shift)]),
        np.array([math.ldexp(error, shift)]),
        np.array([raised(excess, shift)]),
        np.array([moved]),
        [method],
    )
