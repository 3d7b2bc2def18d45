"""Which structure every matrix gets, and which ranks: least total error within one budget, with a bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lowrank_blocks.allocation.adaptive import adaptive
from lowrank_blocks.allocation.base import Guarantee, RankChoice
from lowrank_blocks.allocation.ledger import Ledger
from lowrank_blocks.allocation.penalties import Found
from lowrank_blocks.models.candidates import Candidate, common_unit, joint_ledger, split_ranks
from lowrank_blocks.models.closing import closed
from lowrank_blocks.models.duality import Duality

_SWAPS = 16  # single matrices that may change their structure at the end


@dataclass(frozen=True)
class Assignment:
    """A structure and ranks for every matrix, and a bound on all others within the budget.

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
        Matrix and candidate whose further singular values must be computed before the answer is proved.
    """

    chosen: tuple[int, ...]
    choice: RankChoice
    ledger: Ledger
    bound: float
    lacking: tuple[tuple[int, int], ...] = ()


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
    proved = False
    if search.has_alternatives:
        best, proved = search.closed(search.swapped(best))
        best = search.without_idle_choices(best)
    return search.result(best, proved)


@dataclass(frozen=True)
class _Spent:
    """Structures with the best ranks within the budget, and the energy that they leave."""

    chosen: tuple[int, ...]
    choice: RankChoice
    ledger: Ledger
    energy: float


class _Search:
    """Assignments within a budget, and their bound by duality."""

    def __init__(self, matrices: Sequence[Sequence[Candidate]], budget: int) -> None:
        self.matrices, self.budget = matrices, budget
        self.exponent = common_unit([c for candidates in matrices for c in candidates])
        self.dual = Duality(matrices, budget, self.exponent)
        self.has_alternatives = any(len(candidates) > 1 for candidates in matrices)

    def promising(self) -> Iterator[tuple[int, ...]]:
        """Yield the assignments that are tried with their best ranks."""
        if not self.has_alternatives:
            yield (0,) * len(self.matrices)
            return
        below, above = self.dual.taken(self.dual.high)[0], self.dual.taken(self.dual.low)[0]
        yield from self._between(below, above)
        for structure in (c.structure for c in self.matrices[0]):  # the same for all matrices
            places = [[c.structure for c in candidates] for candidates in self.matrices]
            if all(structure in structures for structures in places):
                yield tuple(structures.index(structure) for structures in places)

    def _between(self, below: tuple[int, ...], above: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Yield the structures taken on either side of the budget, and some in between as far as they fit."""
        yield below
        differing = [k for k in range(len(below)) if below[k] != above[k]]
        mixed, count = list(below), self.dual.taken(self.dual.high)[1]
        for k in differing:
            old, new = self.dual.steps[k][below[k]], self.dual.steps[k][above[k]]
            count += new.at(self.dual.low).stored - old.at(self.dual.high).stored
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
                for k, candidates in enumerate(self.dual.steps)
                for s, steps in enumerate(candidates)
            )
            if s == best.chosen[k] or gain <= 0:
                break
            found = self.spent((*best.chosen[:k], s, *best.chosen[k + 1 :]))
            if found.energy >= best.energy:
                break
            best = found
        return best

    def closed(self, best: _Spent) -> tuple[_Spent, bool]:
        """Search between two points of the hull; return the best, and whether it is proved."""
        least, rounding = self.dual.least_energy
        if best.energy - least <= rounding or self._lacking(best):
            return best, False
        found, complete = closed(self.dual, Found(best.chosen, best.energy, 0.0), self.exponent)
        if found.energy < best.energy - rounding:
            best = min(best, self.spent(found.answer), key=lambda spent: spent.energy)
        return best, complete and best.energy <= found.energy + rounding

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

    def result(self, best: _Spent, proved: bool) -> Assignment:
        """Return the assignment with its bound, and what must be computed before it is proved."""
        ledger, choice = best.ledger, best.choice
        if not self.has_alternatives:
            bound = ledger.lower_bound(choice)
            return Assignment(best.chosen, choice, ledger, bound, self._lacking(best))
        least, rounding = self.dual.least_energy
        proved = proved or best.energy - least <= rounding
        guarantee = Guarantee.OPTIMAL if proved else Guarantee.GREEDY
        choice = replace(choice, guarantee=guarantee, budget=self.budget)
        found = ledger.relative_error(choice.ranks)
        bound = found if proved else min(found, ledger.relative(max(least - rounding, 0.0)))
        return Assignment(best.chosen, choice, ledger, bound, self._lacking(best))

    def _lacking(self, best: _Spent) -> tuple[tuple[int, int], ...]:
        if self.dual.complete:
            return ()
        least, rounding = self.dual.least_energy
        return self.dual.lacking(best.energy - least + rounding)
