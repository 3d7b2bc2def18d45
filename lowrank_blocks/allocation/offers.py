"""What a budget can buy: singular values of blocks, and the numbers that keeping them costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lowrank_blocks._results import ReadOnly, locked
from lowrank_blocks._validation import as_count, as_counts
from lowrank_blocks.linalg import Ragged, Spectrum, safe_exponent, scaled

Ranks = NDArray[np.int64]
Costs = Sequence[int] | NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Offer(ReadOnly):
    """The singular values that a budget can keep, and what keeping them costs.

    Attributes
    ----------
    spectra : Ragged
        Singular values of every block, descending, divided by ``2**exponent``, so that no square
        overflows.
    costs : (n_blocks,) array of int
        Numbers stored for one unit of rank of every block.
    exponent : int
        The power of two.
    dense_costs : (n_blocks,) array of int or None
        Numbers for which a whole block may be stored whatever its rank; None where no block may. Only
        `Adaptive` with ``dense=True`` spends on it.
    """

    spectra: Ragged
    costs: Ranks
    exponent: int = 0
    dense_costs: Ranks | None = None

    @classmethod
    def made(cls, spectra: Sequence[Spectrum], costs: Ranks, dense_costs: Ranks | None = None) -> Offer:
        """Return an offer of spectra that are known to be right."""
        joined = Ragged.of(spectra)
        exponent = safe_exponent(float(joined.flat.max(initial=0.0)))
        dense = None if dense_costs is None else locked(dense_costs)
        return cls(Ragged(scaled(joined.flat, exponent), joined.lengths), locked(costs), exponent, dense)

    @classmethod
    def checked(cls, spectra: Sequence[ArrayLike], costs: Costs) -> Offer:
        """Check spectra and costs from outside."""
        values = [as_spectrum(s, f"spectra[{b}]") for b, s in enumerate(spectra)]
        counts = as_counts(costs, "costs")
        if len(counts) != len(values) or not values:
            raise ValueError(
                f"spectra and costs must be of one length, at least 1, got {len(values)} and {len(counts)}."
            )
        if not counts.all():
            raise ValueError(f"costs must be positive, got costs[{int(np.argmin(counts))}] = 0.")
        return cls.made(values, counts)

    @property
    def max_ranks(self) -> Ranks:
        """Largest rank of every block."""
        return self.spectra.lengths

    @cached_property
    def everything(self) -> int:
        """Numbers stored by all ranks."""
        return sum(map(int.__mul__, self.max_ranks.tolist(), self.costs.tolist()))  # int64 may overflow

    def price(self, ranks: Ranks, *, dense: bool = False) -> int:
        """Return the numbers stored by ranks; where `dense`, a block of full rank costs all its entries."""
        return price(ranks, self.costs, self.max_ranks, self.dense_costs if dense else None)

    def affordable(self, budget: int) -> int:
        """Return the budget as an int, cut down to the cost of all ranks."""
        return min(as_count(budget, "budget"), self.everything)

    @cached_property
    def energies(self) -> Ragged:
        """Squares of all singular values."""
        return Ragged(np.square(self.spectra.flat), self.spectra.lengths)

    @cached_property
    def tails(self) -> Ragged:
        """Energy left by every rank of every block."""
        return self.spectra.tail_energies()

    @property
    def whole(self) -> NDArray[np.float64]:
        """Energy of every block."""
        return self.tails.flat[self.tails.starts]

    @cached_property
    def total(self) -> float:
        """Energy of all blocks."""
        return float(self.whole.sum())

    def discarded(self, ranks: Ranks) -> float:
        """Return the share of the energy of all blocks that ranks discard."""
        return float(self.tails.at(ranks).sum()) / (self.total or 1.0)


def price(ranks: Ranks, costs: Ranks, max_ranks: Ranks, dense_costs: Ranks | None) -> int:
    """Return the numbers stored by ranks, and by blocks of full rank if these are stored whole."""
    if dense_costs is None:
        return int(ranks @ costs)
    return int(np.where(ranks == max_ranks, dense_costs, ranks * costs).sum())


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


def check_ranks(ranks: object, max_ranks: Ranks, name: str = "ranks") -> Ranks:
    """Return ranks as an array of one integer a block, none above the block's largest rank."""
    checked = as_counts(ranks, name)
    if len(checked) != len(max_ranks):
        raise ValueError(f"{name} must be {len(max_ranks)} ranks, one a block, got {len(checked)}.")
    above = np.flatnonzero(checked > max_ranks)
    if len(above):
        b = int(above[0])
        raise ValueError(f"{name} must be at most {max_ranks[b]} for block {b}, got {checked[b]}.")
    return checked
