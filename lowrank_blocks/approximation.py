"""An approximation: factors on blocks, with their ledger and their error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lowrank_blocks._validation import Matrix, Shape, as_vector_or_matrix
from lowrank_blocks.partition import Block
from lowrank_blocks.ranks import Ranks
from lowrank_blocks.spectra import Accuracy, Factors
from lowrank_blocks.structures import Structure

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

TIE = 1e-12  # relative errors closer than this differ by rounding only


@dataclass(frozen=True, eq=False, repr=False)
class Approximation:
    """The best approximation of a matrix by blocks of given ranks.

    Made by `approximate` and `Decomposition.within`; its arrays are read-only.

    Attributes
    ----------
    structure : Structure
        Where the blocks are.
    shape : (int, int)
        Shape ``(m, n)`` of the matrix.
    ranks : (n_blocks,) array of int
        Rank of every block.
    factors : tuple of (B, A)
        For every block of shape (p, q) the factors B, (p, r), and A, (r, q): the block is ``B @ A``.
        The singular values are split evenly between them.
    error : float
        ``||dW - X||_F`` in the units of the matrix.
    relative_error : float
        ``error / ||dW||_F``; 0 for a matrix of zeros.
    guarantee : str
        What is known of the ranks: ``"optimal ranks"``, ``"greedy ranks"`` or ``"given ranks"``
        (see `adaptive`). For its ranks, every approximation is optimal (Eckart & Young,
        doi 10.1007/BF02288367).
    lower_bound : float or None
        No ranks within the budget (of `Decomposition.truncate`, no ranks that store as few numbers)
        leave a smaller relative error on these blocks. For optimal ranks it is `relative_error`
        itself, for others a bound by weak duality. None where the spectra are not known: `uniform`
        ranks of several blocks need none, so `approximate` may compute none.
    accuracy : Accuracy
        How the factors of every block were computed, and a certified bound on how far rounding can
        have moved their error.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> best = lb.approximate(np.diag([4.0, 0.0, 3.0]), lb.Localized(3), budget=2)
    >>> best
    Approximation(Localized(3) of a 3×3 matrix, ranks 0–1, 2 parameters, relative error 0.6)
    >>> best @ [1, 1, 1]
    array([4., 0., 0.])
    """

    structure: Structure
    shape: Shape
    ranks: Ranks
    factors: tuple[Factors, ...] = field(repr=False)
    error: float
    relative_error: float
    guarantee: str
    lower_bound: float | None
    accuracy: Accuracy = field(repr=False)

    # Lets `ndarray @ approximation` reach __rmatmul__ instead of looping over entries.
    __array_ufunc__ = None

    @property
    def n_parameters(self) -> int:
        """Count of stored numbers in all factors; the positions of blocks are not charged."""
        return sum(b.size + a.size for b, a in self.factors)

    @property
    def gap(self) -> float | None:
        """How much smaller than `relative_error` that of other ranks within the budget could be at most."""
        return None if self.lower_bound is None else self.relative_error - self.lower_bound

    @property
    def captured(self) -> float:
        """Captured share of the squared Frobenius norm, ``1 - relative_error**2``."""
        return 1 - self.relative_error**2

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Where every block lies: ``dW[block]`` is approximated by its ``B @ A``."""
        return self.structure.blocks(self.shape)

    def to_dense(self) -> Matrix:
        """Return the approximation as an (m, n) matrix."""
        return self.structure.join([b @ a for b, a in self.factors], self.shape)

    def to_linear_operator(self) -> LinearOperator:
        """Return the approximation as a `scipy.sparse.linalg.LinearOperator` of shape (m, n)."""
        from scipy.sparse.linalg import LinearOperator

        return LinearOperator(
            shape=self.shape,
            dtype=np.result_type(*self.factors[0]),
            matvec=self._times,
            rmatvec=self._transposed_times,
            matmat=self._times,
            rmatmat=self._transposed_times,
        )

    def __matmul__(self, x: ArrayLike) -> Matrix:
        """Multiply a vector, (n,), or a matrix, (n, k), without forming the dense matrix."""
        return self._times(as_vector_or_matrix(x, self.shape[1]))

    def __rmatmul__(self, x: ArrayLike) -> Matrix:
        """Multiply from the left by a vector, (m,), or a matrix, (k, m)."""
        return self._transposed_times(as_vector_or_matrix(np.asarray(x).T, self.shape[0], "x.T")).T

    def __repr__(self) -> str:
        m, n = self.shape
        return (
            f"Approximation({self.structure!r} of a {m}×{n} matrix, {ranks_text(self.ranks)}, "
            f"{self.n_parameters} parameters, relative error {self.relative_error:.4g}"
            f"{self._gap_text()})"
        )

    def _gap_text(self) -> str:
        if self.guarantee != "greedy ranks" or self.gap is None:
            return ""
        return f", greedy ranks, gap at most {self.gap:.2g}"

    def _times(self, x: Matrix) -> Matrix:
        y = self._zeros(self.shape[0], x)
        for block, (b, a) in zip(self.blocks, self.factors, strict=True):
            y[block.rows] += b @ (a @ x[block.cols])
        return y

    def _transposed_times(self, x: Matrix) -> Matrix:
        y = self._zeros(self.shape[1], x)
        for block, (b, a) in zip(self.blocks, self.factors, strict=True):
            y[block.cols] += a.T @ (b.T @ x[block.rows])
        return y

    def _zeros(self, length: int, x: Matrix) -> Matrix:
        return np.zeros((length, *x.shape[1:]), dtype=np.result_type(*self.factors[0], x))


def ranks_text(ranks: Ranks) -> str:
    """Return ranks in few words: ``rank 2``, or ``ranks 0–5``."""
    low, high = int(min(ranks)), int(max(ranks))
    return f"rank {low}" if low == high else f"ranks {low}–{high}"
