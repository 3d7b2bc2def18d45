"""What rounding can do to a spectrum: the bounds that are certified, and the accuracy that is promised.

The model is the standard one of rounding errors with mean zero (Higham & Mary, "A new approach to
probabilistic rounding error analysis", doi 10.1137/18M1226312): errors grow with the root of the
length of a computation, not with the length. The constants are at least five times what was seen
on the hardest of many spectra; the tests hold them against 50-digit arithmetic and LAPACK.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import is_narrow
from lowrank_blocks.linalg.energies import tail_energy

Values = NDArray[np.float64]

UNIT = 2.0**-53
_LEAST = 2.0**-1073  # twice the least float64: a bound and an error are rounded to multiples of it
PROMISE_DOUBLE = 1e-10
PROMISE_SINGLE = 7e-9  # times sqrt(2), and 1.504 * 2**-24 for the rounding of factors, is below 1e-7

# What rounding adds to a Gram matrix and its eigenvalues: in the spectral norm, in units of
# root * UNIT * the largest, and of UNIT * the Frobenius norm; in the Frobenius norm, of
# root * UNIT * the trace.
_LARGEST = 16.0
_ALL = 80.0
_TRACE = 8.0
_LAPACK = 16.0  # backward error of an SVD, in units of root * UNIT * norm ...
_DROPPED = 100.0  # ... and of UNIT * norm: dbdsqr drops entries of a bidiagonal matrix up to 98.7 UNIT
_PANEL = 256  # products this long are summed as one


@dataclass(frozen=True)
class Accuracy:
    """How a result was computed, and how far rounding can have moved it.

    Attributes
    ----------
    methods : tuple of str
        One a block: ``"lapack"`` (SVD), ``"gram"`` (the Gram matrix of the smaller side, and finer
        ones of what it does not tell), ``"lanczos"`` (block Lanczos, proved to have missed nothing) or
        ``"zero"`` (nothing to compute).
    bounds : tuple of float
        One a block, in the units of the matrix. For a `Decomposition`: how far the error of the block
        can be from the optimum, at any rank. For an `Approximation`: how far the error of the block's
        factors can be above the optimum at their rank, or the reported error be off.
    norm : float
        Frobenius norm of the matrix.
    relative_bound : float
        The same for the relative error of the whole matrix; 0 for a matrix of zeros.
    """

    methods: tuple[str, ...]
    bounds: tuple[float, ...]
    norm: float
    relative_bound: float

    @classmethod
    def of(cls, methods: Iterable[str], bounds: Sequence[float], norm: float, exponent: int) -> Accuracy:
        """Make one from bounds and a norm that are divided by ``2**exponent``.

        In the units of the matrix the bounds of tiny matrices count what is lost where float64 ends.
        """
        lost = _LEAST if exponent < 0 else 0.0
        return cls(
            tuple(methods),
            tuple(math.ldexp(b, exponent) + lost for b in bounds),
            math.ldexp(norm, exponent),
            math.hypot(*bounds) / norm if norm else 0.0,
        )

    @property
    def bound(self) -> float:
        """The same for the error of the whole matrix, in its units."""
        return math.hypot(*self.bounds)

    def __repr__(self) -> str:
        used = ", ".join(f"{self.methods.count(m)} by {m}" for m in sorted(set(self.methods)))
        return f"Accuracy(relative error within {self.relative_bound:.1e}; blocks: {used})"


def promise(dtype: np.dtype[np.generic]) -> float:
    """Return the accuracy that the kernel must reach for a source of this dtype."""
    return PROMISE_SINGLE if is_narrow(dtype) else PROMISE_DOUBLE


def root(shape: tuple[int, ...]) -> float:
    """Return the growth of rounding errors over the last two axes, smaller one first."""
    return math.sqrt(shape[-2] + shape[-1] / _PANEL)


def eigen_sum(values: Values, trace: Any, shape: tuple[int, ...], count: Any) -> Any:
    """Bound what rounding adds to the sum of `count` eigenvalues of a Gram matrix.

    A perturbation moves such a sum by at most `count` times its spectral norm, and by at most
    ``sqrt(count)`` times its Frobenius norm.

    Parameters
    ----------
    values : (..., k) array
        The singular values, or the largest alone.
    trace : float or (..., 1) array
        Sum of all their squares.
    shape : (..., k, l)
        Shape of the blocks, smaller side first.
    count : int or array of int
        How many eigenvalues.
    """
    return np.minimum(count * _spectral(values, shape), np.sqrt(count) * _frobenius(trace, shape))


def gram_energy(values: Values, shape: tuple[int, ...]) -> Values:
    """Bound the errors of the energies left by ranks ``0, ..., k - 1``, taken from a Gram matrix.

    They are sums of the least eigenvalues, and the trace less sums of the largest.
    """
    ranks = np.arange(float(shape[-2]))
    trace = np.square(values).sum(axis=-1, keepdims=True)
    from_below = eigen_sum(values, trace, shape, shape[-2] - ranks)
    return np.asarray(np.minimum(from_below, np.sqrt(ranks + 1) * _frobenius(trace, shape)))


def gram_error(values: Values, shape: tuple[int, ...]) -> Values:
    """Bound the errors of ``sqrt(tail_energy(values))`` at ranks ``0, ..., k - 1``, from a Gram matrix."""
    return error_of_root(tail_energy(values)[..., :-1], gram_energy(values, shape))


def _spectral(values: Values, shape: tuple[int, ...]) -> Values:
    largest = _LARGEST * root(shape) * np.square(values[..., :1])
    if values.shape[-1] < shape[-2]:
        return UNIT * largest
    all_ = np.sqrt(np.square(np.square(values)).sum(axis=-1, keepdims=True))
    return np.asarray(UNIT * np.minimum(largest, _ALL * root(shape) / math.sqrt(shape[-2]) * all_))


def _frobenius(trace: Any, shape: tuple[int, ...]) -> Any:
    return _TRACE * UNIT * root(shape) * trace


def untold_energy(trace: float, shape: tuple[int, ...], allowed: float) -> float:
    """Return an energy left by few ranks at which a Gram matrix hardly tells the root of what many leave.

    That is, not to within what is allowed, if the energy is spread over all ranks.
    """
    slack = math.sqrt(shape[-2] / 2) * _frobenius(trace, shape)
    return float((2 * slack / allowed) ** 2)


def error_of_root(energy: Values, slack: Values) -> Values:
    """Bound the error of ``sqrt(energy)`` if that of `energy` is at most `slack`."""
    most = np.sqrt(energy) + np.sqrt(np.maximum(energy - slack, 0.0))
    certain = energy > slack
    return np.where(certain, slack / np.where(certain, most, 1.0), np.sqrt(slack))


def lapack_norm(norm: Any, shape: tuple[int, ...]) -> Any:
    """Bound the error of any truncation error of a block whose SVD is LAPACK's."""
    return (_DROPPED + _LAPACK * root(shape)) * UNIT * norm
