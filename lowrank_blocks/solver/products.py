"""Products of an approximation with vectors, without its dense matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lowrank_blocks._validation import Matrix, Shape, as_operand
from lowrank_blocks.linalg import Factors
from lowrank_blocks.structures.base import Layout

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator


class Products:
    """What a matrix X of a shape does, given by the factors of the blocks of a layout."""

    shape: Shape
    factors: Sequence[Factors]

    @property
    def _layout(self) -> Layout:
        raise NotImplementedError

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

    def apply(self, x: ArrayLike) -> Matrix:
        """Multiply as a linear layer does: x Xᵀ, without forming the dense matrix X.

        Parameters
        ----------
        x : (..., n) array_like
            Vectors along the last axis, such as activations of shape (batch, tokens, n).

        Returns
        -------
        (..., m) array

        Raises
        ------
        TypeError, ValueError
            If `x` is not real or its last axis not of length n.

        Examples
        --------
        >>> import numpy as np, lowrank_blocks as lb
        >>> best = lb.approximate([[1.0, 2.0, 3.0]], lb.Global(), budget=4)
        >>> best.apply([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).round(9)
        array([[1.],
               [2.]])
        """
        array = as_operand(x)
        if array.shape[-1:] != self.shape[1:]:
            raise ValueError(self._misfit(array, f"(..., {self.shape[1]})", "best.apply(x)"))
        flat = array.reshape(-1, self.shape[1]) if array.size else np.zeros((0, self.shape[1]), array.dtype)
        return self._times(flat.T).T.reshape(*array.shape[:-1], self.shape[0])

    def __matmul__(self, x: ArrayLike) -> Matrix:
        """Multiply a vector, (n,), or columns, (n, k): X x. For rows of activations see `apply`."""
        array, n = as_operand(x), self.shape[1]
        if array.ndim not in (1, 2) or array.shape[0] != n:
            raise ValueError(self._misfit(array, f"({n},) or ({n}, k)", "best @ x"))
        return self._times(array)

    def __rmatmul__(self, x: ArrayLike) -> Matrix:
        """Multiply from the left by a vector, (m,), or rows, (k, m): x X, which is ``best.T.apply(x)``."""
        array, m = as_operand(x), self.shape[0]
        if array.ndim not in (1, 2) or array.shape[-1] != m:
            raise ValueError(self._misfit(array, f"({m},) or (k, {m})", "x @ best"))
        return self._transposed_times(array.T).T

    def _misfit(self, x: Matrix, rule: str, call: str) -> str:
        """Say why an operand does not fit a product, and which product it fits."""
        m, n = self.shape
        flat, ends = x.ndim in (1, 2), x.shape[-1:]
        fitting = {
            "best @ x gives X x": flat and x.shape[:1] == (n,),
            "best.apply(x) gives x Xᵀ": ends == (n,),
            "x @ best gives x X": flat and ends == (m,),
            "best.T.apply(x) gives x X": not flat and ends == (m,),
        }
        calls = "".join(f"; {text}" for text, fits in fitting.items() if fits)
        return f"x must have shape {rule} for {call}, got shape {x.shape}{calls}."

    def _times(self, x: Matrix) -> Matrix:
        return self._layout.apply(self.factors, x)

    def _transposed_times(self, x: Matrix) -> Matrix:
        return self._layout.apply_transposed(self.factors, x)
