"""Leading factors of one block by the cheapest method that can be proved right, else by LAPACK's SVD.

All methods find an orthonormal basis of the smaller side and project the block on it, so that the
factors are as good as the subspace, whatever the accuracy of the singular values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.spectra.bounds import UNIT, eigen_sum, error_of_root, lapack_norm, root
from lowrank_blocks.spectra.eigen import top_eigenpairs
from lowrank_blocks.spectra.gram import gram, residual_norm
from lowrank_blocks.spectra.krylov import Ritz, leading_ritz, missed_energy
from lowrank_blocks.spectra.lapack import lapack_svd

Array = NDArray[np.float64]

# Crossovers, in entries of the smaller side and in ranks; tests/benchmarks/crossovers.py measures them.
SVD_BELOW = 64  # sides below this: LAPACK's SVD
LANCZOS_FROM = 512  # sides from this on: Lanczos ...
LANCZOS_SHARE = 12  # ... for ranks up to side / this
SUBSET_SHARE = 5  # ranks up to side / this: some eigenvectors of the Gram matrix; beyond: all

_COUPLING = 8.0  # rounding of the coupling block, in units of root * UNIT * norm


@dataclass(frozen=True)
class Known:
    """The least error of a block at the rank that is asked for, where a spectrum tells it."""

    error: float
    bound: float


@dataclass(frozen=True)
class Leading:
    """The best approximation of a (k, l) block: ``basis @ (values[:, None] * rows)``.

    Attributes
    ----------
    basis, values, rows : arrays
        Orthonormal columns, (k, r); singular values, (r,); orthonormal rows, (r, l).
    error : float
        Frobenius norm of what is left.
    excess : float
        Bound on how far `error` is above the least possible.
    method : str
        ``"lapack"``, ``"gram"`` or ``"lanczos"``.
    """

    basis: Array
    values: Array
    rows: Array
    error: float
    excess: float
    method: str


def leading(rows: Array, rank: int, tolerance: float, known: Known | None = None) -> Leading:
    """Return the best approximation of a block, smaller side first, with a proof of its excess.

    Parameters
    ----------
    rows : (k, l) array
        Nonzero block, ``k <= l``, whose squares neither overflow nor vanish.
    rank : int
        From 1 to k.
    tolerance : float
        Excess, relative to the norm of the block, beyond which LAPACK's SVD is called.
    known : Known, optional
        The least error; without it the excess is proved from the factors alone.
    """
    side = len(rows)
    if side < SVD_BELOW or rank == side:
        return _by_svd(rows, rank)
    question = _Question(rows, rank, tolerance, known)
    matrix = gram(rows, both_halves=True)
    if side >= LANCZOS_FROM and rank * LANCZOS_SHARE <= side:
        ritz = leading_ritz(matrix, rank, tolerance)
        if ritz is not None:
            found = question.judged(ritz.vectors, "lanczos", lambda: _missed(question, matrix, ritz))
            if found is not None:
                return found
            matrix = gram(rows, both_halves=True)
    try:
        values, vectors = _top_eigenpairs(matrix, rank)
    except np.linalg.LinAlgError:
        return _by_svd(rows, rank)
    return question.judged(vectors, "gram", lambda: question.slack(values[:1])) or _by_svd(rows, rank)


class _Question:
    """A block, the rank that is asked for, and what an answer must satisfy."""

    def __init__(self, rows: Array, rank: int, tolerance: float, known: Known | None) -> None:
        self.rows, self.rank, self.tolerance, self.known = rows, rank, tolerance, known
        self.norm = float(np.sqrt(np.vdot(rows, rows)))

    def judged(self, vectors: Array, method: str, missed: Callable[[], float]) -> Leading | None:
        """Project the block on orthonormal columns; None if no proof of their excess suffices.

        The proof by the energy that they can have missed, the dearest, is called only if need be.
        """
        rotation, values, right = lapack_svd(vectors.T @ self.rows)
        basis = vectors @ rotation
        error = residual_norm(self.rows, basis, values[:, None] * right)
        loss = self.norm * float(np.linalg.norm(basis.T @ basis - np.eye(self.rank)))
        excess = min(error, self._against_known(error), self._by_coupling(basis, values, right, error))
        if excess + loss > self.tolerance * self.norm:
            energy, slack = np.square(np.array([error])), np.array([missed()])
            excess = float(error_of_root(energy, slack)[0])
        if not excess + loss <= self.tolerance * self.norm:
            return None
        return Leading(basis, values, right, error, excess + loss, method)

    def slack(self, largest: Array) -> float:
        """Bound the energy missed by eigenvectors that LAPACK found: twice what rounding can add."""
        top = np.sqrt(np.maximum(largest, 0.0))
        return 2 * float(eigen_sum(top, self.norm**2, self.rows.shape, self.rank)[0])

    def _against_known(self, error: float) -> float:
        return max(0.0, error - self.known.error + self.known.bound) if self.known else np.inf

    def _by_coupling(self, basis: Array, values: Array, right: Array, error: float) -> float:
        """Bound the excess where the values found are above the norm of all that is left.

        In bases that begin with the columns found and the rows found the block is
        ``[[S, 0], [C, H]]``. Without C its best error would be that of H, and C moves any best error
        by at most its norm.
        """
        if values[-1] < error:
            return np.inf
        coupling = float(np.linalg.norm(self.rows @ right.T - basis * values))
        return 2 * (coupling + _COUPLING * root(self.rows.shape) * UNIT * self.norm)


def _missed(question: _Question, matrix: Array, ritz: Ritz) -> float:
    return missed_energy(matrix, ritz, question.rows.shape, question.tolerance)


def _by_svd(rows: Array, rank: int) -> Leading:
    u, s, vt = lapack_svd(rows)
    excess = 2 * lapack_norm(float(np.linalg.norm(s)), rows.shape)
    return Leading(u[:, :rank], s[:rank], vt[:rank], float(np.linalg.norm(s[rank:])), excess, "lapack")


def _top_eigenpairs(matrix: Array, rank: int) -> tuple[Array, Array]:
    """Return the leading eigenvalues and eigenvectors of a Gram matrix, descending; in place."""
    if rank * SUBSET_SHARE <= len(matrix):
        return top_eigenpairs(matrix, rank)
    values, vectors = np.linalg.eigh(matrix)
    return values[: -rank - 1 : -1], vectors[:, : -rank - 1 : -1]
