"""The one solver: split, spectra, ranks, truncate, join."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from lowrank_blocks._results import ReadOnly, locked
from lowrank_blocks._validation import Matrix, Shape, is_narrow
from lowrank_blocks.allocation.adaptive import adaptive
from lowrank_blocks.allocation.base import (
    Allocate,
    Allocation,
    Guarantee,
    RankChoice,
    as_allocation,
    given_ranks,
)
from lowrank_blocks.allocation.budgets import as_budget
from lowrank_blocks.allocation.ledger import Ledger
from lowrank_blocks.allocation.offers import Offer, Ranks, check_ranks
from lowrank_blocks.allocation.staircases import Point, Staircase
from lowrank_blocks.linalg import (
    Accuracy,
    BlockFactors,
    BlockSpectra,
    PackedFactors,
    Spectrum,
    block_spectra,
    common_exponent,
    leading_factors,
    norm_rounding,
    promise,
    scaled,
)
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.solver.assembly import assembled, energy, require_norm
from lowrank_blocks.solver.curves import ErrorCurve, as_budgets, pareto
from lowrank_blocks.structures.base import Layout, Structure, whole_factors
from lowrank_blocks.structures.checked import laid_out


@dataclass(frozen=True, eq=False, repr=False)
class Decomposition(ReadOnly):
    """Spectra of the blocks of a matrix; factors are computed when asked for.

    Made by `decompose`.

    Attributes
    ----------
    structure : Structure
        Where the blocks are.
    shape : (int, int)
        Shape of the matrix.
    costs : (n_blocks,) array of int
        Numbers stored for one unit of rank in every block of shape (p, q): ``p + q``.
    """

    structure: Structure
    shape: Shape
    costs: Ranks
    _matrix: Matrix = field(repr=False)
    _exponent: int
    _found: BlockSpectra  # divided by 2**_exponent, as is all in the ledger
    _ledger: Ledger

    @cached_property
    def _layout(self) -> Layout:
        return laid_out(self.structure, self.shape)

    @cached_property
    def spectra(self) -> tuple[Spectrum, ...]:
        """Singular values of every block, one descending read-only array a block."""
        return tuple(locked(scaled(s, -self._exponent)) for s in self._found.values)

    @property
    def accuracy(self) -> Accuracy:
        """How the spectrum of every block was computed, and bounds on the errors taken from it."""
        return Accuracy.of(
            self._found.methods,
            self._found.bounds,
            self._ledger.norm,
            self._exponent,
            outside=self._outside_bound,
            norm_bound=self._norm_bound,
        )

    @property
    def norm(self) -> float:
        """Frobenius norm of the matrix."""
        return math.ldexp(self._ledger.norm, self._exponent)

    def error(self, ranks: object) -> float:
        """Return the least Frobenius error of any approximation with these ranks.

        Parameters
        ----------
        ranks : sequence of int
            One rank a block.
        """
        return math.ldexp(self._ledger.error(self._checked(ranks)), self._exponent)

    def relative_error(self, ranks: object) -> float:
        """Return `error` divided by the norm of the matrix; 0 for a matrix of zeros."""
        return self._ledger.relative_error(self._checked(ranks))

    def plain_relative_error(self, ranks: object) -> float | None:
        """Return the relative error in the plain norm of what is best under weights; None without weights."""
        return None

    def positions(self, ranks: object) -> int:
        """Return how many integers store the positions of the numbers; 0 if the structure determines them."""
        return self._layout.positions(self._checked(ranks))

    def choose_ranks(
        self, budget: int | None = None, *, rank: int | None = None, allocate: Allocate = adaptive
    ) -> RankChoice:
        """Spend a budget over the blocks, without computing factors.

        Parameters
        ----------
        budget : int
            Most numbers that the factors may store.
        rank : int
            In place of `budget`: that of a global factorisation of this rank, as `rank_budget` counts it.
        allocate : callable, optional
            An allocation. Its spectra are divided by one power of two if entries of the matrix are
            beyond 2**200 or all below 2**-200, else they are `spectra`.
        """
        count = as_budget(budget, rank, sum(self.shape))
        return as_allocation(allocate).choose(self._ledger.offer, count)

    def within(
        self, budget: int | None = None, *, rank: int | None = None, allocate: Allocate = adaptive
    ) -> Approximation:
        """Return the best approximation within a budget, or a rank in its place; see `approximate`."""
        count = as_budget(budget, rank, sum(self.shape))
        made = self._truncate(self.choose_ranks(count, allocate=allocate))
        return replace(made, budget=count, unit_cost=as_allocation(allocate).unit_cost(self.costs))

    def truncate(self, ranks: object) -> Approximation:
        """Return the best approximation with given ranks.

        Parameters
        ----------
        ranks : sequence of int
            One rank a block, at most the smaller side of the block.

        Raises
        ------
        TypeError, ValueError
            If ranks are not one non-negative integer a block within the block's size.
        """
        return self._truncate(given_ranks(ranks, self._ledger.offer))

    def error_curve(
        self, budgets: Sequence[int] | None = None, *, allocate: Allocate = adaptive
    ) -> ErrorCurve:
        """Return the error against the parameter count; see the function `error_curve`."""
        allocation = as_allocation(allocate)
        stairs = Staircase(self._ledger, allocation)
        if budgets is None:
            counts, errors = stairs.steps
        else:
            counts, errors = pareto(self._point(allocation, budget) for budget in as_budgets(budgets))
        needed = stairs.has_steps and not (budgets is None and stairs.tells_all)
        label = repr(self.structure)
        if len(self.costs) > 1 and allocation.guarantee is not Guarantee.OPTIMAL:
            label += f", {allocation.name}"
        return ErrorCurve(label, self.shape, locked(counts), locked(errors), None, stairs if needed else None)

    def _point(self, allocation: Allocation, budget: int) -> Point:
        choice = allocation.choose(self._ledger.offer, budget)
        return Point(self.price(choice), self._ledger.relative_error(choice.ranks))

    def price(self, choice: RankChoice) -> int:
        """Return the numbers that a choice stores."""
        return self._ledger.offer.price(choice.ranks, dense=choice.dense)

    def _checked(self, ranks: object) -> Ranks:
        return check_ranks(ranks, self._ledger.offer.max_ranks)

    def __repr__(self) -> str:
        m, n = self.shape
        return f"Decomposition({self.structure!r} of a {m}×{n} matrix, {len(self.costs)} blocks)"

    def _truncate(self, choice: RankChoice) -> Approximation:
        found = self._dense_factors(choice.ranks) if choice.dense else self._factors(choice.ranks)
        made = assembled(
            self.shape,
            self.structure,
            # The error that is reported comes from the spectra, and is as uncertain as they are.
            replace(found, excess=np.maximum(found.excess, self._found.bounds)),
            exponent=self._exponent,
            error=self._ledger.error(choice.ranks),
            norm=self._ledger.norm,
            outside=self._outside_bound,
            norm_bound=self._norm_bound,
            guarantee=choice.guarantee,
            lower_bound=self.lower_bound(choice),
        )
        return replace(made, dense=True) if choice.dense else made

    def _dense_factors(self, ranks: Ranks) -> BlockFactors:
        """Return factors; of a block of full rank one is the block, and the other the identity."""
        whole = ranks == self._ledger.offer.max_ranks
        found = self._factors(np.where(whole, 0, ranks))
        blocks = self._layout.split(self._matrix)
        kind = found.factors[0][0].dtype
        pairs = [
            whole_factors(np.asarray(blocks[k], dtype=kind)) if whole[k] else pair
            for k, pair in enumerate(found.factors)
        ]
        return replace(
            found,
            factors=PackedFactors.of_pairs(pairs),
            excess=np.where(whole, 0.0, found.excess),
            methods=tuple("dense" if w else m for w, m in zip(whole.tolist(), found.methods, strict=True)),
        )

    def _factors(self, ranks: Ranks) -> BlockFactors:
        dtype = self._matrix.dtype
        return leading_factors(
            self._layout.split(self._matrix),
            ranks,
            self._exponent,
            promise(dtype) / math.sqrt(2),  # as much as spectra may use of what all blocks may be off
            (np.sqrt(self._ledger.left(ranks)), self._found.bounds),
            single=is_narrow(dtype),
        )

    def lower_bound(self, choice: RankChoice) -> float:
        """Return what is proved of a choice: no ranks within its budget have a smaller relative error.

        Parameters
        ----------
        choice : RankChoice
            From `choose_ranks`.
        """
        return self._ledger.lower_bound(choice)

    @property
    def _outside_bound(self) -> float:
        split = self._layout.rounding * self._ledger.norm
        return float(norm_rounding(math.sqrt(self._ledger.outside))) + split

    @property
    def _norm_bound(self) -> float:
        return math.hypot(self._outside_bound, *self._found.norm_bounds)


def decompose_view(matrix: Matrix, structure: Structure, found: BlockSpectra | None = None) -> Decomposition:
    """Decompose a checked matrix without copying it: for results that do not outlive the call.

    Parameters
    ----------
    matrix : (m, n) array
        Finite and real.
    structure : Structure
        Where its blocks are.
    found : BlockSpectra, optional
        Their spectra divided by two to the power of `common_exponent` of the matrix, where they are
        known.
    """
    layout = laid_out(structure, (matrix.shape[0], matrix.shape[1]))
    known = solved(matrix, layout, layout.rank_costs, found)
    return Decomposition(structure=structure, shape=layout.shape, **known)


def solved(matrix: Matrix, layout: Layout, costs: Ranks, found: BlockSpectra | None = None) -> dict[str, Any]:
    """Return what a decomposition holds of the spectra of a matrix, those of its blocks on a layout."""
    exponent = common_exponent(matrix)
    if found is None:
        found = block_spectra(layout.split(matrix), exponent, promise(matrix.dtype))
    costs = locked(costs)
    ledger = Ledger(
        Offer.made(found.values, costs, layout.dense_costs), energy(layout.outside(matrix), exponent)
    )
    if exponent:  # no norm of entries of ordinary size is too large
        require_norm(ledger.norm, exponent)
    return {"costs": costs, "_matrix": matrix, "_exponent": exponent, "_found": found, "_ledger": ledger}
