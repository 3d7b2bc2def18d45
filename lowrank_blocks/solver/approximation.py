"""An approximation: factors on blocks, with their ledger and their error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import DTypeLike

from lowrank_blocks._results import ReadOnly, lock_all
from lowrank_blocks._tables import Table
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.allocation.budgets import no_rank_note
from lowrank_blocks.allocation.offers import Ranks, price
from lowrank_blocks.linalg import Accuracy, Factors
from lowrank_blocks.solver.plain import Plain, in_norms
from lowrank_blocks.solver.products import Products
from lowrank_blocks.structures.base import Layout, Structure
from lowrank_blocks.structures.cells import Block, Selection
from lowrank_blocks.structures.checked import laid_out

TIE = 1e-12  # relative errors closer than this differ by rounding only


@dataclass(frozen=True, eq=False, repr=False)
class Approximation(ReadOnly, Products):
    """The best approximation of a matrix by blocks of given ranks.

    Made by `approximate` and `Decomposition.within`; its arrays are read-only. It represents an (m, n)
    matrix X: ``best @ x`` is X x for a vector or for columns, ``x @ best`` is x X for a vector or for
    rows, and ``best.apply(x)`` is x Xᵀ, as a linear layer with the weight X computes it. None of them
    forms X; ``np.asarray(best)`` and `to_dense` do.

    Attributes
    ----------
    structure : Structure
        Where the blocks are.
    shape : (int, int)
        Shape ``(m, n)`` of the matrix.
    ranks : (n_blocks,) array of int
        Rank of every block.
    factors : sequence of (B, A)
        For every block of shape (p, q) the factors B, (p, r), and A, (r, q): the block is ``B @ A``.
        The singular values are split evenly between them, in float32 to within a factor of 1.42.
    error : float
        ``||dW - X||_F`` in the units of the matrix.
    relative_error : float
        ``error / ||dW||_F``; 0 for a matrix of zeros.
    guarantee : str
        What is known of the ranks: ``"optimal ranks"``, ``"greedy ranks"`` or ``"given ranks"``
        (see `adaptive`). For the ranks that it has, every approximation is optimal (Eckart & Young,
        doi 10.1007/BF02288367).
    lower_bound : float or None
        No ranks within the budget (of `Decomposition.truncate`, no ranks that store as few numbers)
        leave a smaller relative error on these blocks. For optimal ranks it is `relative_error`
        itself, for others a bound by weak duality. None where the spectra are not known: `uniform`
        ranks of several blocks need none, so `approximate` may compute none.
    budget : int or None
        Most numbers that might be stored; None for ranks that were given.
    unit_cost : int or None
        Least budget that buys any rank; None for ranks that were given.
    accuracy : Accuracy
        How the factors of every block were computed, and a certified bound on how far rounding can
        have moved their error.
    plain : Plain or None
        Under weights, all other errors are in the weighted norm, and these are in the plain Frobenius norm.
        None without weights.
    dense : bool
        Whether blocks of full rank are stored whole: one of their factors is the block, and the other the
        identity, which is not stored.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> best = lb.approximate(np.diag([4.0, 0.0, 3.0]), lb.Localized(3), budget=2)
    >>> best
    Approximation(Localized(3) of a 3×3 matrix, ranks 0–1, 2 parameters, relative error 0.6)
    >>> best @ [1, 1, 1]
    array([4., 0., 0.])
    >>> best.apply(np.ones((2, 5, 3))).shape
    (2, 5, 3)
    """

    structure: Structure
    shape: Shape
    ranks: Ranks
    factors: Sequence[Factors] = field(repr=False)
    error: float
    relative_error: float
    guarantee: str
    lower_bound: float | None
    accuracy: Accuracy = field(repr=False)
    budget: int | None = None
    unit_cost: int | None = None
    plain: Plain | None = None
    dense: bool = False

    # Lets `ndarray @ approximation` reach __rmatmul__ instead of looping over entries.
    __array_ufunc__ = None

    @property
    def n_parameters(self) -> int:
        """Count of stored numbers in all factors; the positions of blocks are not charged."""
        layout = self._layout
        return price(
            self.ranks, layout.rank_costs, layout.max_ranks, layout.dense_costs if self.dense else None
        )

    @property
    def n_with_positions(self) -> int:
        """`n_parameters`, plus one integer for each position that the values choose (`Sparse`)."""
        return self.n_parameters + self._layout.positions(self.ranks)

    @property
    def nbytes(self) -> int:
        """Bytes of all factors."""
        return self.n_parameters * np.result_type(*self.factors[0]).itemsize

    @property
    def gap(self) -> float | None:
        """How much smaller `relative_error` could be, at most, with other ranks within the budget."""
        return None if self.lower_bound is None else self.relative_error - self.lower_bound

    @property
    def note(self) -> str:
        """What one unit of rank costs, where the budget buys none at all; else empty."""
        if self.budget is None or self.unit_cost is None:
            return ""
        return no_rank_note(self.budget, self.shape, self.unit_cost)

    @property
    def captured(self) -> float:
        """Captured share of the squared Frobenius norm, ``1 - relative_error**2``."""
        return 1 - self.relative_error**2

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Where every block lies: ``dW[block.index]`` is approximated by its ``B @ A``."""
        return tuple(self._layout.cells())

    @property
    def T(self) -> Self:
        """The approximation of the transposed matrix, on the transposed structure; it shares the factors."""
        structure, shape = self.structure.transposed(), self.shape[::-1]
        order = _order(self.blocks, laid_out(structure, shape).cells())
        ranks = self.ranks[order]
        ranks.flags.writeable = False
        factors = tuple(self._layout.turned(k, self.factors[k]) for k in order)
        lock_all(factors)
        methods, bounds = self.accuracy.methods, self.accuracy.bounds
        return replace(
            self,
            structure=structure,
            shape=shape,
            ranks=ranks,
            factors=factors,
            accuracy=replace(
                self.accuracy,
                methods=tuple(methods[k] for k in order),
                bounds=tuple(bounds[k] for k in order),
            ),
        )

    @property
    def table(self) -> Table:
        """The blocks as a `Table`: where they lie, their ranks, and the numbers that they store."""
        rows = tuple(
            (_range(block.rows), _range(block.cols), int(rank), b.size + a.size)
            for block, rank, (b, a) in zip(self.blocks, self.ranks, self.factors, strict=True)
        )
        return Table(("rows", "columns", "rank", "n_parameters"), rows)

    def to_dense(self) -> Matrix:
        """Return the approximation as an (m, n) matrix."""
        return self._layout.dense(self.factors)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Matrix:
        """Return the dense matrix, new at every call, for ``np.asarray(best)``."""
        if copy is False:
            raise ValueError(
                "copy must not be False: the dense matrix is made from the factors; "
                "write np.asarray(best) or best.to_dense()."
            )
        return self.to_dense().astype(dtype, copy=False)

    def __repr__(self) -> str:
        m, n = self.shape
        return (
            f"Approximation({self.structure!r} of a {m}×{n} matrix, {ranks_text(self.ranks)}, "
            f"{self.n_parameters} parameters, relative error {self.relative_error:.4g}"
            f"{self._gap_text()}{self._plain_text()}"
            f"{self.note and f'; {self.note}'})"
        )

    @cached_property
    def _layout(self) -> Layout:
        return laid_out(self.structure, self.shape)

    def _gap_text(self) -> str:
        if self.guarantee != "greedy ranks" or self.gap is None:
            return ""
        return f", greedy ranks, gap at most {self.gap:.2g}"

    def _plain_text(self) -> str:
        return in_norms(self.plain.relative_error if self.plain else None)


def plain_of(made: Approximation) -> Plain:
    """Return the errors of an approximation in the plain norm, under weights or not."""
    return made.plain or Plain(made.error, made.accuracy.norm, made.accuracy.bound)


def _order(blocks: Sequence[Block], transposed: Sequence[Block]) -> list[int]:
    """Return which of the blocks each of the transposed ones is; those of equal place keep their order."""
    places: dict[tuple[str, str], list[int]] = {}
    for k, block in enumerate(blocks):
        places.setdefault((_range(block.rows), _range(block.cols)), []).append(k)
    return [places[_range(block.cols), _range(block.rows)].pop(0) for block in transposed]


def _range(chosen: Selection) -> str:
    """Write consecutive indices as a range, and others one by one."""
    if isinstance(chosen, slice):
        return f"{chosen.start}:{chosen.stop}"
    return ",".join(map(str, chosen.tolist()))


def ranks_text(ranks: Ranks) -> str:
    """Return ranks in few words: ``rank 2``, or ``ranks 0–5``."""
    low, high = int(min(ranks)), int(max(ranks))
    return f"rank {low}" if low == high else f"ranks {low}–{high}"
