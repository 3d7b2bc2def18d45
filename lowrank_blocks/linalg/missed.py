"""How much energy columns miss: from what couples them to the rest, and what the rest can hold."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.bounds import lapack_norm, residual_rounding
from lowrank_blocks.linalg.gram import times
from lowrank_blocks.linalg.projection import Projection

Array = NDArray[np.float64]


def missed_energy(squares: Array, coupled: float, beyond: float) -> float:
    """Bound the energy that the leading eigenvectors of a Gram matrix hold beyond some columns.

    Parameters
    ----------
    squares : (r,) array
        Rayleigh quotients of the columns, descending.
    coupled : float
        Frobenius norm of what the columns lack to span eigenvectors.
    beyond : float
        Bound on the eigenvalues of the matrix on the complement of the columns.

    Returns
    -------
    float
        The theorem of docs/theory/certified-spectra.md, "What the rest can hold"; infinite if `beyond` is.
    """
    above = np.maximum(beyond - squares, 0.0)
    apart, even = float(squares[-1]) - beyond, coupled / math.sqrt(len(squares))
    found = float(above.sum()) + 2 * even * len(squares)
    return min(found, coupled**2 / apart) if apart > 0 else found


def missed_beside(
    rows: Array,
    part: Projection,
    norm: float,
    beyond: float,
    *,
    of_next: bool = False,
    rank: int | None = None,
) -> float:
    """Bound the energy that the leading values of a part of a (k, l) block miss.

    Parameters
    ----------
    rows : (k, l) array
        The block.
    part : Projection
        Its projection on some columns.
    norm : float
        Frobenius norm of the block.
    beyond : float
        Bound on the eigenvalues of its Gram matrix on the complement of the columns.
    of_next : bool, optional
        Whether `beyond` bounds instead the eigenvalue that follows as many as there are columns.
    rank : int, optional
        How many values; by default all that the part has.
    """
    squares, top = np.square(part.values), float(part.values[0])
    beside = (times(rows, part.rows.T) - part.basis * part.values) * part.values
    coupled = float(np.linalg.norm(beside)) + residual_rounding(0.0, norm, len(squares)) * top
    if of_next:
        beyond = beyond + coupled if squares[-1] > beyond + coupled else float("inf")
    rounding = (2 * float(lapack_norm(norm, part.rows.shape)) + part.skew * top) * top
    return missed_energy(squares[:rank], coupled, beyond + rounding)
