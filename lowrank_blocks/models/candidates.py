"""What one structure can do for one matrix: its largest singular values, and bounds on those not computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._results import ReadOnly
from lowrank_blocks._validation import Matrix
from lowrank_blocks.allocation.ledger import Ledger
from lowrank_blocks.allocation.offers import Offer, Ranks
from lowrank_blocks.linalg import Ragged, safe_exponent, scaled
from lowrank_blocks.solver.decomposition import Decomposition, decompose_view
from lowrank_blocks.solver.direct import LeadingFactors, are_leading
from lowrank_blocks.structures.base import Layout, Structure
from lowrank_blocks.structures.checked import laid_out

Floats = NDArray[np.float64]

_WHOLE_BELOW = 1024  # smaller sides of blocks below this: all values cost little more than the leading ones
_LEADING_SHARE = 8  # ... and for ranks above side / this
_MARGIN = 2  # values computed of every block, in ranks that the budget would buy if all got the same ...
_MORE = 4  # ... plus so many


@dataclass(frozen=True, eq=False)
class Candidate(ReadOnly):
    """The largest singular values of the blocks of a matrix, and what is known of all others.

    Attributes
    ----------
    values : Ragged
        Singular values of every block that were computed, descending.
    costs : (n_blocks,) array of int
        Numbers stored for one unit of rank of every block.
    unit : int
        Numbers stored by one unit of global rank of the matrix.
    outside : float
        Frobenius norm of what is in no block.
    left : (n_blocks,) array
        Frobenius norm of what `values` leave of every block; 0 where all were computed.
    ceilings : (n_blocks,) array
        Bounds on the singular values that were not computed; 0 where all were.
    structure : Structure or None
        Where the blocks are; None if only spectra were given.
    parts : Decomposition or None
        Where the factors come from, if the matrix is at hand.
    leading : LeadingFactors or callable or None
        What factors are cut from, if they were computed with the values; or what reads them, see `factors`.
    """

    values: Ragged
    costs: Ranks
    unit: int
    outside: float
    left: Floats
    ceilings: Floats
    structure: Structure | None = None
    parts: Decomposition | None = field(default=None, repr=False)
    leading: LeadingFactors | Callable[[], LeadingFactors | None] | None = field(default=None, repr=False)

    @property
    def factors(self) -> LeadingFactors | None:
        """What factors are cut from, perhaps read anew; None if there is nothing, or no longer."""
        known = self.leading
        return known if known is None or isinstance(known, LeadingFactors) else known()

    @property
    def complete(self) -> bool:
        """Whether all singular values were computed."""
        return not self.ceilings.any()

    @classmethod
    def of_spectra(cls, spectra: Sequence[Floats], costs: Sequence[int], unit: int) -> Candidate:
        """Return what is known from whole spectra."""
        none = np.zeros(len(costs))
        return cls(Ragged.of(spectra), np.array(costs, dtype=np.int64), unit, 0.0, none, none)

    @classmethod
    def of_parts(cls, parts: Decomposition, *, keep: bool = True) -> Candidate:
        """Return what is known from a decomposition; it is kept for the factors, or not."""
        none = np.zeros(len(parts.costs))
        return cls(
            values=Ragged.of(parts.spectra),
            costs=np.asarray(parts.costs),
            unit=sum(parts.shape),
            outside=parts.error([len(s) for s in parts.spectra]),
            left=none,
            ceilings=none,
            structure=parts.structure,
            parts=parts if keep else None,
        )

    @classmethod
    def of_leading(cls, leading: LeadingFactors, *, keep: bool) -> Candidate:
        """Return what is known from leading factors; they are kept, or not."""
        found, exponent = leading.found, leading.exponent
        values = found.values(exponent)
        last = np.array([s[-1] if len(s) else np.inf for s in values])
        # The exact last value exceeds the computed one by at most the energy that the factors miss.
        missed = np.sqrt((2 * found.error + found.excess) * found.excess)
        ceilings = np.minimum(np.hypot(last, missed), found.error + missed)
        return cls(
            values=Ragged(scaled(values.flat, -exponent), values.lengths),
            costs=np.asarray(leading.layout.rank_costs),
            unit=sum(leading.layout.shape),
            outside=math.ldexp(leading.outside, exponent),
            left=scaled(found.error, -exponent),
            ceilings=np.where(found.error > 0, scaled(ceilings, -exponent), 0.0),
            structure=leading.structure,
            leading=leading if keep else None,
        )


def candidate(matrix: Matrix, structure: Structure, rank: float, *, with_factors: bool = False) -> Candidate:
    """Compute the leading singular values of every block, or all where that costs little more.

    Parameters
    ----------
    matrix : (m, n) array
        Finite and real.
    structure : Structure
        Where its blocks are.
    rank : float
        Global rank whose numbers, spent evenly over the blocks, say how many values of each are computed.
    with_factors : bool, optional
        Whether the factors are kept, too, where they do not need most of a decomposition.
    """
    layout = laid_out(structure, (matrix.shape[0], matrix.shape[1]))
    sides, wanted = layout.max_ranks, depths(layout, rank)
    keep = with_factors and are_leading(sides, wanted)
    if not keep and ((sides < _WHOLE_BELOW) | (wanted * _LEADING_SHARE > sides)).any():
        return Candidate.of_parts(decompose_view(matrix, structure), keep=False)
    leading = LeadingFactors.of(matrix, structure, wanted, rounded=False, layout=layout)
    return Candidate.of_leading(leading, keep=keep)


def depths(layout: Layout, rank: float) -> Ranks:
    """Return how many values of every block are computed at a global rank."""
    even = rank * sum(layout.shape) / float(layout.rank_costs.sum())
    if math.isinf(even):
        return layout.max_ranks
    return np.minimum(math.ceil(_MARGIN * even) + _MORE, layout.max_ranks)


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
    return safe_exponent(largest)


def split_ranks(ranks: Ranks, candidates: Sequence[Candidate]) -> list[Ranks]:
    """Return the ranks of the blocks of every candidate."""
    return np.split(ranks, np.cumsum([len(c.costs) for c in candidates])[:-1])
