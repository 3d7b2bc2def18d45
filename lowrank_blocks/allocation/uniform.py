"""One rank for all blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from lowrank_blocks.allocation.base import Allocation, Guarantee, Points, RankChoice
from lowrank_blocks.allocation.offers import Offer, Ranks


@final
@dataclass(frozen=True, repr=False)
class Uniform(Allocation):
    """Give all blocks one rank, the largest that fits.

    A block whose largest rank is smaller gets that. ``lb.uniform`` is the one value of this class.

    Parameters
    ----------
    spectra : sequence of (k,) arrays
        Singular values of every block, descending.
    costs : sequence of int
        Numbers stored for one unit of rank in every block, positive.
    budget : int
        Most numbers that may be stored.

    Returns
    -------
    (n_blocks,) array of int
        Ranks with ``ranks @ costs <= budget``.

    Raises
    ------
    TypeError, ValueError
        If a spectrum is not descending and non-negative, a cost not a positive integer, the numbers
        of both differ, or `budget` is not a non-negative integer.

    References
    ----------
    Barazandeh et al., arXiv 2506.00236.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.uniform([[3.0, 2.0, 1.0], [2.0, 0.0]], costs=[4, 4], budget=17)
    array([2, 2])
    """

    needs_spectra: ClassVar[bool] = False

    def __repr__(self) -> str:
        return "uniform"

    @property
    def name(self) -> str:
        """Its name in reports."""
        return "uniform"

    def choose(self, offer: Offer, budget: int) -> RankChoice:
        """Choose the largest common rank that fits; nothing is claimed of it."""
        budget = offer.affordable(budget)
        ranks = self.ranks_without_spectra(offer.max_ranks, offer.costs, budget)
        return RankChoice(ranks, Guarantee.GIVEN, budget, offer.discarded(ranks))

    def ranks_without_spectra(self, max_ranks: Ranks, costs: Ranks, budget: int) -> Ranks:
        """Return the ranks, which do not depend on the spectra."""
        return np.minimum(
            np.searchsorted(np.cumsum(_raises(max_ranks, costs)), budget, side="right"), max_ranks
        )

    def steps(self, offer: Offer) -> Points:
        """Return a step for every common rank."""
        longest = int(offer.max_ranks.max())
        discarded = np.zeros(longest + 1)
        for tail in offer.tails:
            discarded[: len(tail)] += tail
        counts = np.append(0, np.cumsum(_raises(offer.max_ranks, offer.costs)))
        return counts, discarded

    def unit_cost(self, costs: Ranks) -> int:
        """Return the cost of one rank of all blocks at once."""
        return int(sum(costs))


uniform = Uniform()


def _raises(max_ranks: Ranks, costs: Ranks) -> Ranks:
    """Return the cost of raising the common rank from t to t + 1, for every t."""
    cost = np.zeros(int(max_ranks.max()) + 1, dtype=np.int64)
    np.add.at(cost, max_ranks, costs)
    return np.cumsum(cost[::-1])[::-1][1:]
