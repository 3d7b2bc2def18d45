"""What rounding can do to a spectrum: the bounds that are certified, and the accuracy that is promised.

The model is the standard one of rounding errors with mean zero (Higham & Mary, "A new approach to
probabilistic rounding error analysis", doi 10.1137/18M1226312): errors grow with the root of the
length of a computation, not with the length. The constants are at least five times what was seen
on the hardest of many spectra; the tests hold them against 50-digit arithmetic and LAPACK.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

UNIT = 2.0**-53
PROMISE_DOUBLE = 1e-10
PROMISE_SINGLE = 1e-7
SMALL_SIDE = 128  # up to here LAPACK is cheap, and blocks are held to a hundredth of the promise

_VALUE = 16.0  # one eigenvalue of a Gram matrix, in units of root * UNIT * the largest
_FROBENIUS = 8.0  # all of them together, in units of root * UNIT * trace
_LAPACK = 16.0  # backward error of an SVD, in units of root * UNIT * norm
_PANEL = 256  # products this long are summed as one


@dataclass(frozen=True)
class Accuracy:
    """How a result was computed, and how far rounding can have moved it.

    Attributes
    ----------
    methods : tuple of str
        One a block: ``"lapack"`` (SVD), ``"gram"`` (eigenvalues of the Gram matrix of the smaller
        side), ``"lanczos"`` (block Lanczos, proved to have missed nothing) or ``"zero"`` (nothing to
        compute).
    bounds : tuple of float
        One a block, in the units of the matrix. For a `Decomposition`: how far the error of the block
        can be from the optimum, at any rank. For an `Approximation`: how far the error of the block's
        factors can be above the optimum at their rank, or the reported error be off.
    norm : float
        Frobenius norm of the matrix.
    """

    methods: tuple[str, ...]
    bounds: tuple[float, ...]
    norm: float

    @property
    def bound(self) -> float:
        """The same for the error of the whole matrix, in its units."""
        return math.hypot(*self.bounds)

    @property
    def relative_bound(self) -> float:
        """The same for the relative error; 0 for a matrix of zeros."""
        return self.bound / self.norm if self.norm else 0.0

    def __repr__(self) -> str:
        used = ", ".join(f"{self.methods.count(m)} by {m}" for m in sorted(set(self.methods)))
        return f"Accuracy(relative error within {self.relative_bound:.1e}; blocks: {used})"


def promise(dtype: np.dtype[np.generic]) -> float:
    """Return the accuracy of relative errors that is promised for a source of this dtype."""
    return PROMISE_DOUBLE if dtype == np.float64 else PROMISE_SINGLE


def root(shape: tuple[int, ...]) -> float:
    """Return the growth of rounding errors over the last two axes, smaller one first."""
    return math.sqrt(shape[-2] + shape[-1] / _PANEL)


def eigen_sum(largest: Any, trace: Any, shape: tuple[int, ...], count: Any) -> Any:
    """Bound what rounding adds to the sum of `count` eigenvalues of a Gram matrix.

    A perturbation moves such a sum by at most `count` times its spectral norm, and by at most
    ``sqrt(count)`` times its Frobenius norm.
    """
    return UNIT * root(shape) * np.minimum(count * _VALUE * largest, np.sqrt(count) * _FROBENIUS * trace)


def gram_energy(values: Values, shape: tuple[int, ...]) -> Values:
    """Bound the errors of the energies left by ranks ``0, ..., k - 1``, taken from a Gram matrix.

    Parameters
    ----------
    values : (..., k) array
        Singular values, descending.
    shape : (..., k, l)
        Shape of the blocks, smaller side first.
    """
    ranks = np.arange(float(shape[-2]))
    largest, trace = np.square(values[..., :1]), np.square(values).sum(axis=-1, keepdims=True)
    from_below = eigen_sum(largest, trace, shape, shape[-2] - ranks)
    from_above = UNIT * root(shape) * np.sqrt(ranks + 1) * _FROBENIUS * trace
    return np.asarray(np.minimum(from_below, from_above))


def error_of_root(energy: Values, slack: Values) -> Values:
    """Bound the error of ``sqrt(energy)`` if that of `energy` is at most `slack`."""
    most = np.sqrt(energy) + np.sqrt(np.maximum(energy - slack, 0.0))
    certain = energy > slack
    return np.where(certain, slack / np.where(certain, most, 1.0), np.sqrt(slack))


def lapack_norm(norm: float, shape: tuple[int, ...]) -> float:
    """Bound the error of any truncation error of a block whose SVD is LAPACK's."""
    return _LAPACK * UNIT * root(shape) * norm
