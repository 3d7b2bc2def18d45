"""What rounding can do to a spectrum: the bounds that are certified, and the accuracy that is promised.

The model is the standard one of rounding errors with mean zero (Higham & Mary, "A new approach to
probabilistic rounding error analysis", doi 10.1137/18M1226312): errors grow with the root of the
length of a computation, not with the length. Sums of equal numbers are the exception: their rounding
errors have one sign, and grow with the length; every sum over the longer side is charged with it. The
constants are at least five times what was seen on the hardest of many spectra; the tests hold them
against 50-digit arithmetic and LAPACK.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import is_narrow
from lowrank_blocks.linalg.energies import UNIT, energy_rounding, norm_rounding, tail_energy, tail_rounding
from lowrank_blocks.linalg.svd import lengths

Values = NDArray[np.float64]

_LEAST = 2.0**-1073  # twice the least float64: a bound and an error are rounded to multiples of it
PROMISE_DOUBLE = 9.9e-11  # of 1e-10: the norm and the energy outside the blocks take the rest
PROMISE_SINGLE = 7e-9  # times sqrt(2), and 1.504 * 2**-24 for the rounding of factors, is below 1e-7

# What rounding adds to a Gram matrix and its eigenvalues: in the spectral norm, in units of
# root * UNIT * the largest, and of UNIT * the Frobenius norm; in the Frobenius norm, of
# root * UNIT * the trace.
_LARGEST = 16.0
_ALL = 80.0
_TRACE = 8.0
_LAPACK = 16.0  # backward error of an SVD, in units of root * UNIT * norm ...
_DROPPED = 100.0  # ... and of UNIT * norm: dbdsqr drops entries of a bidiagonal matrix up to 98.7 UNIT
_RESIDUAL = 4.0  # rounding of a product of factors, in units of (1 + sqrt(rank)) * UNIT * the norm
_PANEL = 256  # products this long are summed as one
_EQUAL = 0.375  # error of a sum of equal numbers, in units of UNIT * their count * the sum, at worst
_KINDS = 8  # directions in which equal products can err


@dataclass(frozen=True)
class Accuracy:
    """How a result was computed, and how far rounding can have moved it.

    Attributes
    ----------
    methods : tuple of str
        One a block: ``"lapack"`` (SVD), ``"norm"`` (the only singular value of a block of one row or
        column), ``"gram"`` (the Gram matrix of the smaller side, and further Gram matrices of what it
        does not resolve), ``"single"`` (vectors of a narrow source in single precision, proved in
        double), ``"lanczos"`` (block Lanczos, proved to have missed nothing) or ``"zero"`` (the
        norm alone).
    bounds : tuple of float
        One a block, in the units of the matrix. For a `Decomposition`: how far the error of the block
        can be from the optimum, at any rank. For an `Approximation`: how far the error of the block's
        factors can be above the optimum at their rank, and how far the reported error can be off.
    norm : float
        Frobenius norm of the matrix.
    relative_bound : float
        The bound on the relative error of the whole matrix; 0 for a matrix of zeros.
    outside : float
        How far rounding can have moved the norm of the entries in no block.
    norm_bound : float
        How far rounding can have moved `norm`.
    """

    methods: tuple[str, ...]
    bounds: tuple[float, ...]
    norm: float
    relative_bound: float
    outside: float
    norm_bound: float

    @classmethod
    def of(
        cls,
        methods: Iterable[str],
        bounds: Sequence[float] | Values,
        norm: float,
        exponent: int,
        *,
        outside: float,
        norm_bound: float,
    ) -> Accuracy:
        """Make one from bounds and a norm that are divided by ``2**exponent``.

        In the units of the matrix the bounds of tiny matrices count what is lost where float64 ends.
        """
        lost = _LEAST if exponent < 0 else 0.0
        values = np.asarray(bounds)
        return cls(
            tuple(methods),
            tuple((np.ldexp(values, exponent) + lost).tolist()),
            math.ldexp(norm, exponent),
            (math.hypot(*values.tolist(), outside) + norm_bound) / norm if norm else 0.0,
            math.ldexp(outside, exponent) + (lost if outside else 0.0),
            math.ldexp(norm_bound, exponent) + lost,
        )

    @property
    def bound(self) -> float:
        """The bound on the error of the whole matrix, in its units."""
        return math.hypot(*self.bounds, self.outside)

    def __repr__(self) -> str:
        used = ", ".join(f"{self.methods.count(m)} by {m}" for m in sorted(set(self.methods)))
        return f"Accuracy(relative error within {self.relative_bound:.1e}; blocks: {used})"


def promise(dtype: np.dtype[np.generic]) -> float:
    """Return the accuracy that the kernel must reach for a source of this dtype."""
    return PROMISE_SINGLE if is_narrow(dtype) else PROMISE_DOUBLE


def root(shape: tuple[int, ...]) -> float:
    """Return the growth of rounding errors over the last two axes, smaller one first."""
    return math.sqrt(shape[-2] + shape[-1] / _PANEL)


def added(length: int, together: int | None = None) -> float:
    """Bound the rounding of a sum of so many equal products, in units of UNIT times the sum.

    While a running sum has one exponent all its errors are equal, and may be half a last place. BLAS sums
    panels of them, or so many `together`.
    """
    together = together or _PANEL
    return _EQUAL * (min(length, together) + length / together)


def eigen_sum(values: Values, trace: Any, shape: tuple[int, ...], count: Any) -> Any:
    """Bound what rounding adds to the sum of `count` eigenvalues of a Gram matrix.

    A perturbation moves such a sum by at most `count` times its spectral norm, and by at most
    ``sqrt(count)`` times its Frobenius norm; where products are equal, in proportion.

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
    in_proportion = UNIT * added(shape[-1]) * np.minimum(count * np.square(values[..., :1]), trace)
    return _centred(values, trace, shape, count) + in_proportion


def largest_rounding(largest: float, trace: float, shape: tuple[int, ...]) -> float:
    """Bound what rounding adds to one eigenvalue of a Gram matrix by the largest: `eigen_sum` of one."""
    in_proportion = UNIT * added(shape[-1]) * min(largest, trace)
    return min(UNIT * _LARGEST * root(shape) * largest, float(_frobenius(trace, shape))) + in_proportion


def energy_missed(error: Any, total: Any, squares: Values, shape: tuple[int, ...], count: Any) -> Any:
    """Bound the energy that factors miss, by the leading eigenvalues of a Gram matrix.

    Nothing is assumed of the vectors. The energy missed is that of the leading eigenvalues less the
    energy that the factors hold, which is that of the block less ``error**2``.

    Parameters
    ----------
    error : float or (n,) array
        Frobenius norm of what the factors leave.
    total : float or (n,) array
        Energy of the block.
    squares : (r,) or (n, r) array
        The leading eigenvalues, descending; zeros beyond the rank of a block.
    shape : (..., k, l)
        Shape of the blocks, smaller side first.
    count : int or (n,) array of int
        How many eigenvalues.
    """
    beyond = np.maximum(np.square(error) - total + squares.sum(axis=-1), 0.0)
    return beyond + leading_sum(total, squares, shape, count) + energy_rounding(total)


def leading_sum(total: Any, squares: Values, shape: tuple[int, ...], count: Any) -> Any:
    """Bound what rounding adds to the sum of leading eigenvalues of a Gram matrix; see `energy_missed`."""
    top = np.sqrt(np.maximum(squares[..., :1], 0.0))
    return eigen_sum(top, np.asarray(total)[..., None], shape, np.asarray(count)[..., None])[..., 0]


def gram_energy(values: Values, tails: Values, shape: tuple[int, ...]) -> Values:
    """Bound the errors of the energies `tails` left by ranks ``0, ..., k - 1``, taken from a Gram matrix.

    They are sums of the least eigenvalues, and the trace less sums of the largest. Equal products move
    them in proportion, and in the few directions that rows of few kinds span.
    """
    side, alike = shape[-2], UNIT * added(shape[-1])
    ranks = np.arange(float(side))
    trace, largest = np.square(values).sum(axis=-1, keepdims=True), np.square(values[..., :1])
    below = _centred(values, trace, shape, side - ranks) + alike * _KINDS / side * (side - ranks) * largest
    above = np.sqrt(ranks + 1) * _frobenius(trace, shape) + alike * trace
    return np.asarray(np.minimum(below, above) + alike * tails + tail_rounding(tails))


def gram_error(values: Values, shape: tuple[int, ...]) -> Values:
    """Bound the errors of ``sqrt(tail_energy(values))`` at ranks ``0, ..., k - 1``, from a Gram matrix."""
    tails = tail_energy(values)[..., :-1]
    return error_of_root(tails, gram_energy(values, tails, shape))


def _centred(values: Values, trace: Any, shape: tuple[int, ...], count: Any) -> Any:
    """Bound the part of the error of such a sum that has a mean of zero; see `eigen_sum`."""
    return np.minimum(count * _spectral(values, shape), np.sqrt(count) * _frobenius(trace, shape))


def _spectral(values: Values, shape: tuple[int, ...]) -> Values:
    largest = _LARGEST * root(shape) * np.square(values[..., :1])
    if values.shape[-1] < shape[-2]:
        return UNIT * largest
    all_ = np.sqrt(np.square(np.square(values)).sum(axis=-1, keepdims=True))
    return np.asarray(UNIT * np.minimum(largest, _ALL * root(shape) / math.sqrt(shape[-2]) * all_))


def _frobenius(trace: Any, shape: tuple[int, ...]) -> Any:
    return _TRACE * UNIT * root(shape) * trace


def unresolved_energy(trace: float, shape: tuple[int, ...], allowed: float) -> float:
    """Return the energy up to which a Gram matrix does not resolve what a few leading values leave.

    If that energy is spread over all ranks, its root at half of them is uncertain by more than is allowed.
    """
    slack = math.sqrt(shape[-2] / 2) * _frobenius(trace, shape)
    return float((2 * slack / allowed) ** 2)


def error_of_root(energy: Values, slack: Values) -> Values:
    """Bound the error of ``sqrt(energy)`` if that of `energy` is at most `slack`."""
    most = np.sqrt(energy) + np.sqrt(np.maximum(energy - slack, 0.0))
    certain = energy > slack
    return np.where(certain, slack / np.where(certain, most, 1.0), np.sqrt(slack))


def residual_rounding(error: Any, norm: Any, rank: int) -> Any:
    """Bound what rounding adds to the error of factors, computed as the norm of the residual.

    The product of the factors is rounded, the factors themselves are, and so is the sum of squares.
    """
    return _RESIDUAL * (1 + math.sqrt(rank)) * UNIT * norm + norm_rounding(error)


def lapack_norm(norm: Any, shape: tuple[int, ...]) -> Any:
    """Bound the error of any truncation error of a block whose SVD is LAPACK's.

    Sums of equal numbers over the longer side, in panels if it is long, are off in proportion to its length.
    """
    return (_DROPPED + _LAPACK * root(shape) + sum(lengths(shape))) * UNIT * norm
