"""Approximations whose ranks do not depend on the spectra: leading factors, and nothing more."""

from __future__ import annotations

import math
from dataclasses import replace

from lowrank_blocks._validation import Matrix, as_count, is_narrow
from lowrank_blocks.allocation.base import Allocation, Guarantee
from lowrank_blocks.linalg import common_exponent, leading_factors, norm_rounding, promise
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.solver.assembly import assembled, energy, require_norm, row_slabs
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.checked import laid_out

_SMALLEST_SIDE = 64  # blocks below this are decomposed whatever the rank
_LARGEST_SHARE = 4  # ranks of others above side / this need most of a decomposition


def approximate_directly(
    matrix: Matrix, structure: Structure, budget: int, allocation: Allocation
) -> Approximation | None:
    """Return the best approximation, or None where ranks need the spectra or large ranks are asked."""
    layout = laid_out(structure, (matrix.shape[0], matrix.shape[1]))
    sides, costs = layout.max_ranks, layout.rank_costs
    ranks = allocation.ranks_without_spectra(sides, costs, as_count(budget, "budget"))
    if ranks is None or ((sides >= _SMALLEST_SIDE) & (_LARGEST_SHARE * ranks > sides)).any():
        return None
    exponent = common_exponent(matrix)
    norm = math.sqrt(energy(row_slabs(matrix), exponent))
    require_norm(norm, exponent)
    single = is_narrow(matrix.dtype)
    found = leading_factors(layout.split(matrix), ranks, exponent, promise(matrix.dtype), single=single)
    optimal = allocation.guarantee is Guarantee.OPTIMAL  # buys no values of zero
    if optimal:
        found = found.without_zeros()
    error = outside = norm
    if ranks.any():
        outside = math.sqrt(energy(layout.outside(matrix), exponent))
        error = math.hypot(outside, *found.error.tolist())
    best = optimal or len(costs) == 1  # the largest rank of one block that fits
    made = assembled(
        layout.shape,
        structure,
        found,
        exponent=exponent,
        error=error,
        norm=norm,
        outside=norm_rounding(outside) + layout.rounding * norm,
        norm_bound=norm_rounding(norm),
        guarantee=allocation.guarantee,
        lower_bound=error / (norm or 1.0) if best else None,  # of several blocks only spectra could tell
    )
    return replace(made, budget=budget, unit_cost=allocation.unit_cost(costs))
