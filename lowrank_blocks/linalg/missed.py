"""How much energy columns miss: from what couples them to the rest, and what the rest can hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.bounds import added, lapack_norm, residual_rounding
from lowrank_blocks.linalg.energies import UNIT
from lowrank_blocks.linalg.gram import longest_sum, times
from lowrank_blocks.linalg.projection import Projection
from lowrank_blocks.linalg.sources import unit

Array = NDArray[np.float64]


def missed_energy(squares: Array, coupled: Array, beyond: float, rank: int | None = None) -> float:
    """Bound the energy that the leading eigenvectors of a Gram matrix hold beyond some columns.

    Parameters
    ----------
    squares : (n,) array
        Rayleigh quotients of the columns, descending.
    coupled : (n,) array
        Norm of what each column lacks to be an eigenvector.
    beyond : float
        Bound on the eigenvalues of the matrix on the complement of the columns.
    rank : int, optional
        How many eigenvectors; by default as many as there are columns.

    Returns
    -------
    float
        The theorem of docs/theory/certified-spectra.md, "What the rest can hold"; infinite if `beyond` is.
    """
    leading = squares[:rank]
    even, least = math.sqrt(np.vdot(coupled, coupled) / len(squares)), float(leading[-1]) - beyond
    alike = even * len(squares)  # and more, where values are below the bound
    apart = float(np.vdot(coupled, coupled / np.maximum(squares - beyond, least))) if least > 0 else math.inf
    if apart <= alike:
        return apart
    return min(apart, alike + float(np.maximum(beyond + even - leading, 0.0).sum()))


def missed_beside(
    rows: NDArray[Any],
    part: Projection,
    norm: float,
    beyond: float,
    *,
    of_next: bool = False,
    rank: int | None = None,
    dtype: Any = np.float64,
) -> float:
    """Bound the energy that the leading values of a part of a (k, l) block miss.

    Parameters
    ----------
    rows : (k, l) array
        The block, of float64 or float32.
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
    dtype : dtype, optional
        Precision of the product that shows how far columns are from eigenvectors: no less than the block's.
    """
    squares, top = np.square(part.values), float(part.values[0])
    columns = part.rows.T.astype(dtype, copy=False)
    beside = times(rows, columns) - part.basis * part.values
    alike = added(rows.shape[1], longest_sum(rows, columns))
    units = residual_rounding(0.0, norm, len(squares)) / UNIT + (alike + 1) * part.values
    lengths = np.sqrt(np.einsum("ij,ij->j", beside, beside)) + unit(dtype) * units
    coupled = lengths * part.values
    if of_next:
        beyond += float(np.linalg.norm(coupled))
        beyond = beyond if squares[-1] > beyond else math.inf
    rounding = (2 * float(lapack_norm(norm, part.rows.shape)) + part.skew * top) * top
    return missed_energy(squares, coupled, beyond + rounding, rank)
