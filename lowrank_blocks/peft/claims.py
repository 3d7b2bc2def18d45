"""What is proved of a fit, and what a family finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from lowrank_blocks._validation import Matrix

Tensors = dict[str, Matrix]
Sizes = Mapping[str, tuple[int, ...]]  # of tensors, by their names


class Claim(StrEnum):
    """What is proved of a fit.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> [claim.value for claim in lb.peft.Claim]
    ['optimal', 'infimum', 'optimal with one half fixed', 'upper bound']
    """

    OPTIMAL = "optimal"
    """No adapter of these settings is nearer."""
    INFIMUM = "infimum"
    """None is nearer but for rounding, and the least error itself is not reached: see `OFT`."""
    HALF = "optimal with one half fixed"
    """None is nearer with this half of the numbers; with others there may be."""
    UPPER = "upper bound"
    """An adapter of this error exists; how much nearer others can be, ``Fit.lower_bound`` tells."""


@dataclass(frozen=True)
class Solved:
    """The tensors of a member, what is claimed of it, and a lower bound on the error of all members."""

    tensors: Tensors
    claim: Claim = Claim.OPTIMAL
    bound: float | None = None
