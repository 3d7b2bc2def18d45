"""Approximations whose ranks do not depend on the spectra: leading factors, and nothing more."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lowrank_blocks._validation import Matrix, Shape, as_count
from lowrank_blocks.approximation import Approximation
from lowrank_blocks.assembly import assembled, energy, require_norm, row_slabs
from lowrank_blocks.budgets import block_cost
from lowrank_blocks.ranks import Allocation, Ranks, adaptive, uniform
from lowrank_blocks.spectra import BlockFactors, common_exponent, leading_factors, norm_rounding, promise
from lowrank_blocks.structures import Structure

_SMALLEST_SIDE = 64  # blocks below this are decomposed whatever the rank
_LARGEST_SHARE = 4  # ranks of others above side / this need most of a decomposition


def approximate_directly(
    matrix: Matrix, structure: Structure, budget: int, allocate: Allocation
) -> Approximation | None:
    """Return the best approximation, or None where ranks need the spectra or large ranks are asked."""
    shapes = structure.block_shapes((matrix.shape[0], matrix.shape[1]))
    ranks = _known_ranks(shapes, as_count(budget, "budget"), allocate)
    sides = np.array([min(s) for s in shapes])
    if ranks is None or ((sides >= _SMALLEST_SIDE) & (_LARGEST_SHARE * ranks > sides)).any():
        return None
    exponent = common_exponent(matrix)
    norm = math.sqrt(energy(row_slabs(matrix), exponent))
    require_norm(norm, exponent)
    found = leading_factors(structure.split(matrix), ranks, exponent, promise(matrix.dtype))
    if allocate is adaptive:
        found = [_without_zeros(f) for f in found]
    error = outside = norm
    if ranks.any():
        outside = math.sqrt(energy(structure.uncovered(matrix), exponent))
        error = math.hypot(outside, *(f.error for f in found))
    return assembled(
        matrix,
        structure,
        found,
        exponent=exponent,
        error=error,
        norm=norm,
        outside=norm_rounding(outside),
        norm_bound=norm_rounding(norm),
        guarantee="optimal ranks" if allocate is adaptive else "given ranks",
    )


def _known_ranks(shapes: tuple[Shape, ...], budget: int, allocate: Allocation) -> Ranks | None:
    """Return the ranks that an allocation gives whatever the spectra are, but for values of zero."""
    if allocate is uniform or (allocate is adaptive and len(shapes) == 1):
        return uniform([np.zeros(min(s)) for s in shapes], [block_cost(s) for s in shapes], budget)
    return None


def _without_zeros(found: BlockFactors) -> BlockFactors:
    b, a = found.factors
    kept = np.count_nonzero(a.any(axis=1))
    return replace(found, factors=(b[:, :kept], a[:kept]))
