"""What an adapter is fitted to: the update that is wanted, and the base weight where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lowrank_blocks._validation import Matrix, Shape, as_matrix
from lowrank_blocks.allocation.base import Fixed
from lowrank_blocks.linalg import common_exponent, energy, lapack_svd
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.solver.calls import approximate
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.checked import laid_out

_Svd = tuple[Matrix, Matrix, Matrix]


@dataclass(frozen=True, eq=False)
class Target:
    """A checked update with what several families ask of it, each computed once.

    Attributes
    ----------
    matrix : (m, n) array
        The update, in float64.
    base : (m, n) array or None
        The base weight W, in float64.
    """

    matrix: NDArray[np.float64]
    base: NDArray[np.float64] | None
    _found: dict[tuple[Structure, tuple[int, ...]], Approximation] = field(default_factory=dict)
    _freed: dict[int, Target] = field(default_factory=dict)

    @classmethod
    def of(cls, dW: ArrayLike, base: ArrayLike | None) -> Self:
        """Check an update and its base."""
        matrix = _double(dW, "dW")
        if base is None:
            return cls(matrix, None)
        weight = _double(base, "base")
        if weight.shape != matrix.shape:
            raise ValueError(f"base must have the shape of dW, {matrix.shape}, got {weight.shape}.")
        return cls(matrix, weight)

    @property
    def shape(self) -> Shape:
        """Shape of the update."""
        return self.matrix.shape[0], self.matrix.shape[1]

    @cached_property
    def norm(self) -> float:
        """Frobenius norm of the update."""
        return norm_of(self.matrix)

    @property
    def weight(self) -> NDArray[np.float64]:
        """The base weight, for families that were checked to have it."""
        assert self.base is not None
        return self.base

    @cached_property
    def tuned(self) -> NDArray[np.float64]:
        """The wanted weight W + dW."""
        return self.weight + self.matrix

    @cached_property
    def weight_svd(self) -> _Svd:
        """U, the singular values and V^T of the base weight, thin."""
        return _svd(self.weight)

    def smallest(self, count: int) -> NDArray[np.float64]:
        """Return the part of the base weight that belongs to its smallest singular values."""
        u, s, vt = self.weight_svd
        kept = slice(len(s) - count, len(s))
        return (u[:, kept] * s[kept]) @ vt[kept]

    def freed(self, count: int) -> Target:
        """Return what is wanted in place of that part."""
        if count not in self._freed:
            self._freed[count] = Target(self.matrix + self.smallest(count), None)
        return self._freed[count]

    def best(self, structure: Structure, ranks: Sequence[int]) -> Approximation:
        """Return the best approximation of the update with these ranks, as `approximate` gives it."""
        key = structure, tuple(ranks)
        if key not in self._found:
            budget = int(laid_out(structure, self.shape).rank_costs @ np.array(ranks, dtype=np.int64))
            self._found[key] = approximate(self.matrix, structure, budget, allocate=Fixed(tuple(ranks)))
        return self._found[key]

    def projected(self, structure: Structure) -> NDArray[np.float64]:
        """Return the nearest matrix that a structure holds with all its blocks whole."""
        layout = laid_out(structure, self.shape)
        return np.asarray(layout.join(layout.split(self.matrix)))


def norm_of(matrix: Matrix) -> float:
    """Return the Frobenius norm."""
    return float(np.sqrt(energy(matrix)))


def _svd(matrix: Matrix) -> _Svd:
    if matrix.shape[0] <= matrix.shape[1]:
        return lapack_svd(matrix)
    u, s, vt = lapack_svd(matrix.T)
    return vt.T, s, u.T


def _double(value: ArrayLike, name: str) -> NDArray[np.float64]:
    matrix = as_matrix(value, name).astype(np.float64)
    if common_exponent(matrix):
        largest = float(np.abs(matrix).max())
        raise ValueError(
            f"{name} must have a largest entry between 2**-200 and 2**200, got {largest:.3g}; multiply it by "
            "a power of two."
        )
    return matrix
