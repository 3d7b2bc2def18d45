"""Singular values of blocks to a given accuracy at every rank, from Gram matrices of several levels.

Rounding moves the eigenvalues of a Gram matrix in proportion to the largest, so that values far below it
are not resolved. They are split off and solved separately, where rounding is smaller: either the least
values, by the vectors that span them, or all values but a few dominant ones. LAPACK's SVD solves what
neither way resolves.

Let U = [U1, U2] be orthogonal, Z = U1^T X and Y = U2^T X. In bases that begin with the rows of Z the
block X is ``[[L, 0], [C, H]]``, with the singular values of Z those of L, and Y = [C, H]. Distances to
the nearest matrix of any rank differ by at most ||C|| between X and ``diag(L, H)``, and between H and
Y; and where no value of Y exceeds the least of Z, the values of ``diag(L, H)`` are those of Z, then
those of H. So the values of Z and Y give every error of X to within 2 ||C||.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.bounds import (
    added,
    eigen_sum,
    error_of_root,
    gram_energy,
    gram_error,
    lapack_norm,
    root,
    unresolved_energy,
)
from lowrank_blocks.linalg.eigen import Tridiagonal
from lowrank_blocks.linalg.energies import UNIT, energy, tail_energy
from lowrank_blocks.linalg.gram import flat, gram, times
from lowrank_blocks.linalg.projection import Projection, coupling, projected, without
from lowrank_blocks.linalg.reflections import spanned
from lowrank_blocks.linalg.svd import lapack_values

Array = NDArray[np.float64]

# Where Gram matrices are faster than LAPACK's SVD; tests/benchmarks/crossovers.py measures it.
GRAM_SQUARE = 112  # smaller sides from this on; or, of blocks at least twice as long as wide,
GRAM_WIDE = 16  # ... from this on,
GRAM_FROM = 6400  # ... from so many entries on,
GRAM_MANY = 24  # ... or, of many blocks, from this side on
DOMINANT_FROM = 256  # sides from this on: a few dominant values are split off
_DOMINANT = 32  # ... at most so many, if they are looked for first,
_DOMINANT_SHARE = 8  # ... or of a side this part, if all values are known
_SAMPLE = 48  # rows of a block that show whether there can be so few
_POWERS = 4  # times that a block is applied to the columns that dominant values span
_LEAST_SHARE = 4  # of a side: no more of the least values than this part are split off
_SAFETY = 0.75  # of the error allowed: what one level may use up, as others add to it
_ROUNDING = 4.0  # of products of a block with its vectors, in units of root * UNIT * their norms


@dataclass(frozen=True)
class Solved:
    """Singular values of a (k, l) block.

    Attributes
    ----------
    values : (k,) array
        Descending.
    bounds : (k,) array
        Bounds on the errors of ``sqrt(tail_energy(values)[:k])``.
    method : str
        ``"gram"`` or ``"lapack"``.
    """

    values: Array
    bounds: Array
    method: str


def gram_pays(side: int, length: int, *, many: bool = False) -> bool:
    """Whether a Gram matrix is the faster way to the spectra of blocks, smaller side first.

    Of `many` blocks some are tried first, so that few are solved by a Gram matrix that does not resolve them.
    """
    large = side >= GRAM_WIDE and side * length >= GRAM_FROM
    return side >= GRAM_SQUARE or (length >= 2 * side and (large or (many and side >= GRAM_MANY)))


def by_svd(rows: Array) -> Solved:
    """Solve a (k, l) block, smaller side first, by LAPACK's SVD."""
    values = lapack_values(rows)
    bound = lapack_norm(np.linalg.norm(values), rows.shape)
    return Solved(values, np.full(len(values), bound), "lapack")


def by_gram(rows: Array, allowed: float, norm: float | None = None) -> Solved:
    """Solve a block by Gram matrices, and by LAPACK's SVD where no level of them is accurate enough.

    Parameters
    ----------
    rows : (k, l) array
        Smaller side first; its squares neither overflow nor vanish.
    allowed : float
        The error allowed of the root of any tail energy.
    norm : float, optional
        Frobenius norm of the block, where it is known.
    """
    try:
        found = _by_dominant(rows, allowed, norm) or _by_one(rows, allowed)
    except np.linalg.LinAlgError:
        return by_svd(rows)
    return found if found and (found.bounds <= allowed).all() else by_svd(rows)


def _by_one(rows: Array, allowed: float) -> Solved | None:
    """Solve a block by its Gram matrix, and what that does not resolve by another level."""
    side = len(rows)
    reduced = Tridiagonal(gram(rows))
    first = _of_gram(np.sqrt(np.maximum(reduced.values, 0.0)), rows.shape)
    if (first.bounds <= allowed).all():
        return first
    resolved = _resolved(first, allowed)
    few = _few_left(resolved, side)
    if few:
        start = _widest_gap(first.values, max(1, resolved - 2 - (side - resolved) // 16), resolved)
        vectors = reduced.vectors(start, side)
    else:
        count = _dominant_to_split(first.values, rows.shape, resolved, allowed)
        if count is None:
            return None
        vectors = reduced.vectors(0, count)
    del reduced  # it takes as much memory as a block
    if few:
        return _with_least(rows, vectors, first, allowed)
    part = projected(rows, vectors)
    return _with_dominant(rows, part, coupling(rows, part), allowed)


def _of_gram(values: Array, shape: tuple[int, ...]) -> Solved:
    """Return the values that a Gram matrix gives, with their bounds."""
    return Solved(values, gram_error(values, shape), "gram")


def _resolved(solved: Solved, allowed: float) -> int:
    """Return how many of the ranks, from 0 on, are resolved safely."""
    return int(np.argmax(np.append(solved.bounds, np.inf) > _SAFETY * allowed))


def _few_left(resolved: int, side: int) -> bool:
    return (side - resolved) * _LEAST_SHARE <= side


def _with_least(rows: Array, vectors: Array, first: Solved, allowed: float) -> Solved | None:
    """Replace the least values by those of the block on their vectors.

    Z is known by the Gram matrix only. With V the vectors, E = U1^T X Y^T is what X Y^T holds outside V,
    and C has at most the norm of E over the least value of Z. As E couples the parts of the Gram matrix,
    the square of that value is at least the square of the value at its place in X, less the norm of E.
    """
    start = len(rows) - vectors.shape[1]
    least = vectors.T @ rows
    norm, reached = float(np.linalg.norm(first.values)), float(np.linalg.norm(least))
    skew = float(np.linalg.norm(vectors.T @ vectors - np.eye(len(least))))
    images = rows @ least.T
    leak = float(np.linalg.norm(images - vectors @ (vectors.T @ images)))
    leak += max(_ROUNDING * root(rows.shape), added(rows.shape[1])) * UNIT * norm * reached
    leak /= max(1 - skew, UNIT)  # columns that are not quite orthonormal show a little less of it
    floor = float(first.values[start - 1]) ** 2 - leak
    floor -= float(eigen_sum(first.values[:1], norm**2, rows.shape, 1)[0])
    rest = _solve(least, allowed / 2)
    if floor <= 0 or rest.values[0] ** 2 >= floor:
        return None
    coupled = 2 * (leak / math.sqrt(floor) + float(lapack_norm(norm, rows.shape))) + skew * reached
    values = np.append(first.values[:start], rest.values)
    was, tails = tail_energy(first.values), tail_energy(values)
    slack = gram_energy(first.values, was[:-1], rows.shape) + abs(tails[start] - was[start])
    uncertain = error_of_root(tails[:start], slack[:start])
    return Solved(values, np.append(uncertain, rest.bounds + coupled), "gram")


def _widest_gap(values: Array, first: int, last: int) -> int:
    """Return the place from `first` to `last` where the values, descending, fall most, but for rounding."""
    below = np.maximum(values[first : last + 1], max(UNIT * values[0], np.finfo(float).tiny))
    return first + int(np.argmax(values[first - 1 : last] / below))


def _dominant_to_split(values: Array, shape: tuple[int, ...], resolved: int, allowed: float) -> int | None:
    """Return how many leading values to split off so that a Gram matrix resolves most of the others."""
    side, length = shape
    most, count = min(resolved, side // _DOMINANT_SHARE), 1
    while side >= DOMINANT_FROM and count <= most:
        place = _widest_gap(values, count, min(2 * count, most))
        rest = _of_gram(values[place:], (side - place, length))
        if _few_left(_resolved(rest, allowed / 2), side - place):
            return place
        count *= 2
    return None


def _by_dominant(rows: Array, allowed: float, norm: float | None) -> Solved | None:
    """Split off a few dominant values, if a Gram matrix would not resolve the others."""
    if len(rows) < DOMINANT_FROM or allowed == 0:
        return None
    total = energy(rows) if norm is None else norm**2
    unresolved = unresolved_energy(total, rows.shape, allowed)
    columns = _spanning_columns(rows, unresolved)
    if columns is None:
        return None
    for _ in range(_POWERS):
        part = projected(rows, spanned(columns))
        columns = times(rows, part.rows.T)
        coupled = float(np.linalg.norm(columns - part.basis * part.values))
        if total - float(part.values @ part.values) > unresolved:
            return None
        if coupled <= allowed / 4:
            return _with_dominant(rows, part, coupled, allowed)
    return None


def _spanning_columns(rows: Array, unresolved: float) -> Array | None:
    """Return columns that span nearly all of a block, by some of its rows; None if it takes many."""
    some = rows[:: len(rows) // _SAMPLE][:_SAMPLE]
    sample = Tridiagonal(gram(some))
    left = np.cumsum(sample.values[::-1])[::-1]
    least = int(np.count_nonzero(left > unresolved * len(some) / len(rows)))
    if not 0 < least <= _DOMINANT:
        return None
    return times(rows, some.T @ sample.vectors(0, _widest_gap(sample.values, least, _DOMINANT)))


def _with_dominant(rows: Array, part: Projection, coupled: float, allowed: float) -> Solved | None:
    """Solve a block in two: the part that some columns span, and the rest."""
    rest = _solve(without(rows, part.basis), allowed / 2)
    if rest.values[0] > part.values[-1]:
        return None
    values = np.append(part.values, rest.values)
    norm = float(np.linalg.norm(values))
    uncertain = 2 * (coupled + float(lapack_norm(norm, rows.shape)) + 2 * part.skew * norm)
    bounds = np.append(np.full(len(part.values), rest.bounds[0]), rest.bounds)
    return Solved(values, bounds + uncertain, "gram")


def _solve(block: Array, allowed: float) -> Solved:
    """Solve a block whose smaller side may be the second."""
    rows = flat(block)
    return by_gram(rows, allowed) if gram_pays(*rows.shape) else by_svd(rows)
