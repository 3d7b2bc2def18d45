"""Best approximations in a weighted norm: plain ones of the weighted matrix, transformed back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from lowrank_blocks._results import lock_all
from lowrank_blocks._validation import Matrix
from lowrank_blocks.allocation.adaptive import adaptive
from lowrank_blocks.allocation.base import Allocate, RankChoice
from lowrank_blocks.linalg import UNIT, common_exponent, norm_rounding, scaled
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.solver.assembly import energy, row_slabs
from lowrank_blocks.solver.curves import ErrorCurve
from lowrank_blocks.solver.decomposition import Decomposition, decompose_view, solved
from lowrank_blocks.solver.plain import Plain
from lowrank_blocks.solver.weights import Weight, Weights
from lowrank_blocks.structures.base import Factors, Layout, Structure, whole_factors
from lowrank_blocks.structures.cells import Block, length
from lowrank_blocks.structures.checked import laid_out
from lowrank_blocks.structures.picked import BlockLayout

_SCALED = 64.0  # roundings of an entry on its way into the weighted norm and back, by scales


@dataclass(frozen=True, eq=False, repr=False)
class WeightedDecomposition(Decomposition):
    """A `Decomposition` in a weighted norm: its spectra and errors are those of the weighted matrix.

    Factors are float64.
    """

    _source: Matrix = field(repr=False, default_factory=lambda: np.zeros((1, 1)))
    _weights: Weights = field(repr=False, default_factory=lambda: Weights(None, None))
    _inner: Layout | None = None  # of the weighted matrix

    @property
    def _layout(self) -> Layout:
        assert self._inner is not None
        return self._inner

    def error_curve(
        self, budgets: Sequence[int] | None = None, *, allocate: Allocate = adaptive
    ) -> ErrorCurve:
        """Return the error in the weighted norm against the parameter count."""
        curve = super().error_curve(budgets, allocate=allocate)
        return replace(curve, label=f"{curve.label}, weighted")

    def plain_relative_error(self, ranks: object) -> float | None:
        """Return the relative error in the plain norm of what is best in the weighted one."""
        plain = self.truncate(ranks).plain
        return None if plain is None else plain.relative_error

    def _truncate(self, choice: RankChoice) -> Approximation:
        return restored(super()._truncate(choice), self._source, self._weights)

    @cached_property
    def _outside_bound(self) -> float:
        own = rounding(self._source, self._weights, self._ledger.norm, self._exponent)
        return super()._outside_bound + own


def decompose_weighted(matrix: Matrix, structure: Structure, weights: Weights | None) -> Decomposition:
    """Decompose a checked matrix in the norm of some weights, or in the plain one.

    Raises
    ------
    ValueError
        If the structure has no closed form under the weights; the message says why, and what has one.
    """
    if weights is None:
        return decompose_view(matrix, structure)
    layout = laid_out(structure, (matrix.shape[0], matrix.shape[1]))
    require_closed_form(structure, layout, weights.roots)
    applied = weights.applied(matrix)
    inner = _spanning(layout, weights) if any(weights.full) else layout
    return WeightedDecomposition(
        structure=structure,
        shape=layout.shape,
        **solved(applied, inner, layout.rank_costs),
        _source=matrix,
        _weights=weights,
        _inner=inner,
    )


def require_closed_form(
    structure: Structure, layout: Layout, weights: tuple[Matrix | None, Matrix | None]
) -> None:
    """Refuse a structure whose best approximation under some weights is no truncated SVD of its blocks.

    Parameters
    ----------
    structure, layout : Structure, Layout
        Where the blocks are.
    weights : (array or None, array or None)
        Of the rows and of the columns: vectors, of weights or of their roots; or matrices.
    """
    full = tuple(w is not None and w.ndim == 2 for w in weights)
    if not layout.takes_weights and (any(full) or not layout.takes(*weights)):
        raise ValueError(
            f"structure must have a closed form under weights, got {structure!r}, which "
            f"{layout.weights_rule}; structures of disjoint blocks have one, such as Global() and "
            "Localized(4)."
        )
    for axis, name, example in ((1, "col", "Localized(4, 1)"), (0, "row", "Localized(1, 4)")):
        spans = layout.blocks_are_cells and all(length(c[axis]) == layout.shape[axis] for c in layout.cells())
        if full[axis] and not spans:
            raise ValueError(
                f"{name}_weights must be a vector for {structure!r}: a matrix couples blocks that do not "
                f"span all {'columns' if axis else 'rows'}; Global() and {example} take a matrix, and its "
                "diagonal, as a vector, weights any blocks."
            )


def rounding(matrix: Matrix, weights: Weights, norm: float, exponent: int) -> float:
    """Bound what rounding does on the way into the weighted norm, which is divided by ``2**exponent``."""
    bound = _SCALED * UNIT * norm
    full = [w for w in (weights.rows, weights.cols) if w is not None and not w.is_diagonal]
    if full:
        own = common_exponent(matrix)
        size = math.ldexp(math.sqrt(energy(row_slabs(matrix), own)), own - exponent)
        both = [w.size for w in (weights.rows, weights.cols) if w is not None]
        bound += sum(w.inner + 1 for w in full) * UNIT * size * math.prod(both)
        bound += sum(min(w.relative * norm, w.absolute * size * math.prod(both) / w.size) for w in full)
    return bound


def restored(made: Approximation, matrix: Matrix, weights: Weights) -> Approximation:
    """Return the approximation of a matrix from that of its weighted matrix."""
    layout = laid_out(made.structure, (matrix.shape[0], matrix.shape[1]))
    factors = tuple(_restored(made.factors, layout, matrix, weights))
    if made.dense:
        whole = (made.ranks == layout.max_ranks).tolist()
        factors = tuple(
            whole_factors(b @ a) if w else (b, a) for (b, a), w in zip(factors, whole, strict=True)
        )
    lock_all(factors)
    found = replace(made, shape=layout.shape, factors=factors)
    return replace(found, plain=_plain(found, matrix))


def _restored(
    factors: Sequence[Factors], layout: Layout, matrix: Matrix, weights: Weights
) -> Sequence[Factors]:
    """Return the factors of the matrix itself; where weights are matrices, without their inverses."""
    if not any(weights.full):
        rows, cols = (
            np.ones(k) if w is None else 1 / w.root
            for w, k in zip((weights.rows, weights.cols), layout.shape, strict=True)
        )
        return layout.rescaled(factors, rows, cols)
    pairs = zip(layout.cells(), factors, strict=True)
    return [
        _projected(matrix[cell.index].astype(np.float64), pair, _part(weights, cell)) for cell, pair in pairs
    ]


def _part(weights: Weights, cell: Block) -> Weights:
    """Return the weights of the rows and columns of a block; a matrix is of all of them, in its order."""
    parts = (
        None if w is None else replace(w, root=w.root[chosen])
        for w, chosen in zip((weights.rows, weights.cols), cell, strict=True)
    )
    return Weights(*parts)


def _projected(block: Matrix, factors: Factors, weights: Weights) -> Factors:
    """Return factors from those of the weighted block, by projection on its leading singular vectors.

    With U the leading left vectors, ``G**-1/2 U U.T G**1/2 W`` needs no root of the column weight; with
    right vectors none of the row weight. With matrices on both sides the product is
    ``W L V S**-1 U.T K.T W``, where K and L are the roots.
    """
    b, a = factors
    if not weights.full[0]:
        u = b / _norms(b.T)
        weighted = Weights(weights.rows, None).applied(block)
        return _balanced(_unscaled(u, weights.rows), u.T @ weighted)
    if not weights.full[1]:
        turned = _projected(block.T, (a.T, b.T), weights.transposed)
        return turned[1].T, turned[0].T
    values = _norms(a) ** 2
    left = Weights(None, weights.cols).applied(block) @ (a.T / values)
    return _balanced(left, (b / values).T @ Weights(weights.rows, None).applied(block))


def _unscaled(u: Matrix, rows: Weight | None) -> Matrix:
    return u if rows is None else u / rows.root[:, None]


def _norms(rows: Matrix) -> Matrix:
    """Return the norm of every row; 1 for rows of zeros, which stay zeros."""
    exponent = common_exponent(rows) if rows.size else 0
    norms = np.ldexp(np.sqrt(np.square(scaled(rows, exponent)).sum(axis=1)), exponent)
    return np.where(norms > 0, norms, 1.0)


def _balanced(b: Matrix, a: Matrix) -> Factors:
    """Return factors of the same product, with columns of B as long as rows of A."""
    ratio = np.sqrt(_norms(a) / _norms(b.T))
    return b * ratio, a / ratio[:, None]


def _plain(made: Approximation, matrix: Matrix) -> Plain:
    """Return the errors of an approximation in the plain norm, entry by entry."""
    rest = matrix.astype(np.float64) - made.to_dense()
    error = _norm(rest)
    bound = UNIT * (error + _sums(made.factors, common_exponent(matrix) // 2)) + norm_rounding(error)
    lost = 2 * math.ulp(0.0) * matrix.size  # where float64 ends, every term of an entry may lose as much
    return Plain(error, _norm(matrix), bound + lost)


def _norm(matrix: Matrix) -> float:
    exponent = common_exponent(matrix)
    return math.ldexp(math.sqrt(energy(row_slabs(matrix), exponent)), exponent)


def _sums(factors: Sequence[Factors], half: int) -> float:
    """Bound what rounds in products of factors, in units of UNIT; factors are divided by ``2**half``."""
    unit = math.ldexp(1.0, -half)
    pairs = [(b * unit, a * unit) for b, a in factors]
    sums = [(len(a) + 2) * math.sqrt(np.vdot(b, b) * np.vdot(a, a)) for b, a in pairs]
    return math.ldexp(math.hypot(*sums), 2 * half)


def _spanning(layout: Layout, weights: Weights) -> Layout:
    """Return the blocks of the weighted matrix: an axis whose weight is a matrix has no order of its own."""
    sides = list(zip(layout.shape, weights.full, strict=True))
    cells = [
        Block(*(slice(0, k) if full else part for part, (k, full) in zip(cell, sides, strict=True)))
        for cell in layout.cells()
    ]
    return BlockLayout(layout.shape, cells)
