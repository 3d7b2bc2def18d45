"""Allocations: how a budget is spent over the blocks. Plain arrays in, ranks out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lowrank_blocks._validation import as_count, as_counts
from lowrank_blocks.allocation.knapsack import best_counts, dual_bound
from lowrank_blocks.linalg import Spectrum, safe_exponent, scaled

Ranks = NDArray[np.int64]
Costs = Sequence[int] | NDArray[np.int64]
Allocation = Callable[[Sequence[Spectrum], Ranks, int], ArrayLike]


@dataclass(frozen=True)
class RankChoice:
    """Ranks within a budget, and what is known of them.

    Attributes
    ----------
    ranks : (n_blocks,) array of int
        Rank of every block.
    guarantee : str
        ``"optimal ranks"`` if no other ranks within the budget discard less energy,
        ``"greedy ranks"`` if they are known to be no worse than `uniform` ones and than buying in order
        of energy per stored number, which is optimal at the count that it spends,
        ``"given ranks"`` if nothing is claimed of the ranks. For its ranks, every truncation is optimal.
    budget : int
        Most numbers that could be stored; of ranks given without a budget, what they store.
    discarded : float
        Share of the energy of all spectra that the ranks discard; for `adaptive` and `uniform` it
        never rises with the budget.
    """

    ranks: Ranks
    guarantee: str
    budget: int
    discarded: float


def uniform(spectra: Sequence[Spectrum], costs: Costs, budget: int) -> Ranks:
    """Give all blocks one rank, the largest that fits.

    A block whose largest rank is smaller gets that.

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
    values, costs_, budget = _judge(spectra, costs, budget)
    largest = np.array([len(s) for s in values], dtype=np.int64)
    price = np.zeros(int(largest.max()) + 1, dtype=np.int64)  # of raising the common rank past t
    np.add.at(price, largest, costs_)
    price = np.cumsum(price[::-1])[::-1][1:]
    return np.minimum(np.searchsorted(np.cumsum(price), budget, side="right"), largest)


def adaptive(spectra: Sequence[Spectrum], costs: Costs, budget: int) -> Ranks:
    """Give every block the rank that makes the total error least.

    The exact optimum over all integer ranks within the budget, for every budget, where the blocks
    have at most three distinct costs; that is every grid made from numbers of parts. With more
    distinct costs (arbitrary edges) the search is still exhaustive where it is cheap; otherwise the
    answer is no worse than the `uniform` one, and than the greedy one: values bought in order of
    energy per stored number, which is optimal among all ranks that spend no more than it spends.
    `Approximation.guarantee` tells which it was.
    Among ranks of equal error, values of zero are never bought.

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
        As for `uniform`.

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
    return best_ranks(spectra, costs, budget).ranks


def best_ranks(spectra: Sequence[Spectrum], costs: Costs, budget: int) -> RankChoice:
    """Return what `adaptive` returns, together with its guarantee."""
    values, costs_, budget = _judge(spectra, costs, budget)
    energies = _energies(values)
    classes, owners, distinct = _classes(energies, costs_)
    choice = best_counts(classes, distinct, budget)
    bought = np.concatenate([owner[:k] for owner, k in zip(owners, choice.counts, strict=True)])
    ranks = np.bincount(bought, minlength=len(values)).astype(np.int64)
    share = choice.discarded / (_total(energies) or 1.0)
    if choice.proved:
        return RankChoice(ranks, "optimal ranks", budget, share)
    common = _given(values, uniform(values, costs_, budget), budget)
    if common.discarded < share:
        ranks, share = common.ranks, common.discarded
    return RankChoice(ranks, "greedy ranks", budget, share)


def least_share(spectra: Sequence[Spectrum], costs: Costs, budget: int) -> float:
    """Return the share of the energy of all spectra that any ranks within a budget discard at least.

    A bound by weak duality at the best price, which no ranks need reach.
    """
    values, costs_, budget = _judge(spectra, costs, budget)
    energies = _energies(values)
    classes, _, distinct = _classes(energies, costs_)
    return dual_bound(classes, distinct, budget) / (_total(energies) or 1.0)


def choose_ranks(allocate: Allocation, spectra: Sequence[Spectrum], costs: Ranks, budget: int) -> RankChoice:
    """Run any allocation and judge what it returns."""
    if not callable(allocate):
        raise TypeError(
            "allocate must be a function (spectra, costs, budget) -> ranks such as lb.adaptive, "
            f"got {allocate!r}."
        )
    if allocate is adaptive:
        return best_ranks(spectra, costs, budget)
    name = f"the ranks from {allocation_name(allocate)}"
    ranks = check_ranks(allocate(spectra, costs, budget), spectra, name)
    spent = int(ranks @ costs)
    if spent > budget:
        raise ValueError(f"{name} must stay within the budget of {budget} numbers, got {spent}.")
    return _given(spectra, ranks, budget)


def given_ranks(ranks: object, spectra: Sequence[Spectrum], costs: Ranks) -> RankChoice:
    """Judge ranks that were chosen without a budget."""
    checked = check_ranks(ranks, spectra)
    return _given(spectra, checked, int(checked @ costs))


def check_ranks(ranks: object, spectra: Sequence[Spectrum], name: str = "ranks") -> Ranks:
    """Return ranks as an array of one integer a block, none above the block's largest rank."""
    checked = as_counts(ranks, name)
    if len(checked) != len(spectra):
        raise ValueError(f"{name} must be {len(spectra)} ranks, one a block, got {len(checked)}.")
    for b, (rank, spectrum) in enumerate(zip(checked, spectra, strict=True)):
        if rank > len(spectrum):
            raise ValueError(f"{name} must be at most {len(spectrum)} for block {b}, got {rank}.")
    return checked


def unit_cost(allocate: Allocation, costs: Costs) -> int:
    """Return the least budget that buys rank: of all blocks at once for `uniform`, else of the cheapest."""
    return int(sum(costs) if allocate is uniform else min(costs))


def allocation_name(allocate: Allocation) -> str:
    """Return the name an allocation goes by in reports."""
    return getattr(allocate, "__name__", None) or repr(allocate)


def _judge(spectra: Sequence[Spectrum], costs: Costs, budget: int) -> tuple[list[Spectrum], Ranks, int]:
    """Check the arguments of an allocation; cut the budget down to the cost of all ranks."""
    values = [as_spectrum(s, f"spectra[{b}]") for b, s in enumerate(spectra)]
    checked = as_counts(costs, "costs")
    if len(checked) != len(values) or not values:
        raise ValueError(
            f"spectra and costs must be of one length, at least 1, got {len(values)} and {len(checked)}."
        )
    if not checked.all():
        raise ValueError(f"costs must be positive, got costs[{int(np.argmin(checked))}] = 0.")
    everything = sum(len(s) * int(c) for s, c in zip(values, checked, strict=True))
    return values, checked, min(as_count(budget, "budget"), everything)


def as_spectrum(value: object, name: str) -> Spectrum:
    """Return `value` as a descending, non-negative float64 array, or say why it is none."""
    try:
        spectrum = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be an array of numbers, got {value!r}.") from None
    if spectrum.ndim != 1:
        raise ValueError(f"{name} must be 1-D, got shape {spectrum.shape}.")
    # NaN fails every comparison; what descends is within its ends.
    descends = (spectrum[1:] <= spectrum[:-1]).all()
    if spectrum.size and not (descends and spectrum[0] < np.inf and spectrum[-1] >= 0):
        raise ValueError(f"{name} must be finite, non-negative and descending, got {spectrum}.")
    return spectrum


def _energies(spectra: list[Spectrum]) -> list[Spectrum]:
    """Square all spectra after division by one power of two, so that none overflows."""
    largest = max((float(s[0]) for s in spectra if len(s)), default=0.0)
    exponent = int(safe_exponent(np.array(largest)))
    return [np.square(scaled(s, exponent)) for s in spectra]


def _classes(
    energies: list[Spectrum], costs: Ranks
) -> tuple[list[Spectrum], list[NDArray[np.intp]], list[int]]:
    """Merge the positive energies of all blocks of one cost, each with its block; costs ascend."""
    distinct, group = np.unique(costs, return_inverse=True)
    pools = [_pool(energies, np.flatnonzero(group == d)) for d in range(len(distinct))]
    return [pool for pool, _ in pools], [owner for _, owner in pools], distinct.tolist()


def _pool(energies: list[Spectrum], blocks: NDArray[np.intp]) -> tuple[Spectrum, NDArray[np.intp]]:
    """Merge the positive energies of some blocks in descending order, each with its block."""
    merged = np.concatenate([energies[b] for b in blocks])
    owner = np.repeat(blocks, [len(energies[b]) for b in blocks])
    order = np.argsort(-merged, kind="stable")[: np.count_nonzero(merged)]
    return merged[order], owner[order]


def _given(spectra: Sequence[Spectrum], ranks: Ranks, budget: int) -> RankChoice:
    energies = _energies(list(spectra))
    tails = (float(np.cumsum(e[r:][::-1])[-1]) for e, r in zip(energies, ranks, strict=True) if r < len(e))
    return RankChoice(ranks, "given ranks", budget, math.fsum(tails) / (_total(energies) or 1.0))


def _total(energies: list[Spectrum]) -> float:
    return math.fsum(float(np.cumsum(e[::-1])[-1]) for e in energies if len(e))
