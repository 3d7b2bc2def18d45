"""The best ranks where a block may also be stored whole, for a fixed price.

The energies that a block can buy are then not concave in what they cost: its last ranks may cost nearly as
much as all of it. The lower convex hull of its choices gives the bound, by weak duality, and an answer at
every point of the hull; between them a search through all choices of small penalty ends with the best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lowrank_blocks.allocation.offers import Offer, Ranks
from lowrank_blocks.allocation.penalties import Counts, Floats, Found, States, widened

_MANY_STATES = 1 << 21  # beyond this the best answer found stands
_ROUNDING = 1e-14  # of the sums behind a bound
_LIMIT_MARGIN = 1e-9  # by which a limit on penalties is raised, so that no state on it is lost
_PENALTY_ROUNDING = 1e-13  # of the energy of all blocks: what rounding may add to a penalty


@dataclass(frozen=True)
class DenseChoice:
    """Ranks where a block of full rank is stored whole.

    Attributes
    ----------
    ranks : (n_blocks,) array of int
        Rank of every block; that of a block stored whole is the largest it can have.
    discarded, bound : float
        Energy that they discard, and that any choice within the budget discards at least.
    proved : bool
        Whether no other choice within the budget discards less.
    """

    ranks: Ranks
    discarded: float
    bound: float
    proved: bool


@dataclass(frozen=True)
class _Block:
    """What can be stored of a block: numbers, energy left, and ranks; and which of it is on the hull."""

    counts: Counts
    energies: Floats
    ranks: Ranks
    hull: Counts

    @classmethod
    def of(cls, values: Floats, tails: Floats, cost: int, dense: int) -> _Block:
        ranks = np.arange(np.count_nonzero(values) + 1)
        counts, energies = cost * ranks, tails[: len(ranks)]
        if counts[-1] > dense:
            kept = counts < dense
            ranks, counts = np.append(ranks[kept], len(values)), np.append(counts[kept], dense)
            energies = np.append(energies[kept], 0.0)
        return cls(counts, energies, ranks, lower_hull(counts, energies))


def lower_hull(counts: Counts, energies: Floats) -> Counts:
    """Return which points of falling energy are on their lower convex hull, with its ends."""
    kept: list[int] = []
    for k in range(len(counts)):
        while len(kept) > 1 and _is_above(counts, energies, kept[-2], kept[-1], k):
            kept.pop()
        kept.append(k)
    return np.array(kept)


def _is_above(counts: Counts, energies: Floats, a: int, b: int, c: int) -> bool:
    """Whether point b is on or above the chord from a to c."""
    left = (energies[a] - energies[b]) * float(counts[c] - counts[b])
    return bool(left <= (energies[b] - energies[c]) * float(counts[b] - counts[a]))


def best_with_dense(offer: Offer, budget: int) -> DenseChoice:
    """Choose ranks, or the whole block, for every block within a budget."""
    blocks = _blocks(offer)
    search = _Search.at(blocks, budget)
    best, proved = widened(search.run, search.known, search.known.loss / 64)
    ranks = np.array([b.ranks[k] for b, k in zip(blocks, best.answer.tolist(), strict=True)])
    return DenseChoice(ranks, best.energy, min(search.bound, best.energy), proved)


def steps_with_dense(offer: Offer) -> tuple[Counts, Floats]:
    """Return the numbers stored and the energies left at every point of the hull, where both are best."""
    order, counts, energies = _segments(_blocks(offer))
    start = float(sum(tail[0] for tail in offer.tails))
    return np.append(0, np.cumsum(counts[order])), np.maximum(
        start - np.append(0, np.cumsum(energies[order])), 0.0
    )


def _blocks(offer: Offer) -> list[_Block]:
    assert offer.dense_costs is not None
    each = zip(offer.spectra, offer.tails, offer.costs.tolist(), offer.dense_costs.tolist(), strict=True)
    return [_Block.of(*block) for block in each]


def _segments(blocks: Sequence[_Block]) -> tuple[Counts, Counts, Floats]:
    """Return the order in which the edges of all hulls are bought, with their costs and energies."""
    counts = np.concatenate([np.diff(b.counts[b.hull]) for b in blocks])
    energies = np.concatenate([-np.diff(b.energies[b.hull]) for b in blocks])
    return np.argsort(-energies / counts, kind="stable"), counts, energies


@dataclass(frozen=True)
class _Search:
    """A search through the choices whose penalty at a multiplier is small."""

    blocks: Sequence[_Block]
    penalties: Sequence[Floats]
    budget: int
    bound: float
    rounding: float
    known: Found[Counts]

    @classmethod
    def at(cls, blocks: Sequence[_Block], budget: int) -> _Search:
        """Return the search at the multiplier where buying along the hulls stops, and the answer there."""
        order, counts, energies = _segments(blocks)
        spent = np.append(0, np.cumsum(counts[order]))
        bought = int(np.searchsorted(spent, budget, side="right")) - 1
        multiplier = float(energies[order[bought]] / counts[order[bought]]) if bought < len(order) else 0.0
        owner = np.repeat(np.arange(len(blocks)), [len(b.hull) - 1 for b in blocks])
        edges = np.bincount(owner[order[:bought]], minlength=len(blocks)).tolist()
        answer = np.array([b.hull[k] for b, k in zip(blocks, edges, strict=True)])
        values = [b.energies + multiplier * b.counts for b in blocks]
        least = [float(v.min()) for v in values]
        energy = sum(float(b.energies[k]) for b, k in zip(blocks, answer.tolist(), strict=True))
        total = sum(float(b.energies[0]) for b in blocks)
        bound = max(0.0, sum(least) - multiplier * budget - _ROUNDING * total)
        known = Found(answer, energy, max(0.0, energy - bound) if bought < len(order) else 0.0)
        penalties = [v - v_min for v, v_min in zip(values, least, strict=True)]
        return cls(blocks, penalties, budget, bound, _PENALTY_ROUNDING * total, known)

    def run(self, limit: float) -> tuple[Found[Counts] | None, bool]:
        """Return the best choice with penalties up to a limit; none if there are too many states."""
        ceiling = limit * (1 + _LIMIT_MARGIN) + self.rounding
        states = States.none()
        for block, penalties in zip(self.blocks, self.penalties, strict=True):
            near = np.flatnonzero(penalties <= ceiling)
            if len(states) * len(near) > _MANY_STATES:
                return None, False
            other = States(block.counts[near], block.energies[near], penalties[near], near[:, None])
            states = states.combined(other, self.budget, ceiling)
        if not len(states):
            return None, True
        k = int(np.argmin(states.energy))
        energy = float(states.energy[k])
        return Found(states.chosen[k], energy, max(0.0, energy - self.bound)), True
