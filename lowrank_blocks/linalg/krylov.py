"""Leading eigenvectors of a Gram matrix by block Lanczos, in the precision of the block.

The start block is fixed, so every run gives the same result. That the iteration converged proves nothing:
`beyond` proves that no larger eigenvalue was missed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.lapack import eigenpairs
from lowrank_blocks.linalg.looks import Looks
from lowrank_blocks.linalg.missed import missed_energy
from lowrank_blocks.linalg.reflections import Reflections
from lowrank_blocks.linalg.sources import Source, unit
from lowrank_blocks.linalg.stacks import leading_eigenpairs

Array = NDArray[np.float64]
Space = tuple[NDArray[Any], NDArray[Any]]  # an orthonormal basis, and its images
Step = tuple[Space, NDArray[Any]]  # and the upper half of the product of both

_FLAT = 4.0  # Rayleigh quotients of the first block, over the mean of all, below which none converges soon
_HOPELESS = 0.05  # residuals, relative to the last value, that are too large to become small soon
_AIM = 0.01  # of the energy that may be missed; single precision does not get there
_PASSES = 4  # over the basis, for images that it spans up to rounding
_FLOOR = 4.0  # residuals that no iteration makes smaller, in units of rounding of the energy
_NOTHING = 64.0  # energy left that is nothing but rounding, in the same units


@dataclass(frozen=True)
class Ritz:
    """Approximate leading eigenpairs of the Gram matrix of a source.

    Attributes
    ----------
    vectors : (k, r) array
        Orthonormal to the precision of the source.
    values : (r,) array
        Rayleigh quotients, descending.
    following : float
        The Rayleigh quotient that comes next.
    residuals : (r,) array
        Norm of what each vector lacks to be an eigenvector.
    left : float
        Energy of the block less that of the values.
    spare : float
        Half of the energy that may be missed.
    space : (array, array)
        The orthonormal basis of the Krylov space, (k, d), and its images.
    width : int
        Number of columns of its last block.
    by_rows : bool
        Whether the Gram matrix was not formed.
    converged : bool
        Whether no more of it is missed, if no eigenvalue was overlooked; or no iteration would help.
    """

    vectors: NDArray[Any]
    values: Array
    following: float
    residuals: Array
    left: float
    spare: float
    space: Space
    width: int
    by_rows: bool
    converged: bool = False

    @property
    def ceilings(self) -> tuple[float, float]:
        """Bounds on the eigenvalues of the complement that may be proved.

        One is between the values on both sides of the rank, one above them by a part of the energy to spare.
        """
        last = float(self.values[-1])
        return (last + self.following) / 2, last + self.spare / (4 * len(self.values))

    def stands_out(self, shape: tuple[int, int]) -> bool:
        """Whether the last value is above those of noise of the energy that is left, which hardly differ.

        The largest is at the edge of the law of Marchenko and Pastur, doi 10.1070/SM1967v001n04ABEH001994.
        """
        side, length = shape
        return float(self.values[-1]) * side > (1 + math.sqrt(side / length)) ** 2 * self.left

    def suffices(self, ceiling: float, rounding: float = 0.0) -> bool:
        """Whether a bound that can be proved to within rounding shows that little energy is missed."""
        between = ceiling > 0 and ceiling - rounding >= self.following
        return between and self.missed(ceiling + rounding) <= self.spare

    def missed(self, beyond: float) -> float:
        """Return the energy that is missed at most if no eigenvalue of the complement exceeds a bound."""
        return missed_energy(self.values, self.residuals, beyond)


def leading_ritz(
    source: Source,
    rank: int,
    tolerance: float,
    *,
    by_rows: bool = False,
    stop: Callable[[Array], bool] = lambda _: False,
) -> Ritz | None:
    """Return the leading eigenpairs of a Gram matrix, or those it has if they converge slowly.

    Parameters
    ----------
    source : Source
        The block.
    rank : int
        Number of pairs.
    tolerance : float
        Error of the square root of the energy left that is aimed at, relative to that of the trace.
    by_rows : bool, optional
        Whether the Gram matrix is not formed.
    stop : callable, optional
        Called with the leading values whenever convergence is tested; True ends the iteration.

    Returns
    -------
    Ritz or None
        None if the Krylov space has no room for so many, or no eigenvalues stand out.
    """
    ritz, noise, aim = None, unit(source.rows.dtype) * source.energy, 1.0 if source.single else _AIM
    looks = Looks(len(source.rows), rank, single=source.single)
    if looks.at > looks.most:
        return None
    for space, inner in _krylov(source, looks.width, looks.most, by_rows=by_rows, powers=looks.powers):
        columns = len(inner)
        if columns < looks.at:
            continue
        ritz = _rayleigh_ritz(space, inner, looks, source.energy, tolerance, by_rows)
        if stop(ritz.values) or not (source.single or ritz.stands_out(source.shape)):
            break
        coupled = float(np.linalg.norm(ritz.residuals))
        floored = coupled <= _FLOOR * noise and not (source.single and columns < looks.judged)
        done = floored or ritz.left <= _NOTHING * noise
        missed, goal = min(map(ritz.missed, ritz.ceilings)), aim * ritz.spare
        if done or missed <= goal:
            return replace(ritz, converged=True)
        if looks.end(columns, missed, goal, hopeless=coupled > _HOPELESS * ritz.values[-1]):
            break
    return ritz


def _rayleigh_ritz(
    space: Space, inner: NDArray[Any], looks: Looks, energy: float, tolerance: float, by_rows: bool
) -> Ritz:
    """Return the leading Ritz pairs of a Krylov space."""
    (basis, images), rank = space, looks.rank
    values, rotation = _largest(inner, rank + 1)
    turn, kept = rotation[:, :rank], values[:rank]
    vectors = basis @ turn
    beside = images @ turn - vectors * kept
    left = max(energy - float(kept.sum(dtype=np.float64)), 0.0)
    return Ritz(
        vectors=vectors,
        values=kept.astype(np.float64),
        following=float(values[rank]),
        residuals=np.sqrt(np.einsum("ij,ij->j", beside, beside)).astype(np.float64),
        left=left,
        spare=tolerance * math.sqrt(energy * left),
        space=space,
        width=looks.width,
        by_rows=by_rows,
    )


def _krylov(source: Source, width: int, most: int, *, by_rows: bool, powers: int = 1) -> Iterator[Step]:
    """Yield orthonormal bases of a block Krylov space, each a block longer, and their images.

    The first block is spanned by a power of the Gram matrix times some columns.

    Up to rounding only the last two blocks of a basis overlap the image of its last block, so that no
    other part of the product of basis and images is computed.
    """
    (side, _), dtype = source.shape, source.rows.dtype
    basis = np.empty((side, most), dtype, order="F")  # untouched columns take no memory
    images, inner = np.empty_like(basis), np.zeros((most, most), dtype)
    reflections = Reflections(basis.T.reshape(-1, width, side))
    start, image = basis[:, :width], images[:, :width]
    times = source.product(start, by_rows=by_rows)
    start[...] = _start(side, width)
    for power in range(powers + 1):
        times(start, image)
        if power == 1 and np.vdot(start.T, image.T) * side < _FLAT * width * source.energy:
            return
        if power < powers:
            start[...] = image
            reflections.orthonormalise(0)
    for done in range(width, most + 1, width):
        first, last = max(done - 2 * width, 0), slice(done - width, done)
        known, image, near = basis[:, :done], images[:, last], inner[first:done, last]
        if done > width:
            times(basis[:, last], image)
        np.matmul(basis[:, first:done].T, image, out=near)
        yield (known, images[:, :done]), inner[:done, :done]
        if done < most:
            block = basis[:, done : done + width].T  # by rows, which lie in memory one after another
            np.subtract(image.T, near.T @ known[:, first:].T, out=block)
            reflections.orthonormalise(done // width)
            _make_orthogonal(known, block, reflections, done // width)


@lru_cache(maxsize=8)
def _start(side: int, width: int) -> Array:
    """Return the columns whose images are the first block."""
    columns = np.random.default_rng(0).standard_normal((side, width))
    columns.flags.writeable = False
    return columns


def _make_orthogonal(basis: NDArray[Any], rows: NDArray[Any], reflections: Reflections, item: int) -> None:
    """Make orthonormal rows orthogonal to a basis, too; they are an item of what is reflected."""
    for _ in range(_PASSES):
        overlap = rows @ basis
        rows -= overlap @ basis.T
        if np.vdot(overlap, overlap) <= unit(basis.dtype):  # columns are shortened by the square of it
            break
        reflections.orthonormalise(item)


def _largest(matrix: NDArray[Any], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the largest eigenvalues, descending, and eigenvectors of a small symmetric matrix.

    Its upper half is read.
    """
    if matrix.dtype == np.float32:  # whose vectors are made orthonormal once more
        values, vectors = leading_eigenpairs(matrix[None].copy(), count)
        return values[0], vectors[0]
    values, vectors = eigenpairs(matrix, upper=True)
    return values[: -count - 1 : -1], vectors[:, : -count - 1 : -1]
