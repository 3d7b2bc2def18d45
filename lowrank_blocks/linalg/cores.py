"""The small core of a product of factors: what is left once orthonormal bases are taken out of both."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.bounds import lapack_norm
from lowrank_blocks.linalg.energies import UNIT, energy
from lowrank_blocks.linalg.lapack import triangular_form
from lowrank_blocks.linalg.packed import Factors
from lowrank_blocks.linalg.threads import one_blas_thread

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reduced:
    """A (p, r) matrix as a basis times a (k, r) one, with k = min(p, r).

    Attributes
    ----------
    basis : (p, k) array or None
        With orthonormal columns; None for the identity.
    rest : (k, r) array
        What it is multiplied by.
    norm : float
        Frobenius norm of the matrix.
    rounding : float
        Bound on what rounding does to a product with it, relative to the norms of both.
    """

    basis: Array | None
    rest: Array
    norm: float
    rounding: float

    @classmethod
    def of(cls, matrix: Array) -> Reduced:
        """Reduce a matrix whose squares neither overflow nor vanish."""
        (p, r), norm = matrix.shape, math.sqrt(energy(matrix))
        if p <= r:
            return cls(None, matrix, norm, 0.0)
        with one_blas_thread(with_scipy=False):
            basis, rest = triangular_form(matrix)
        # Twice: once for the triangle, once for the basis that factors of the core are multiplied by.
        return cls(basis, rest, norm, 2 * float(lapack_norm(1.0, (r, p))))

    def raised(self, factor: Array) -> Array:
        """Return the basis times a (k, c) matrix."""
        return factor if self.basis is None else self.basis @ factor


@dataclass(frozen=True, eq=False)
class Core:
    """A product B A as a small matrix between two bases.

    Attributes
    ----------
    left, right : Reduced
        Of B and of the transpose of A.
    matrix : (k, l) array
        It has the singular values of the product.
    slack : float
        Bound on how far, in the Frobenius norm, the product is from what the core and the bases stand for.
    """

    left: Reduced
    right: Reduced
    matrix: Array
    slack: float

    @classmethod
    def of(cls, left: Reduced, right: Reduced) -> Core:
        """Return the core of a product of reduced factors."""
        with one_blas_thread(with_scipy=False):
            matrix = left.rest @ right.rest.T
        rounding = left.rounding + right.rounding + _of_product(left.rest.shape[1])
        return cls(left, right, matrix, rounding * left.norm * right.norm)

    def factors(self, small: Factors) -> Factors:
        """Return factors of the product from factors of the core."""
        b, a = small
        return self.left.raised(b), np.ascontiguousarray(self.right.raised(a.T).T)


def product_rounding(b: Array, a: Array) -> float:
    """Bound what rounding does to ``b @ a``, in the Frobenius norm."""
    return _of_product(b.shape[1]) * math.sqrt(energy(b) * energy(a))


def _of_product(inner: int) -> float:
    """Bound the rounding of a product relative to the norms of both factors, by the length of its sums."""
    return (inner + 1) * UNIT
