"""What an allocation is: it spends a budget over blocks, and says what is proved of the ranks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lowrank_blocks.allocation.offers import Costs, Offer, Ranks, check_ranks
from lowrank_blocks.linalg import Spectrum

Points = tuple[NDArray[np.int64], NDArray[np.float64]]
Allocate = Callable[[Sequence[Spectrum], Ranks, int], ArrayLike]


class Guarantee(StrEnum):
    """What is known of ranks. For the ranks chosen, every truncation is optimal.

    A member is a string, too: ``best.guarantee == "optimal ranks"``.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> [guarantee.value for guarantee in lb.Guarantee]
    ['optimal ranks', 'greedy ranks', 'given ranks']
    """

    OPTIMAL = "optimal ranks"
    """No other ranks within the budget discard less energy."""
    GREEDY = "greedy ranks"
    """No worse than uniform ranks, and than buying in order of energy per stored number."""
    GIVEN = "given ranks"
    """Nothing is claimed of the ranks."""


@dataclass(frozen=True, eq=False)
class RankChoice:
    """Ranks within a budget, and what is known of them.

    Attributes
    ----------
    ranks : (n_blocks,) array of int
        Rank of every block.
    guarantee : Guarantee
        What is known of the ranks.
    budget : int
        Most numbers that could be stored; of ranks given without a budget, what they store.
    discarded : float
        Share of the energy of all spectra that the ranks discard; for `adaptive` and `uniform` it
        never rises with the budget.
    dense : bool
        Whether a block of full rank is stored whole.
    least : float or None
        Share that any ranks within the budget discard at least, if the allocation knows it.
    """

    ranks: Ranks
    guarantee: Guarantee
    budget: int
    discarded: float
    dense: bool = False
    least: float | None = None


class Allocation(ABC):
    """A way to spend a budget over blocks: a frozen value that is called like a function.

    ``allocation(spectra, costs, budget)`` returns one rank a block. A plain function of the same
    form may stand for an allocation anywhere, and guarantees nothing.

    Attributes
    ----------
    guarantee : Guarantee
        The most that it can claim of its ranks.
    needs_spectra : bool
        Whether its ranks of several blocks depend on their spectra.
    """

    guarantee: ClassVar[Guarantee] = Guarantee.GIVEN
    needs_spectra: ClassVar[bool] = True

    def __call__(self, spectra: Sequence[ArrayLike], costs: Costs, budget: int) -> Ranks:
        """Return one rank a block, with ``ranks @ costs <= budget``."""
        return self.choose(Offer.checked(spectra, costs), budget).ranks

    @abstractmethod
    def choose(self, offer: Offer, budget: int) -> RankChoice:
        """Choose ranks, and say what is known of them."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What the allocation is called in reports."""

    def ranks_without_spectra(self, max_ranks: Ranks, costs: Ranks, budget: int) -> Ranks | None:
        """Return the ranks if, apart from values of zero, they do not depend on the spectra; else None."""
        return None

    def steps(self, offer: Offer) -> Points | None:
        """Return the counts at which the discarded energy falls, and that energy; None if not known."""
        return None

    def steps_tell_all(self, costs: Ranks) -> bool:
        """Whether no ranks between two steps leave less than those of the step before."""
        return True

    def unit_cost(self, costs: Ranks) -> int:
        """Return the least budget that buys any rank."""
        return int(min(costs))


@dataclass(frozen=True)
class Given(Allocation):
    """A function as an allocation: its ranks are checked, and nothing is claimed of them.

    Attributes
    ----------
    function : callable
        ``(spectra, costs, budget) -> ranks``.
    """

    function: Allocate

    @property
    def name(self) -> str:
        """The name of the function."""
        return getattr(self.function, "__name__", None) or repr(self.function)

    def choose(self, offer: Offer, budget: int) -> RankChoice:
        """Call the function and check what it returns."""
        name = f"the ranks from {self.name}"
        ranks = check_ranks(self.function(tuple(offer.spectra), offer.costs, budget), offer.max_ranks, name)
        spent = int(ranks @ offer.costs)
        if spent > budget:
            raise ValueError(f"{name} must stay within the budget of {budget} numbers, got {spent}.")
        return RankChoice(ranks, Guarantee.GIVEN, budget, offer.discarded(ranks))


@dataclass(frozen=True)
class Fixed(Allocation):
    """Ranks that were chosen before, as an allocation; nothing is claimed of them.

    Attributes
    ----------
    ranks : tuple of int
        One a block.
    """

    ranks: tuple[int, ...]
    needs_spectra: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What it is called in reports."""
        return "given ranks"

    def choose(self, offer: Offer, budget: int) -> RankChoice:
        """Return the ranks, checked."""
        return Given(lambda *_: self.ranks).choose(offer, budget)

    def ranks_without_spectra(self, max_ranks: Ranks, costs: Ranks, budget: int) -> Ranks:
        """Return the ranks, checked."""
        return check_ranks(self.ranks, max_ranks)


def as_allocation(value: object) -> Allocation:
    """Return an allocation, or a function as one, or say what is wrong."""
    if isinstance(value, Allocation):
        return value
    if not callable(value):
        raise TypeError(
            "allocate must be a function (spectra, costs, budget) -> ranks such as lb.adaptive, "
            f"got {value!r}."
        )
    return Given(value)


def given_ranks(ranks: object, offer: Offer) -> RankChoice:
    """Check ranks that were chosen without a budget."""
    checked = check_ranks(ranks, offer.max_ranks)
    return RankChoice(checked, Guarantee.GIVEN, int(checked @ offer.costs), offer.discarded(checked))
