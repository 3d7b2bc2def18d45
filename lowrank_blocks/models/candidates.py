"""What one structure can do for one matrix: its largest singular values, and bounds on those not computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._results import ReadOnly
from lowrank_blocks._validation import Matrix
from lowrank_blocks.allocation.ledger import Ledger
from lowrank_blocks.allocation.offers import Offer, Ranks
from lowrank_blocks.linalg import Ragged, common_exponent, leading_factors, promise, safe_exponent, scaled
from lowrank_blocks.solver.assembly import energy
from lowrank_blocks.solver.decomposition import Decomposition, decompose_view
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.checked import laid_out

Floats = NDArray[np.float64]

_WHOLE_BELOW = 1024  # smaller sides of blocks below this: all values cost little more than the leading ones
_LEADING_SHARE = 8  # ... and for ranks above side / this


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
    """

    values: Ragged
    costs: Ranks
    unit: int
    outside: float
    left: Floats
    ceilings: Floats
    structure: Structure | None = None
    parts: Decomposition | None = field(default=None, repr=False)

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
        """Return what a decomposition knows; it is kept for the factors, or not."""
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


def candidate(matrix: Matrix, structure: Structure, depths: Sequence[int] | Ranks) -> Candidate:
    """Compute the leading singular values of every block, or all where that costs little more.

    Parameters
    ----------
    matrix : (m, n) array
        Finite and real.
    structure : Structure
        Where its blocks are.
    depths : sequence of int
        Values wanted, one count a block; counts beyond its smaller side mean all.
    """
    layout = laid_out(structure, (matrix.shape[0], matrix.shape[1]))
    sides, wanted = layout.max_ranks, np.asarray(depths, dtype=np.int64)
    deep = (sides < _WHOLE_BELOW) | (wanted * _LEADING_SHARE > sides)
    if deep.any():
        return Candidate.of_parts(decompose_view(matrix, structure), keep=False)
    exponent = common_exponent(matrix)
    found = leading_factors(layout.split(matrix), wanted, exponent, promise(matrix.dtype))
    values = [_values(b, a) for b, a in found.factors]
    last = np.array([s[-1] if len(s) else np.inf for s in values])
    error = scaled(found.error, -exponent)
    # The exact last value exceeds the computed one by at most the energy that the factors miss.
    missed = scaled(np.sqrt((2 * found.error + found.excess) * found.excess), -exponent)
    return Candidate(
        values=Ragged.of(values),
        costs=np.asarray(layout.rank_costs),
        unit=sum(layout.shape),
        outside=math.ldexp(math.sqrt(energy(layout.outside(matrix), exponent)), exponent),
        left=error,
        ceilings=np.where(error > 0, np.minimum(np.hypot(last, missed), error + missed), 0.0),
        structure=structure,
    )


def _values(b: Matrix, a: Matrix) -> Floats:
    """Return the singular values of a block from its factors, whose columns and rows are orthogonal."""
    values: Floats = np.sqrt((b * b).sum(axis=0)) * np.sqrt((a * a).sum(axis=1))
    return np.minimum.accumulate(values)  # rounding may swap equal values


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


def split_ranks(ranks: Ranks, candidates: Sequence[Candidate]) -> list[Ranks]:
    """Return the ranks of the blocks of every candidate."""
    return np.split(ranks, np.cumsum([len(c.costs) for c in candidates])[:-1])
