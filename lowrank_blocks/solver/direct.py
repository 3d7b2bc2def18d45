"""Approximations whose ranks do not depend on the spectra: leading factors, and nothing more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lowrank_blocks._results import ReadOnly
from lowrank_blocks._validation import Matrix, as_count, is_narrow
from lowrank_blocks.allocation.base import Allocation, Guarantee
from lowrank_blocks.allocation.offers import Ranks
from lowrank_blocks.linalg import BlockFactors, common_exponent, leading_factors, norm_rounding, promise
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.solver.assembly import assembled, energy, require_norm
from lowrank_blocks.structures.base import Layout, Structure
from lowrank_blocks.structures.checked import laid_out

_SMALLEST_SIDE = 64  # blocks below this are decomposed whatever the rank
_LARGEST_SHARE = 4  # ranks of others above side / this need most of a decomposition


@dataclass(frozen=True, eq=False)
class LeadingFactors(ReadOnly):
    """The best approximations of the blocks of a matrix, from which those of smaller ranks are cut.

    Attributes
    ----------
    structure, layout : Structure, Layout
        Where the blocks are.
    found : BlockFactors
        The factors; in float64, or no smaller ranks can be cut from them.
    exponent : int
        Power of two by which errors and norms are divided.
    outside : float
        Frobenius norm of what is in no block.
    narrow : bool
        Whether approximations are rounded to float32, as the matrix was.
    """

    structure: Structure
    layout: Layout
    found: BlockFactors
    exponent: int
    outside: float
    narrow: bool

    @classmethod
    def of(
        cls,
        matrix: Matrix,
        structure: Structure,
        ranks: Ranks,
        *,
        rounded: bool,
        layout: Layout | None = None,
    ) -> LeadingFactors:
        """Compute the factors of some ranks, one a block, rounded to float32 if the matrix is, or not yet."""
        layout = layout or laid_out(structure, (matrix.shape[0], matrix.shape[1]))
        exponent, narrow = common_exponent(matrix), is_narrow(matrix.dtype)
        accuracy = promise(matrix.dtype) if rounded else promise(matrix.dtype) / math.sqrt(2)
        found = leading_factors(layout.split(matrix), ranks, exponent, accuracy, single=rounded and narrow)
        outside = math.sqrt(energy(layout.outside(matrix), exponent))
        made = cls(structure, layout, found, exponent, outside, narrow)
        require_norm(made.norm, exponent)
        return made

    @cached_property
    def norm(self) -> float:
        """Frobenius norm of the matrix: that of its blocks, and of what is in none."""
        return math.hypot(self.outside, *self.found.norm.tolist())

    def reaches(self, ranks: Sequence[int]) -> bool:
        """Whether approximations of these ranks can be cut."""
        return bool((np.asarray(ranks) <= self.found.factors.ranks).all())

    def truncate(self, ranks: Sequence[int] | Ranks) -> Approximation:
        """Return the best approximation of smaller ranks, one a block.

        Parameters
        ----------
        ranks : sequence of int
            None above that of the factors.
        """
        found = self.found.truncated(ranks, self.exponent, single=self.narrow)
        costs = self.layout.rank_costs
        spent, unit = int(costs @ found.factors.ranks), int(costs.min())
        return replace(self, found=found).approximation(Guarantee.GIVEN, spent, unit)

    def approximation(
        self, guarantee: Guarantee, budget: int, unit_cost: int, *, best: bool = False
    ) -> Approximation:
        """Return the approximation with these factors; `best` if no ranks of the same count leave less."""
        error = self.norm
        if self.found.factors.ranks.any():
            error = math.hypot(self.outside, *self.found.error.tolist())
        split = self.layout.rounding * self.norm
        return assembled(
            self.layout.shape,
            self.structure,
            self.found,
            exponent=self.exponent,
            error=error,
            norm=self.norm,
            outside=norm_rounding(self.outside) + split,
            norm_bound=norm_rounding(self.norm) + split,
            guarantee=guarantee,
            lower_bound=error / (self.norm or 1.0) if best else None,  # else only spectra could tell
            budget=budget,
            unit_cost=unit_cost,
        )


def are_leading(sides: Ranks, ranks: Ranks) -> bool:
    """Whether factors of these ranks cost much less than a decomposition, or blocks are small."""
    return not ((sides >= _SMALLEST_SIDE) & (_LARGEST_SHARE * ranks > sides)).any()


def approximate_directly(
    matrix: Matrix, structure: Structure, budget: int, allocation: Allocation
) -> Approximation | None:
    """Return the best approximation, or None where ranks need the spectra or are large."""
    layout = laid_out(structure, (matrix.shape[0], matrix.shape[1]))
    sides, costs = layout.max_ranks, layout.rank_costs
    ranks = allocation.ranks_without_spectra(sides, costs, as_count(budget, "budget"))
    if ranks is None or not are_leading(sides, ranks):
        return None
    made = LeadingFactors.of(matrix, structure, ranks, rounded=True, layout=layout)
    optimal = allocation.guarantee is Guarantee.OPTIMAL  # buys no values of zero
    shorter = made.found.without_zeros() if optimal else made.found
    if shorter is not made.found:
        made = replace(made, found=shorter)
    best = optimal or len(costs) == 1  # the largest rank of one block that fits
    return made.approximation(allocation.guarantee, budget, allocation.unit_cost(costs), best=best)
