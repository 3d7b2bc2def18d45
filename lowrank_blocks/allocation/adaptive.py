"""The best ranks: the exact optimum, or a certified greedy answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.allocation.base import Allocation, Guarantee, Points, RankChoice
from lowrank_blocks.allocation.dense import best_with_dense, steps_with_dense
from lowrank_blocks.allocation.knapsack import best_counts, dual_bound
from lowrank_blocks.allocation.offers import Offer, Ranks
from lowrank_blocks.allocation.uniform import uniform
from lowrank_blocks.linalg import Spectrum, tail_energy


@final
@dataclass(frozen=True, repr=False)
class Adaptive(Allocation):
    """Give every block the rank that makes the total error least.

    The exact optimum over all integer ranks within the budget, for every budget, where the blocks
    have at most three distinct costs; that is every grid made from numbers of parts. With more
    distinct costs (arbitrary edges) the search is still exhaustive where it is cheap; otherwise the
    answer is no worse than the `uniform` one, and than the greedy one: values bought in order of
    energy per stored number, which is optimal among all ranks that spend no more than it spends.
    `Approximation.guarantee` says which it was. Among ranks of equal error, values of zero are
    never bought. ``lb.adaptive`` is the value of this class that stores no block whole.

    Parameters
    ----------
    dense : bool, optional
        Whether a block of p by q entries may also be stored whole, as p·q numbers, which is cheaper than its
        factors from rank ``p * q / (p + q)`` on. A block of full rank is then stored whole. The optimum is
        searched for whatever the costs, and `Approximation.guarantee` says whether the search ended. Only a
        matrix has the shapes of its blocks, so that such an allocation cannot be called on spectra alone.

    Raises
    ------
    TypeError
        If `dense` is not a bool.

    Notes
    -----
    ``lb.adaptive(spectra, costs, budget)`` returns ranks, (n_blocks,), with ``ranks @ costs <= budget``, from
    the singular values of every block, descending, and the numbers that a unit of its rank stores. Errors are
    raised as by `uniform`.

    References
    ----------
    Lagrangian bound: Everett, "Generalized Lagrange multiplier method", doi 10.1287/opre.11.3.399.
    Exchange argument: Eisenbrand & Weismantel, "Proximity results and faster algorithms for integer
    programming using the Steinitz lemma", doi 10.1145/3340322.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.adaptive([[3.0, 2.0, 1.0], [2.0, 0.0]], costs=[4, 4], budget=17)
    array([3, 1])
    """

    dense: bool = False

    guarantee: ClassVar[Guarantee] = Guarantee.OPTIMAL

    def __post_init__(self) -> None:
        if not isinstance(self.dense, (bool, np.bool_)):
            raise TypeError(f"dense must be a bool, got {self.dense!r}.")

    def __repr__(self) -> str:
        return "Adaptive(dense=True)" if self.dense else "adaptive"

    @property
    def name(self) -> str:
        """Its name in reports."""
        return "adaptive, dense" if self.dense else "adaptive"

    def choose(self, offer: Offer, budget: int) -> RankChoice:
        """Choose the best ranks, and say whether they are proved to be optimal."""
        budget = offer.affordable(budget)
        if self.dense:
            return _with_dense(offer, budget)
        classes = _Classes.of(offer)
        choice = best_counts(classes.energies, classes.costs, budget)
        bought = np.concatenate([o[:k] for o, k in zip(classes.owners, choice.counts, strict=True)])
        ranks = np.bincount(bought, minlength=len(offer.costs)).astype(np.int64)
        share = choice.discarded / (offer.total or 1.0)
        if choice.proved:
            return RankChoice(ranks, Guarantee.OPTIMAL, budget, share)
        common = uniform.choose(offer, budget)
        if common.discarded < share:
            ranks, share = common.ranks, common.discarded
        return RankChoice(ranks, Guarantee.GREEDY, budget, share)

    def ranks_without_spectra(self, max_ranks: Ranks, costs: Ranks, budget: int) -> Ranks | None:
        """Return the largest rank of a single block that fits."""
        alone = len(costs) == 1 and not self.dense
        return uniform.ranks_without_spectra(max_ranks, costs, budget) if alone else None

    def steps(self, offer: Offer) -> Points:
        """Buy all positive values in order of energy per stored number: optimal at every count spent."""
        if self.dense:
            return steps_with_dense(_offering(offer))
        values, costs = offer.spectra.flat, offer.costs
        energies = np.square(values)
        bought = int(np.count_nonzero(energies))
        if (costs == costs[0]).all():
            return costs[0] * np.arange(bought + 1), tail_energy(np.sort(values)[::-1][:bought])
        unit = np.repeat(costs, offer.max_ranks)
        order = np.argsort(-energies / unit, kind="stable")[:bought]
        return np.append(0, np.cumsum(unit[order])), tail_energy(values[order])

    def steps_tell_all(self, costs: Ranks) -> bool:
        """Whether all blocks have one cost; if not, other ranks can be better between the steps."""
        return bool((costs == costs[0]).all()) and not self.dense


adaptive = Adaptive()


def _with_dense(offer: Offer, budget: int) -> RankChoice:
    found, total = best_with_dense(_offering(offer), budget), offer.total or 1.0
    guarantee = Guarantee.OPTIMAL if found.proved else Guarantee.GREEDY
    return RankChoice(found.ranks, guarantee, budget, found.discarded / total, True, found.bound / total)


def _offering(offer: Offer) -> Offer:
    """Return an offer that says what whole blocks cost."""
    if offer.dense_costs is None:
        raise ValueError("allocate must have dense=False where the shapes of blocks are not known, got True.")
    return offer


def least_share(offer: Offer, budget: int) -> float:
    """Return the share of the energy of all blocks that any ranks within a budget discard at least.

    A bound by weak duality at the best multiplier; there may be no ranks that reach it.
    """
    classes = _Classes.of(offer)
    return dual_bound(classes.energies, classes.costs, offer.affordable(budget)) / (offer.total or 1.0)


@dataclass(frozen=True)
class _Classes:
    """The positive energies of all blocks of one cost, merged in descending order, each with its block."""

    energies: list[Spectrum]
    owners: list[NDArray[np.int64]]
    costs: list[int]

    @classmethod
    def of(cls, offer: Offer) -> _Classes:
        costs, group = np.unique(offer.costs, return_inverse=True)
        positive = np.flatnonzero(offer.energies.flat)
        owners, energies = offer.energies.owners[positive], offer.energies.flat[positive]
        order = np.lexsort((-energies, group[owners]))
        owners, energies = owners[order], energies[order]
        ends = np.searchsorted(group[owners], np.arange(1, len(costs)))
        return cls(np.split(energies, ends), np.split(owners, ends), costs.tolist())
