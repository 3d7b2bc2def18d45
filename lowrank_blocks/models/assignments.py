"""Which structure every matrix gets, and which ranks: least total error within one budget, with a bound.

At a multiplier every matrix takes the structure and the ranks of least ``energy + multiplier * count``.
The sum of these over the matrices, less ``multiplier * budget``, bounds the energy that any structures
and ranks within the budget leave (weak duality). At the multiplier where the count passes the budget the
bound is the best of its kind, and the structures chosen there are the ones to look at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.allocation.adaptive import adaptive
from lowrank_blocks.allocation.base import Guarantee, RankChoice
from lowrank_blocks.allocation.ledger import Ledger
from lowrank_blocks.allocation.offers import Offer, Ranks
from lowrank_blocks.linalg import Ragged, safe_exponent, scaled
from lowrank_blocks.models.candidates import Candidate
from lowrank_blocks.models.steps import Steps

_HALVINGS = 200  # at most; a multiplier is found to the last bit long before
_SWAPS = 16  # single matrices that may change their structure at the end
_CLOSE = 1e-14  # multipliers, relative to each other, between which nothing is searched
_ROUNDING = 1e-13  # of all energy: sums that differ by less are equal


@dataclass(frozen=True)
class Assignment:
    """A structure for every matrix, its ranks, and what no other assignment within the budget can beat.

    Attributes
    ----------
    chosen : tuple of int
        Index of the candidate of every matrix.
    choice : RankChoice
        Ranks of the blocks of all chosen candidates, one after another.
    ledger : Ledger
        Of these blocks.
    bound : float
        Least relative error of any structures and ranks within the budget.
    lacking : tuple of (int, int)
        Matrix and candidate of which more singular values must be known before the answer stands.
    """

    chosen: tuple[int, ...]
    choice: RankChoice
    ledger: Ledger
    bound: float
    lacking: tuple[tuple[int, int], ...] = ()


def joint_ledger(candidates: Sequence[Candidate], exponent: int | None = None) -> Ledger:
    """Return the ledger of all blocks of some matrices, in a unit in which no square overflows."""
    if exponent is None:
        exponent = common_unit(candidates)
    norms = (norm for c in candidates for norm in (c.outside, *c.left.tolist()))
    outside = math.fsum(math.ldexp(norm, -exponent) ** 2 for norm in norms)
    lengths = np.concatenate([c.values.lengths for c in candidates])
    flat = np.concatenate([c.values.flat for c in candidates])
    costs = np.concatenate([c.costs for c in candidates])
    return Ledger(Offer.made(Ragged(scaled(flat, exponent), lengths), costs), outside)


def common_unit(candidates: Sequence[Candidate]) -> int:
    """Return the power of two by which singular values are divided."""
    largest = max(max(c.outside, c.values.flat.max(initial=0.0), c.left.max(initial=0.0)) for c in candidates)
    return int(safe_exponent(np.array(largest)))


def assign(matrices: Sequence[Sequence[Candidate]], budget: int) -> Assignment:
    """Choose a candidate and its ranks for every matrix.

    Parameters
    ----------
    matrices : sequence of sequences of Candidate
        The candidates of every matrix, at least one each.
    budget : int
        Most numbers that all matrices together may store.
    """
    search = _Search(matrices, budget)
    tried = [search.spent(chosen) for chosen in dict.fromkeys(search.promising())]
    best = min(tried, key=lambda found: found.energy)
    if search.has_alternatives:
        best = search.without_idle_choices(search.swapped(best))
    return search.result(best)


@dataclass(frozen=True)
class _Spent:
    """Structures with the best ranks within the budget, and the energy that they leave."""

    chosen: tuple[int, ...]
    choice: RankChoice
    ledger: Ledger
    energy: float


class _Search:
    """The steps of all candidates in one unit, and the multiplier at which they pass the budget."""

    def __init__(self, matrices: Sequence[Sequence[Candidate]], budget: int) -> None:
        self.matrices, self.budget = matrices, budget
        self.exponent = common_unit([c for candidates in matrices for c in candidates])
        self.steps = [[Steps.of(c, self.exponent) for c in candidates] for candidates in matrices]
        self.has_alternatives = any(len(candidates) > 1 for candidates in matrices)
        self.low, self.high = (
            self._multipliers() if self.has_alternatives or not self._complete else (0.0, 0.0)
        )

    @property
    def _complete(self) -> bool:
        return all(c.complete for candidates in self.matrices for c in candidates)

    def taken(self, multiplier: float) -> tuple[tuple[int, ...], int, float]:
        """Return what every matrix takes at a multiplier, the count of all, and their Lagrangian."""
        chosen, count, total = [], 0, []
        for candidates in self.steps:
            offers = [steps.at(multiplier) for steps in candidates]
            k = min(range(len(offers)), key=lambda s: (offers[s].lagrangian, offers[s].stored))
            chosen.append(k)
            count += offers[k].stored
            total.append(min(offer.least for offer in offers))
        return tuple(chosen), count, math.fsum(total)

    def _multipliers(self) -> tuple[float, float]:
        """Return two multipliers close to each other between which the count passes the budget."""
        low, high = 0.0, 2 * max(steps.richest for candidates in self.steps for steps in candidates)
        if self.taken(low)[1] <= self.budget:
            return low, low
        for _ in range(_HALVINGS):
            middle = math.sqrt(low * high) if low else high * 2.0**-8
            if not low < middle < high or high - low <= _CLOSE * high:
                break
            low, high = (middle, high) if self.taken(middle)[1] > self.budget else (low, middle)
        return low, high

    def promising(self) -> Iterator[tuple[int, ...]]:
        """Yield the assignments to look at."""
        if not self.has_alternatives:
            yield (0,) * len(self.matrices)
            return
        below, above = self.taken(self.high)[0], self.taken(self.low)[0]
        yield from self._between(below, above)
        for structure in (c.structure for c in self.matrices[0]):  # the same for all matrices
            places = [[c.structure for c in candidates] for candidates in self.matrices]
            if all(structure in structures for structures in places):
                yield tuple(structures.index(structure) for structures in places)

    def _between(self, below: tuple[int, ...], above: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Yield what is taken on either side of the budget, and what is between as far as it fits."""
        yield below
        differing = [k for k in range(len(below)) if below[k] != above[k]]
        mixed, count = list(below), self.taken(self.high)[1]
        for k in differing:
            old, new = self.steps[k][below[k]], self.steps[k][above[k]]
            count += new.at(self.low).stored - old.at(self.high).stored
            if count > self.budget:
                break
            mixed[k] = above[k]
        yield tuple(mixed)
        yield above

    def spent(self, chosen: tuple[int, ...]) -> _Spent:
        """Return the best ranks of some structures."""
        ledger = joint_ledger(self._picked(chosen), self.exponent)
        choice = adaptive.choose(ledger.offer, self.budget)
        return _Spent(chosen, choice, ledger, ledger.energy(choice.ranks))

    def swapped(self, best: _Spent) -> _Spent:
        """Spend what is left on other structures of single matrices, as long as that helps."""
        for _ in range(_SWAPS):
            unspent = self.budget - int(best.choice.ranks @ best.ledger.costs)
            counts, energies = self._of_each(best)
            gain, k, s = max(
                (energies[k] - steps.within(counts[k] + unspent), k, s)
                for k, candidates in enumerate(self.steps)
                for s, steps in enumerate(candidates)
            )
            if s == best.chosen[k] or gain <= _ROUNDING * best.energy:
                break
            found = self.spent((*best.chosen[:k], s, *best.chosen[k + 1 :]))
            if found.energy >= best.energy:
                break
            best = found
        return best

    def without_idle_choices(self, best: _Spent) -> _Spent:
        """Give matrices that store nothing their first structure: no other is better there."""
        ranks = split_ranks(best.choice.ranks, self._picked(best.chosen))
        stores = [bool(r.any()) for r in ranks]
        chosen = tuple(k if some else 0 for k, some in zip(best.chosen, stores, strict=True))
        picked = self._picked(chosen)
        kept = [
            r if some else np.zeros_like(c.costs) for r, some, c in zip(ranks, stores, picked, strict=True)
        ]
        choice = replace(best.choice, ranks=np.concatenate(kept))
        return replace(best, chosen=chosen, choice=choice, ledger=joint_ledger(picked, self.exponent))

    def _picked(self, chosen: tuple[int, ...]) -> list[Candidate]:
        return [candidates[k] for candidates, k in zip(self.matrices, chosen, strict=True)]

    def _of_each(self, best: _Spent) -> tuple[list[int], list[float]]:
        """Return the count and the energy left of every matrix."""
        picked = self._picked(best.chosen)
        ranks = split_ranks(best.choice.ranks, picked)
        energies = [joint_ledger([c], self.exponent).energy(r) for c, r in zip(picked, ranks, strict=True)]
        return [int(r @ c.costs) for c, r in zip(picked, ranks, strict=True)], energies

    def result(self, best: _Spent) -> Assignment:
        """Return the assignment with its bound, and what must be known better before it stands."""
        ledger, choice = best.ledger, best.choice
        bound = ledger.lower_bound(choice)
        lacking: tuple[tuple[int, int], ...] = ()
        if self.has_alternatives or not self._complete:
            least = self._least_energy()
            lacking = self._lacking(best.energy - least)
        if self.has_alternatives:
            proved = best.energy - least <= _ROUNDING * ledger.norm**2
            guarantee = Guarantee.OPTIMAL if proved else Guarantee.GREEDY
            choice = RankChoice(choice.ranks, guarantee, self.budget, choice.discarded)
            found = ledger.relative_error(choice.ranks)
            bound = found if proved else min(found, ledger.relative(least))
        return Assignment(best.chosen, choice, ledger, bound, lacking)

    def _least_energy(self) -> float:
        """Return the Lagrangian bound, less what rounding may add."""
        unit = math.gcd(*(cost for m in self.matrices for c in m for cost in c.costs.tolist()))
        usable = self.budget - self.budget % unit
        bounds = (self.taken(value) for value in (self.low, self.high))
        terms = [
            (total, value * usable)
            for (_, _, total), value in zip(bounds, (self.low, self.high), strict=True)
        ]
        return max(0.0, *(total - paid - _ROUNDING * total for total, paid in terms))

    def _lacking(self, loss: float) -> tuple[tuple[int, int], ...]:
        """Return the candidates whose unseen values could change the answer.

        At the multiplier, to buy an unseen value costs the penalty of all that come before it. A penalty
        above the loss of the answer against the bound cannot pay.
        """
        found = []
        for k, candidates in enumerate(self.steps):
            least = min(steps.at(self.high).least for steps in candidates)
            for s, steps in enumerate(candidates):
                excess = steps.at(self.high).least - least
                if steps.penalty_of_unseen(self.high) + excess < loss:
                    found.append((k, s))
        return tuple(found)


def hull(
    matrices: Sequence[Sequence[Candidate]], most: int, points: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return counts at which no structures and ranks leave less than the relative errors returned with them.

    They are what all matrices take at multipliers from the largest down to where values that were not
    computed could matter, or the count passes `most`.
    """
    search = _Search(matrices, most)
    steps = [s for candidates in search.steps for s in candidates]
    least = max(max(s.ceilings.max(initial=0.0) for s in steps), search.high)
    richest = max(s.richest for s in steps)
    if not least:
        least = min((s.density[-1] for s in steps if len(s.density)), default=richest)
    multipliers = np.geomspace(richest, least, points) if richest else np.zeros(0)
    taken = [(0, search.taken(2 * richest)[2])]
    for multiplier in multipliers.tolist():
        _, count, total = search.taken(multiplier)
        if taken[-1][0] < count <= most:
            taken.append((count, max(total - multiplier * count, 0.0)))
    energies = np.array([energy for _, energy in taken])
    return np.array([count for count, _ in taken], dtype=np.int64), np.sqrt(energies / (energies[0] or 1.0))


def split_ranks(ranks: Ranks, candidates: Sequence[Candidate]) -> list[Ranks]:
    """Return the ranks of the blocks of every candidate."""
    return np.split(ranks, np.cumsum([len(c.costs) for c in candidates])[:-1])
