"""Families that are linear in their numbers: one solver, by normal equations and one refinement.

The numbers come in k groups of c. Numbers of one group may depend on one another, those of different groups
do not, so that the Gram matrix of the map from numbers to matrices falls into k blocks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg import pseudo_inverses

Array = NDArray[np.float64]


class LinearMap(ABC):
    """A linear map F from (k, c) numbers to (m, n) matrices whose groups have orthogonal images."""

    @abstractmethod
    def forward(self, numbers: Array) -> Array:
        """Return F applied to (k, c) numbers."""

    @abstractmethod
    def adjoint(self, matrix: Array) -> Array:
        """Return the transpose of F applied to a matrix: (k, c) numbers."""

    @abstractmethod
    def grams(self) -> Array:
        """Return the diagonal blocks (k, c, c) of the transpose of F times F."""


def least_squares(linear: LinearMap, matrix: Array) -> Array:
    """Return the (k, c) numbers of least norm whose image is nearest to a matrix.

    The second step is the same solution for what the first one leaves: it takes away what the squared
    condition of the normal equations costs.
    """
    inverses = pseudo_inverses(linear.grams())
    numbers = _times(inverses, linear.adjoint(matrix))
    rest = linear.adjoint(matrix - linear.forward(numbers))
    return numbers + _times(inverses, rest)


def _times(stack: Array, vectors: Array) -> Array:
    return np.asarray((stack @ vectors[..., None])[..., 0])
