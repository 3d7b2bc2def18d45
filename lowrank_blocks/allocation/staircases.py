"""The error at every budget: of one allocation over a ledger, and the least of several."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from lowrank_blocks._results import ReadOnly, lock_all, locked
from lowrank_blocks.allocation.base import Allocation, Points
from lowrank_blocks.allocation.ledger import Ledger

_ROUNDING = 1e-12  # of energies: by so much a bound is lowered before a structure is left out


class Point(NamedTuple):
    """Stored numbers, and the relative error that they reach."""

    n_parameters: int
    relative_error: float


@dataclass(frozen=True, eq=False)
class Staircase(ReadOnly):
    """The error at every budget; it never rises, and no matrix is held.

    Attributes
    ----------
    ledger : Ledger
        Spectra, costs, and the energy outside.
    allocation : Allocation
        One whose steps are known, such as `adaptive`.
    """

    ledger: Ledger
    allocation: Allocation

    def __call__(self, budget: int) -> Point:
        """Return the least error within a budget."""
        counts, errors = self.steps
        step = self._step(budget)
        known = Point(int(counts[step]), float(errors[step]))
        if self._suffices(step, budget):
            return known
        choice = self.allocation.choose(self.ledger.offer, budget)
        error = self.ledger.share(choice.discarded)
        if error >= known.relative_error:
            return known
        # The next step is no worse: errors never rise, and rounding must not make them.
        count = self.ledger.offer.price(choice.ranks, dense=choice.dense)
        return Point(count, max(error, float(errors[step + 1])))

    def bound(self, budget: int) -> float:
        """Return a lower bound on the error within a budget (weak duality): the chord between two steps."""
        counts, errors = self.steps
        step = self._step(budget)
        if self._suffices(step, budget):
            return float(errors[step])
        high, low = float(errors[step]) ** 2, float(errors[step + 1]) ** 2
        share = (budget - int(counts[step])) / int(counts[step + 1] - counts[step])
        return math.sqrt(max(0.0, high - share * (high - low) - _ROUNDING * high))

    def at_most(self, budget: int) -> float:
        """Return the error of the last step within a budget."""
        return float(self.steps[1][self._step(budget)])

    @property
    def tells_all(self) -> bool:
        """Whether the steps give the error at every budget."""
        return self.allocation.steps_tell_all(self.ledger.costs)

    @cached_property
    def steps(self) -> Points:
        """The stored numbers at which a new error is reached, from 0 on, and the relative errors."""
        if self._steps is None:
            raise ValueError(
                "budgets must be given for an allocation that is neither adaptive nor uniform, got none."
            )
        counts, energies = self._steps
        return locked(counts), locked(self.ledger.with_outside(energies))

    @property
    def has_steps(self) -> bool:
        """Whether the allocation knows where its errors fall."""
        return self._steps is not None

    @cached_property
    def _steps(self) -> Points | None:
        found = self.allocation.steps(self.ledger.offer)
        lock_all(found)
        return found

    @property
    def everything(self) -> int:
        """Numbers stored by all ranks."""
        return self.ledger.offer.everything

    def _step(self, budget: int) -> int:
        return int(np.searchsorted(self.steps[0], budget, side="right")) - 1

    def _suffices(self, step: int, budget: int) -> bool:
        """Whether the error within a budget is the error of the step before it."""
        counts = self.steps[0]
        return self.tells_all or step == len(counts) - 1 or bool(counts[step] == budget)


@dataclass(frozen=True, eq=False)
class Envelope(ReadOnly):
    """The least error of several staircases at every budget.

    Attributes
    ----------
    staircases : tuple of Staircase
        Of one matrix; at least one.
    """

    staircases: tuple[Staircase, ...]

    def __call__(self, budget: int) -> Point:
        """Return the least error within a budget."""
        least = min(stairs.at_most(budget) for stairs in self.staircases)
        found: list[Point] = []
        for bound, k in sorted((stairs.bound(budget), k) for k, stairs in enumerate(self.staircases)):
            if bound > least:
                break
            found.append(self.staircases[k](budget))
            least = min(least, found[-1].relative_error)
        return min(found, key=lambda point: (point.relative_error, point.n_parameters))

    @property
    def everything(self) -> int:
        """Numbers stored by all ranks of the structure that stores most."""
        return max(stairs.everything for stairs in self.staircases)
