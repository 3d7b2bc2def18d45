"""The one solver: split, spectra, ranks, truncate, join."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from lowrank_blocks._results import ReadOnly
from lowrank_blocks._validation import Matrix, Shape, is_narrow
from lowrank_blocks.allocation.budgets import as_budget
from lowrank_blocks.allocation.ranks import (
    Allocation,
    RankChoice,
    Ranks,
    adaptive,
    allocation_name,
    check_ranks,
    choose_ranks,
    given_ranks,
    least_share,
    uniform,
    unit_cost,
)
from lowrank_blocks.linalg import (
    Accuracy,
    BlockSpectra,
    Known,
    Spectrum,
    block_spectra,
    common_exponent,
    leading_factors,
    norm_rounding,
    promise,
    scaled,
)
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.solver.assembly import assembled, energy, locked, require_norm
from lowrank_blocks.solver.curves import ErrorCurve, Points, Solver, as_budgets, frontier, steps
from lowrank_blocks.structures.base import Layout, Structure
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
    _found: BlockSpectra  # divided by 2**_exponent
    _uncovered: float  # energy in no block, divided by 4**_exponent

    @cached_property
    def _layout(self) -> Layout:
        return laid_out(self.structure, self.shape)

    @cached_property
    def spectra(self) -> tuple[Spectrum, ...]:
        """Singular values of every block, one descending read-only array a block."""
        return tuple(locked(scaled(s, -self._exponent)) for s in self._spectra)

    @property
    def accuracy(self) -> Accuracy:
        """How the spectrum of every block was computed, and bounds on the errors taken from it."""
        return Accuracy.of(
            self._found.methods,
            self._found.bounds,
            self._scaled_norm,
            self._exponent,
            outside=self._outside,
            norm_bound=self._norm_bound,
        )

    @property
    def norm(self) -> float:
        """Frobenius norm of the matrix."""
        return self.error([0] * len(self.costs))

    def error(self, ranks: object) -> float:
        """Return the least Frobenius error of any approximation with these ranks.

        Parameters
        ----------
        ranks : sequence of int
            One rank a block.
        """
        return math.ldexp(self._scaled_error(check_ranks(ranks, self._spectra)), self._exponent)

    def relative_error(self, ranks: object) -> float:
        """Return `error` divided by the norm of the matrix; 0 for a matrix of zeros."""
        return self._relative(self._scaled_error(check_ranks(ranks, self._spectra)))

    def choose_ranks(
        self, budget: int | None = None, *, rank: int | None = None, allocate: Allocation = adaptive
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
        return choose_ranks(allocate, self._spectra, self.costs, count)

    def within(
        self, budget: int | None = None, *, rank: int | None = None, allocate: Allocation = adaptive
    ) -> Approximation:
        """Return the best approximation within a budget, or a rank in its place; see `approximate`."""
        count = as_budget(budget, rank, sum(self.shape))
        made = self._truncate(self.choose_ranks(count, allocate=allocate))
        return replace(made, budget=count, unit_cost=unit_cost(allocate, self.costs))

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
        return self._truncate(given_ranks(ranks, self._spectra, self.costs))

    def error_curve(
        self, budgets: Sequence[int] | None = None, *, allocate: Allocation = adaptive
    ) -> ErrorCurve:
        """Return the error against the parameter count; see the function `error_curve`."""
        if budgets is None:
            counts, errors = self._all_steps(allocate)
            exact = allocate is not adaptive or len(set(self.costs.tolist())) == 1
        else:
            choices = [self.choose_ranks(b, allocate=allocate).ranks for b in as_budgets(budgets)]
            errors = np.array([self._relative(self._scaled_error(ranks)) for ranks in choices])
            counts, errors = frontier(np.array([int(ranks @ self.costs) for ranks in choices]), errors)
            exact = allocate not in (adaptive, uniform)
        solver = None if exact else Solver(self._spectra, self.costs, self._uncovered, allocate)
        label = repr(self.structure)
        if allocate is not adaptive and len(self.costs) > 1:
            label += f", {allocation_name(allocate)}"
        return ErrorCurve(label, self.shape, locked(counts), locked(errors), None, solver)

    def _all_steps(self, allocate: Allocation) -> Points:
        counts, energies = steps(self._spectra, self.costs, allocate)
        errors = np.sqrt(energies + self._uncovered)
        return counts, errors / (errors[0] or 1.0)  # the first step buys nothing

    def __repr__(self) -> str:
        m, n = self.shape
        return f"Decomposition({self.structure!r} of a {m}×{n} matrix, {len(self.costs)} blocks)"

    def _truncate(self, choice: RankChoice) -> Approximation:
        known = [
            Known(math.sqrt(tail[r]), bound)
            for tail, r, bound in zip(self._found.tails, choice.ranks, self._found.bounds, strict=True)
        ]
        blocks = self._layout.split(self._matrix)
        dtype = self._matrix.dtype
        found = leading_factors(
            blocks, choice.ranks, self._exponent, promise(dtype), known, single=is_narrow(dtype)
        )
        return assembled(
            self._matrix,
            self.structure,
            # The error that is reported comes from the spectra, and is as uncertain as they are.
            [replace(f, excess=max(f.excess, k.bound)) for f, k in zip(found, known, strict=True)],
            exponent=self._exponent,
            error=self._scaled_error(choice.ranks),
            norm=self._scaled_norm,
            outside=self._outside,
            norm_bound=self._norm_bound,
            guarantee=choice.guarantee,
            lower_bound=self.lower_bound(choice),
        )

    def lower_bound(self, choice: RankChoice) -> float:
        """Return what is proved of a choice: no ranks within its budget have a smaller relative error.

        Parameters
        ----------
        choice : RankChoice
            From `choose_ranks`.
        """
        relative_error = self.relative_error(choice.ranks)
        if choice.guarantee == "optimal ranks":
            return relative_error
        covered = math.fsum(float(tail[0]) for tail in self._found.tails)
        least = least_share(self._spectra, self.costs, choice.budget) * covered
        return min(relative_error, self._relative(math.sqrt(self._uncovered + least)))

    def _relative(self, scaled_error: float) -> float:
        norm = self._scaled_norm
        return scaled_error / norm if norm else 0.0

    @property
    def _spectra(self) -> tuple[Spectrum, ...]:
        return self._found.values

    @property
    def _scaled_norm(self) -> float:
        return self._scaled_error(np.zeros_like(self.costs))

    @property
    def _outside(self) -> float:
        return norm_rounding(math.sqrt(self._uncovered))

    @property
    def _norm_bound(self) -> float:
        return math.hypot(self._outside, *self._found.norm_bounds)

    def _scaled_error(self, ranks: Ranks) -> float:
        kept_out = [float(tail[r]) for tail, r in zip(self._found.tails, ranks, strict=True)]
        return math.sqrt(math.fsum([self._uncovered, *kept_out]))


def decompose_view(matrix: Matrix, structure: Structure) -> Decomposition:
    """Decompose a judged matrix without copying it: for results that do not outlive the call."""
    shape = matrix.shape[0], matrix.shape[1]
    layout = laid_out(structure, shape)
    exponent, blocks = common_exponent(matrix), layout.split(matrix)
    decomposition = Decomposition(
        structure=structure,
        shape=shape,
        costs=locked(layout.rank_costs),
        _matrix=matrix,
        _exponent=exponent,
        _found=block_spectra(blocks, exponent, promise(matrix.dtype)),
        _uncovered=energy(layout.outside(matrix), exponent),
    )
    require_norm(decomposition._scaled_norm, exponent)
    return decomposition
