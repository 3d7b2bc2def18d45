"""Decompositions of products that are held as factors, without forming them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lowrank_blocks._results import locked
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.allocation.ledger import Ledger
from lowrank_blocks.allocation.offers import Offer, Ranks
from lowrank_blocks.linalg import (
    BlockFactors,
    Core,
    PackedFactors,
    Reduced,
    block_spectra,
    common_exponent,
    leading_factors,
    product_rounding,
    promise,
    safe_exponent,
    scaled,
)
from lowrank_blocks.solver.assembly import energy, require_norm
from lowrank_blocks.solver.decomposition import Decomposition, decompose_view
from lowrank_blocks.structures.base import Layout, Structure
from lowrank_blocks.structures.cells import Selection, indices
from lowrank_blocks.structures.checked import laid_out

_FLOAT64 = np.dtype(np.float64)


@dataclass(frozen=True, eq=False, repr=False)
class FactoredDecomposition(Decomposition):
    """A `Decomposition` of a product B A, from the small cores of its blocks.

    A block of B A is some rows of B times some columns of A. A matrix whose sides are at most the rows of A
    has the same singular values, so the spectrum is listed to that length. Factors are float64.
    """

    _cores: tuple[Core, ...] = field(repr=False, default=())  # of B / 2**_shifts[0] times A / 2**_shifts[1]
    _shifts: tuple[int, int] = (0, 0)
    _outside_slack: float = 0.0  # of the entries in no block, as those of the cores

    def _factors(self, ranks: Ranks) -> BlockFactors:
        found = leading_factors(
            [core.matrix for core in self._cores],
            ranks,
            self._exponent - sum(self._shifts),
            promise(_FLOAT64) / math.sqrt(2),
            (np.sqrt(self._ledger.left(ranks)), self._found.bounds),
        )
        pairs = zip(self._cores, found.factors, strict=True)
        factors = PackedFactors.of_pairs([self._in_place(core.factors(small)) for core, small in pairs])
        return replace(found, factors=factors, excess=found.excess + _slack(self._cores, self._inner))

    def _in_place(self, factors: tuple[Matrix, Matrix]) -> tuple[Matrix, Matrix]:
        b, a = factors
        return scaled(b, -self._shifts[0]), scaled(a, -self._shifts[1])

    @property
    def _outside_bound(self) -> float:
        return super()._outside_bound + self._outside_slack

    @property
    def _inner(self) -> int:
        return self._exponent - sum(self._shifts)


def decompose_product(b: Matrix, a: Matrix, structure: Structure) -> Decomposition:
    """Decompose ``b @ a`` without forming it, if the blocks of the structure pick entries.

    Parameters
    ----------
    b, a : (m, r) and (r, n) arrays
        Finite and real.
    structure : Structure
        Where the blocks are. For one that does more than pick entries the product is formed.
    """
    layout = laid_out(structure, (b.shape[0], a.shape[1]))
    if not (layout.blocks_are_cells and layout.proved):
        return decompose_view(b.astype(np.float64) @ a, structure)
    shifts = common_exponent(b), common_exponent(a)
    left, right = scaled(b, shifts[0]), scaled(a, shifts[1])
    cores = _cores(left, right, layout)
    inner = _exponent(cores)
    found = block_spectra([core.matrix for core in cores], inner, promise(_FLOAT64))
    slack = _slack(cores, inner)
    found = replace(found, bounds=found.bounds + slack, norm_bounds=found.norm_bounds + slack)
    costs = locked(layout.rank_costs)
    rows: Any = _Rows(left, right)
    outside = 0.0 if layout.covers else math.ldexp(product_rounding(left, right), -inner)
    ledger = Ledger(Offer.made(found.values, costs), energy(layout.outside(rows), inner))
    exponent = inner + sum(shifts)
    require_norm(ledger.norm, exponent)
    return FactoredDecomposition(
        structure=structure,
        shape=layout.shape,
        costs=costs,
        _matrix=b,
        _exponent=exponent,
        _found=found,
        _ledger=ledger,
        _cores=cores,
        _shifts=shifts,
        _outside_slack=outside,
    )


class _Rows:
    """A product of factors; some of its rows are formed at a time."""

    def __init__(self, b: Matrix, a: Matrix) -> None:
        self._b, self._a = b, a
        self.shape: Shape = b.shape[0], a.shape[1]

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: slice) -> Matrix:
        return self._b[rows] @ self._a


def _cores(b: Matrix, a: Matrix, layout: Layout) -> tuple[Core, ...]:
    """Return the core of every block; rows or columns that several blocks share are reduced once."""
    known: dict[tuple[int, bytes], Reduced] = {}

    def reduced(axis: int, chosen: Selection) -> Reduced:
        key = axis, indices(chosen).tobytes()
        if key not in known:
            known[key] = Reduced.of(np.ascontiguousarray(b[chosen] if axis == 0 else a[:, chosen].T))
        return known[key]

    return tuple(Core.of(reduced(0, block.rows), reduced(1, block.cols)) for block in layout.cells())


def _exponent(cores: Sequence[Core]) -> int:
    """Return the power of two that all cores are to be divided by."""
    largest = max(float(np.abs(core.matrix).max()) for core in cores)
    return safe_exponent(largest)


def _slack(cores: Sequence[Core], exponent: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return what rounding did to every core, divided by ``2**exponent``."""
    return np.ldexp([core.slack for core in cores], -exponent)
