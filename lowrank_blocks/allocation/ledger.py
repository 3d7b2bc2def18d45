"""The ledger: the error of every choice of ranks, and how far from the best it can be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._results import ReadOnly
from lowrank_blocks.allocation.adaptive import least_share
from lowrank_blocks.allocation.base import Guarantee, RankChoice
from lowrank_blocks.allocation.offers import Offer, Ranks


@dataclass(frozen=True, eq=False)
class Ledger(ReadOnly):
    """Spectra, costs and the energy outside: of one matrix, of many, or of a candidate of a search.

    All energies and errors are in one unit. The maker of the ledger chooses it so that no square overflows.

    Attributes
    ----------
    offer : Offer
        Singular values of all blocks, and their costs.
    outside : float
        Energy in no block.
    """

    offer: Offer
    outside: float = 0.0

    @property
    def costs(self) -> Ranks:
        """Numbers stored for one unit of rank of every block."""
        return self.offer.costs

    @cached_property
    def norm(self) -> float:
        """Frobenius norm."""
        return math.sqrt(self.outside + float(self.in_unit(self.offer.whole).sum()))

    def left(self, ranks: Ranks) -> NDArray[np.float64]:
        """Return the energy that ranks leave of every block."""
        left: NDArray[np.float64] = self.in_unit(self.offer.tails.at(ranks))
        return left

    def energy(self, ranks: Ranks) -> float:
        """Return the least energy left by any approximation with these ranks."""
        return self.outside + float(self.left(ranks).sum())

    def error(self, ranks: Ranks) -> float:
        """Return the least Frobenius error of any approximation with these ranks."""
        return math.sqrt(self.energy(ranks))

    def relative(self, energy: float) -> float:
        """Return the relative error that leaves an energy; 0 for a matrix of zeros."""
        return relative(math.sqrt(energy), self.norm)

    def relative_error(self, ranks: Ranks) -> float:
        """Return the least relative error with these ranks."""
        return relative(self.error(ranks), self.norm)

    def with_outside(self, discarded: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the relative errors that energies of the offer leave."""
        errors = np.sqrt(self.in_unit(discarded) + self.outside)
        return errors / (errors[0] or 1.0)  # the first step buys nothing

    def share(self, discarded: float) -> float:
        """Return the relative error that a share of the energy of all blocks leaves."""
        covered = float(self.in_unit(np.array(self.offer.total)))
        return self.relative(self.outside + discarded * covered)

    def lower_bound(self, choice: RankChoice) -> float:
        """Return a lower bound on the relative error of any ranks within the budget of a choice."""
        found = self.relative_error(choice.ranks)
        if choice.guarantee is Guarantee.OPTIMAL:
            return found
        least = least_share(self.offer, choice.budget) if choice.least is None else choice.least
        return min(found, self.share(least))

    def in_unit(self, energies: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return energies of the offer in the unit of the ledger."""
        exponent = 2 * self.offer.exponent
        return np.ldexp(energies, exponent) if exponent else energies


def relative(error: float, norm: float) -> float:
    """Return an error relative to a norm; 0 where the norm is 0."""
    return error / norm if norm else 0.0
