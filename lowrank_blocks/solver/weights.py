"""Weighted norms: weights of rows and columns, and second moments of the inputs of a layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lowrank_blocks._results import ReadOnly, locked
from lowrank_blocks._validation import Matrix, Shape, as_matrix
from lowrank_blocks.linalg import Root, root_of, root_of_moment

Floats = NDArray[np.float64]

_SYMMETRIC = 1e-12  # of the largest entry: how far from symmetric a second moment may be


@final
@dataclass(frozen=True, eq=False, repr=False)
class Activations(ReadOnly):
    """Inputs of a layer, as weights of the columns of its update: the error is measured in its outputs.

    The weight is their second moment ``x.T @ x / len(x)``, which is never formed: its root is taken from a
    QR factorisation. As weights of rows they are the gradients of the outputs.

    Parameters
    ----------
    x : (n_samples, n) array_like
        One row a sample.

    References
    ----------
    Parkina & Rakhuba, "COALA: Numerically Stable and Efficient Framework for Context-Aware Low-Rank
    Approximation", arXiv 2507.07580.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> dW, x = np.diag([2.0, 1.0]), np.array([[0.0, 5.0], [0.1, 0.0]])
    >>> best = lb.approximate(dW, lb.Global(), rank=1, col_weights=lb.Activations(x))
    >>> best.to_dense().round(9).tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    """

    x: Matrix

    def __init__(self, x: ArrayLike) -> None:
        object.__setattr__(self, "x", locked(as_matrix(x, "x").astype(np.float64)))

    def __repr__(self) -> str:
        return f"Activations({self.x.shape[0]} samples of {self.x.shape[1]})"


Weighting = ArrayLike | Activations | None


@dataclass(frozen=True, eq=False)
class Weight(ReadOnly):
    """The weight of an axis, ``C = L @ L.T``, held as its root ``L``.

    Attributes
    ----------
    root : (k,) or (k, k) array
        The diagonal of L, or L.
    relative, absolute : float
        How far norms of ``E @ L`` can be off for the rounding of L, relative to them and to those of E.
    """

    root: Floats
    relative: float = 0.0
    absolute: float = 0.0

    @classmethod
    def of(cls, root: Root) -> Weight:
        """Return the weight of a root."""
        return cls(root.matrix, root.relative, root.absolute)

    @property
    def is_diagonal(self) -> bool:
        """Whether every index of the axis has a weight of its own."""
        return self.root.ndim == 1

    @property
    def inner(self) -> int:
        """Length of the sums that multiply by the root; 0 where it scales."""
        return 0 if self.is_diagonal else len(self.root)

    def after(self, matrix: Floats) -> Floats:
        """Return ``matrix @ L``."""
        return matrix * self.root if self.is_diagonal else matrix @ self.root

    @property
    def size(self) -> float:
        """Bound on how much the root lengthens a vector."""
        return float(self.root.max() if self.is_diagonal else np.sqrt(np.square(self.root).sum()))


@dataclass(frozen=True, eq=False)
class Weights(ReadOnly):
    """The weights of both axes; None for one without.

    The squared norm of E is ``||L_rows.T @ E @ L_cols||_F ** 2``.
    """

    rows: Weight | None
    cols: Weight | None

    @cached_property
    def full(self) -> tuple[bool, bool]:
        """Whether the rows, and the columns, have a weight that is more than a diagonal."""
        rows, cols = (w is not None and not w.is_diagonal for w in (self.rows, self.cols))
        return rows, cols

    @property
    def roots(self) -> tuple[Floats | None, Floats | None]:
        """The roots of both, a vector or a matrix each."""
        rows, cols = (None if w is None else w.root for w in (self.rows, self.cols))
        return rows, cols

    @property
    def transposed(self) -> Weights:
        """The weights of the transposed matrix."""
        return Weights(self.cols, self.rows)

    def applied(self, matrix: Matrix) -> Floats:
        """Return the matrix whose plain norm is the weighted one, in float64.

        Raises
        ------
        ValueError
            If its entries are too large for float64.
        """
        weighted: Floats = matrix.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            if self.cols is not None:
                weighted = self.cols.after(weighted)
            if self.rows is not None:
                weighted = np.ascontiguousarray(self.rows.after(weighted.T).T)
        if not np.isfinite(weighted).all():
            raise ValueError(
                "weights times dW must be finite in float64, got an overflow; divide the weights."
            )
        return weighted


def as_weights(
    rows: Weighting, cols: Weighting, shape: Shape, names: tuple[str, str] = ("row_weights", "col_weights")
) -> Weights | None:
    """Return weights of the rows and columns of a matrix; None if there are none.

    Parameters
    ----------
    rows, cols : array_like, Activations or None
        A vector of positive weights; a symmetric positive semidefinite matrix; or samples.
    shape : (int, int)
        Shape of the matrix.
    names : (str, str), optional
        What errors call them.

    Raises
    ------
    TypeError, ValueError
        If they are none of these, or not of the length of their axis.
    """
    if rows is None and cols is None:
        return None
    pairs = zip((rows, cols), shape, names, strict=True)
    return Weights(*(None if value is None else _weight(value, k, name) for value, k, name in pairs))


def _weight(value: Any, length: int, name: str) -> Weight:
    if isinstance(value, Activations):
        if value.x.shape[1] != length:
            raise ValueError(f"{name} must have samples of length {length}, got {value.x.shape[1]}.")
        return Weight.of(root_of_moment(value.x / np.sqrt(len(value.x))))
    array = np.asarray(value)
    if array.ndim == 1:
        return _diagonal(as_matrix(array[None], name)[0].astype(np.float64), length, name)
    return _moment(as_matrix(value, name).astype(np.float64), length, name)


def _diagonal(vector: Floats, length: int, name: str) -> Weight:
    if len(vector) != length:
        raise ValueError(
            f"{name} must be {length} weights, one for each index of its axis, got {len(vector)}."
        )
    if not (vector > 0).all():
        k = int(np.argmin(vector > 0))
        raise ValueError(f"{name} must be positive, got {name}[{k}] = {vector[k]}.")
    return Weight(np.sqrt(vector))


def _moment(matrix: Floats, length: int, name: str) -> Weight:
    if matrix.shape != (length, length):
        fix = "; write lb.Activations(x) for samples" if matrix.shape[1] == length else ""
        raise ValueError(
            f"{name} must be a vector of {length} or a matrix of shape {(length, length)}, got "
            f"shape {matrix.shape}{fix}."
        )
    apart = np.abs(matrix - matrix.T)
    if apart.max() > _SYMMETRIC * np.abs(matrix).max():
        i, j = (int(k) for k in np.unravel_index(np.argmax(apart), apart.shape))
        raise ValueError(
            f"{name} must be symmetric, got {matrix[i, j]} at {(i, j)} and {matrix[j, i]} at {(j, i)}."
        )
    root = root_of((matrix + matrix.T) / 2)
    if root is None or not root.matrix.any():
        got = "zeros" if root is not None else "a negative eigenvalue"
        raise ValueError(f"{name} must be positive semidefinite and not zero, got {got}.")
    return Weight.of(root)
