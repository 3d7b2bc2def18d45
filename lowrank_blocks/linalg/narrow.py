"""Leading vectors of blocks of float32: found in single precision, and proved in double.

Single precision gives vectors that are right in seven digits. The energy that they miss is of the order of
the square of their error, so that it is far below what float32 factors are promised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.bounds import eigen_sum, residual_rounding
from lowrank_blocks.linalg.energies import UNIT
from lowrank_blocks.linalg.gram import gram, times
from lowrank_blocks.linalg.lapack import orthonormal_columns
from lowrank_blocks.linalg.projection import Projection
from lowrank_blocks.linalg.stacks import leading_eigenpairs

Array = NDArray[np.float64]
Single = NDArray[np.float32]

_UNITS = 2.0**-24 / UNIT  # rounding of float32 in units of that of float64
_MODERATE = 10  # fourth powers of norms up to 2**10 do not overflow, and those from 2**-10 do not vanish


@dataclass(frozen=True)
class Subspace:
    """Orthonormal columns, (k, r), and an upper bound on eigenvalue ``r + 1`` of the Gram matrix."""

    columns: Array
    beyond: float


def leading_subspace(block: Single, rank: int, energy: float) -> Subspace:
    """Return the leading eigenvectors of the Gram matrix of a block, computed in single precision.

    Parameters
    ----------
    block : (k, l) array
        Of float32, not zero, smaller side first.
    rank : int
        Below k.
    energy : float
        Sum of the squares of all entries.

    Raises
    ------
    numpy.linalg.LinAlgError
        If LAPACK does not find them.
    """
    exponent = math.frexp(energy)[1] // 2
    exponent = exponent if abs(exponent) > _MODERATE else 0
    rows = np.ldexp(block, -exponent) if exponent else block
    squares, vectors = leading_eigenpairs(gram(rows)[None], rank + 1)
    values = np.ldexp(squares[0].astype(np.float64), 2 * exponent)
    top = np.sqrt(np.maximum(values[:1], 0.0))
    slack = _UNITS * float(eigen_sum(top, energy, block.shape, 1)[0])
    columns = orthonormal_columns(vectors[0, :, :rank].astype(np.float64))
    return Subspace(columns, float(values[rank]) + slack)


def missed_beside(rows: Array, part: Projection, norm: float, beyond: float) -> float:
    """Bound the energy that a part of a (k, l) block misses, from the next eigenvalue of its Gram matrix.

    Parameters
    ----------
    rows : (k, l) array
        The block.
    part : Projection
        Its projection on some columns.
    norm : float
        Frobenius norm of the block.
    beyond : float
        Bound on the eigenvalue of the Gram matrix that follows as many as the part has values.

    Returns
    -------
    float
        Proof 5 of docs/theory/certified-spectra.md; infinite where it does not apply.
    """
    beside = (times(rows, part.rows.T) - part.basis * part.values) * part.values
    rounding = residual_rounding(0.0, norm, len(part.values)) * float(part.values[0])
    size = float(np.linalg.norm(beside)) + rounding
    apart = float(part.values[-1]) ** 2 - beyond - 2 * size
    return size**2 / apart if apart > 0 else math.inf
