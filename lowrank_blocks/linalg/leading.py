"""Leading factors of one block by the cheapest method that can be proved right, else by LAPACK's SVD.

All methods find an orthonormal basis of the smaller side and project the block on it, so that the
factors are as good as the subspace, whatever the accuracy of the singular values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.bounds import (
    energy_missed,
    error_of_root,
    lapack_norm,
    leading_sum,
    residual_rounding,
)
from lowrank_blocks.linalg.eigen import Tridiagonal
from lowrank_blocks.linalg.energies import energy, energy_rounding
from lowrank_blocks.linalg.gram import gram, residual, residual_norm
from lowrank_blocks.linalg.krylov import Ritz, leading_ritz, missed_energy
from lowrank_blocks.linalg.lapack import eigenpairs, orthonormal_columns
from lowrank_blocks.linalg.narrow import Single, leading_subspace, missed_beside
from lowrank_blocks.linalg.projection import Projection, coupling, projected
from lowrank_blocks.linalg.svd import lapack_svd, svd_method

Array = NDArray[np.float64]

# Crossovers, in entries of the smaller side and in ranks; tests/benchmarks/crossovers.py measures them.
SVD_BELOW = 64  # sides below this: LAPACK's SVD
LANCZOS_FROM = 512  # sides from this on: Lanczos ...
NARROW_LANCZOS_FROM = 1024  # ... those of narrow sources, which have the way of single precision ...
LANCZOS_SHARE = 16  # ... for ranks up to side / this
SUBSET_SHARE = 3  # ranks up to side / this: some eigenvectors of the Gram matrix; beyond: all

_RELIABLE = 1e-6  # squares, relative to the largest, whose vectors a Gram matrix resolves well
_SPARE = 1e-3  # of the tolerance: what an error may be off so that no residual has to be formed
_ROUNDING = 1e-12  # squares left, relative to all, that may be nothing but rounding


@dataclass(frozen=True)
class Known:
    """The least error of a block at the rank that is asked for, where a spectrum determines it."""

    error: float
    bound: float


@dataclass(frozen=True)
class Leading:
    """The best approximation of a (k, l) block.

    Attributes
    ----------
    part : Projection
        Its leading singular vectors and values.
    error : float
        Frobenius norm of what is left.
    excess : float
        Bound on how far `error` is above the least possible.
    method : str
        ``"lapack"``, ``"norm"``, ``"gram"``, ``"single"`` or ``"lanczos"``.
    """

    part: Projection
    error: float
    excess: float
    method: str


def leading(
    rows: Array, rank: int, tolerance: float, known: Known | None = None, narrow: Single | None = None
) -> Leading:
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
    narrow : (k, l) array, optional
        The same block in float32, where it is no less exact.
    """
    side = len(rows)
    if side < SVD_BELOW or rank == side:
        return _by_svd(rows, rank)
    question = _Question(rows, rank, tolerance, known)
    matrix, lanczos_from = None, LANCZOS_FROM if narrow is None else NARROW_LANCZOS_FROM
    if side >= lanczos_from and rank * LANCZOS_SHARE <= side:
        matrix = gram(rows, both_halves=True)
        found = _by_lanczos(question, matrix)
        if found is not None:
            return found
    if narrow is not None and rank * SUBSET_SHARE <= side:
        found = _by_single(question, narrow)
        if found is not None:
            return found
    matrix = gram(rows) if matrix is None else matrix
    try:
        values, vectors = _top_eigenpairs(matrix, rank)
    except np.linalg.LinAlgError:
        return _by_svd(rows, rank)
    found = question.certified(vectors, "gram", lambda made: question.missed(made.error, values))
    return found or _by_deflation(question, values, vectors) or _by_svd(rows, rank)


class _Question:
    """A block, the rank that is asked for, and what an answer must satisfy."""

    def __init__(self, rows: Array, rank: int, tolerance: float, known: Known | None) -> None:
        self.rows, self.rank, self.tolerance, self.known = rows, rank, tolerance, known
        self.norm = math.sqrt(energy(rows))

    def certified(self, vectors: Array, method: str, missed: Callable[[Leading], float]) -> Leading | None:
        """Project the block on orthonormal columns; None if no proof of their excess suffices.

        `missed` bounds the energy that they can have missed. It is called only if the other proofs do not
        suffice, as it may cost most.
        """
        made = self.project(vectors, method)
        excess = min(made.error, self._against_known(made.error), self.by_coupling(made))
        if excess + made.excess > self.tolerance * self.norm:
            excess = _excess(made.error**2, missed(made))
        made = replace(made, excess=made.excess + excess)
        return made if made.excess <= self.tolerance * self.norm else None

    def project(self, vectors: Array, method: str) -> Leading:
        """Project the block on orthonormal columns.

        Its excess counts how far they are from orthonormal, and what rounding adds to the error.
        """
        part = projected(self.rows, vectors)
        skew = float(np.linalg.norm(part.basis.T @ part.basis - np.eye(len(part.values))))
        left = max(0.0, self.norm**2 - float(np.square(part.values).sum()))
        rounding = _excess(left, self._energy_rounding(part, skew))
        if rounding <= _SPARE * self.tolerance * self.norm:
            return Leading(part, math.sqrt(left), rounding, method)
        error = residual_norm(self.rows, part.basis, part.values[:, None] * part.rows)
        rounding = residual_rounding(error, self.norm, len(part.values))
        return Leading(part, error, self.norm * skew + rounding, method)

    def _energy_rounding(self, part: Projection, skew: float) -> float:
        """Bound what rounding adds to the energy of the block less that of a part."""
        product = residual_rounding(0.0, self.norm, len(part.values))
        moved = skew * self.norm + product + lapack_norm(self.norm, part.rows.shape)
        return float(energy_rounding(self.norm**2) + 2 * self.norm * moved)

    def missed(self, error: float, squares: Array) -> float:
        """Bound the energy missed by factors that leave this error, from the leading eigenvalues."""
        return float(energy_missed(error, self.norm**2, squares, self.rows.shape, self.rank))

    def slack(self, squares: Array) -> float:
        """Bound what rounding adds to the energy of leading eigenvalues."""
        return float(leading_sum(self.norm**2, squares, self.rows.shape, self.rank))

    def is_too_fine(self, squares: Array) -> bool:
        """Whether these eigenvalues leave more than rounding, but too little for a Gram matrix to resolve."""
        left = self.norm**2 - float(squares.sum())
        if self.known or left <= max(float(squares[-1]), _ROUNDING * self.norm**2):
            return False
        return _excess(left, 2 * self.slack(squares)) > self.tolerance * self.norm

    def by_coupling(self, made: Leading) -> float:
        """Bound the excess where the values found are above the norm of all that is left.

        See `coupling`: without C the best errors would be those of H, at the rank less the size of S.
        """
        if made.part.values[-1] < made.error:
            return np.inf
        rounding = float(lapack_norm(self.norm, self.rows.shape)) + 2 * made.part.skew * self.norm
        return 2 * (coupling(self.rows, made.part) + rounding)

    def _against_known(self, error: float) -> float:
        return max(0.0, error - self.known.error + self.known.bound) if self.known else np.inf


def _by_single(question: _Question, narrow: Single) -> Leading | None:
    """Find the vectors in single precision; None if no proof suffices."""
    try:
        found = leading_subspace(narrow, question.rank, question.norm**2)
        return question.certified(
            found.columns,
            "single",
            lambda made: missed_beside(question.rows, made.part, question.norm, found.beyond),
        )
    except np.linalg.LinAlgError:
        return None


def _by_lanczos(question: _Question, matrix: Array) -> Leading | None:
    """Solve by Lanczos; None if it does not converge.

    Where the next method would fail as well, the dominant values are split off. The upper half of the
    Gram matrix is left as it is.
    """
    ritz = leading_ritz(matrix, question.rank, question.tolerance, question.is_too_fine)
    if ritz is None:
        return None
    if ritz.converged:
        return question.certified(ritz.vectors, "lanczos", lambda _: _missed(question, matrix, ritz))
    if question.is_too_fine(ritz.values):
        return _by_deflation(question, ritz.values, ritz.vectors)
    return None


def _by_deflation(question: _Question, squares: Array, vectors: Array) -> Leading | None:
    """Split off the dominant values, and solve the rest separately, where a Gram matrix resolves more.

    By `_Question.by_coupling` the least error of the block is that of the rest, at the rank that is left.
    """
    first = _dominant_count(squares, question.norm**2)
    if first == 0:
        return None
    head = question.project(vectors[:, :first], "gram")
    uncertain = head.excess + question.by_coupling(head)
    allowed = question.tolerance * question.norm
    if uncertain > allowed / 2 or head.error <= allowed:
        return None
    part = head.part
    rest = residual(question.rows, part.basis, part.values[:, None] * part.rows)
    tail = leading(rest, question.rank - first, allowed / (4 * head.error))
    proved = Known(tail.error, tail.excess + uncertain)
    basis = orthonormal_columns(np.hstack([part.basis, tail.part.basis]))
    return _Question(question.rows, question.rank, question.tolerance, proved).certified(
        basis, tail.method, lambda _: np.inf
    )


def _dominant_count(squares: Array, energy: float) -> int:
    """Return how many of the values, but not all, are well above the norm of all that they leave."""
    left = energy - np.cumsum(squares)
    dominant = (squares >= 4 * left) & (squares >= _RELIABLE * squares[0])
    return int(np.max(np.flatnonzero(dominant[:-1]) + 1, initial=0))


def _excess(left: float, missed: float) -> float:
    """Bound the excess of an error, ``sqrt(left)``, from the energy missed."""
    return float(error_of_root(np.array([left]), np.array([missed]))[0])


def _missed(question: _Question, matrix: Array, ritz: Ritz) -> float:
    return missed_energy(matrix, ritz, question.rows.shape, question.tolerance)


def _by_svd(rows: Array, rank: int) -> Leading:
    u, s, vt = lapack_svd(rows)
    excess = 2 * lapack_norm(float(np.linalg.norm(s)), rows.shape)
    part = Projection(u[:, :rank], s[:rank], vt[:rank])
    return Leading(part, float(np.linalg.norm(s[rank:])), excess, svd_method(rows.shape))


def _top_eigenpairs(matrix: Array, rank: int) -> tuple[Array, Array]:
    """Return the leading eigenvalues and eigenvectors of a Gram matrix, descending, from its upper half."""
    if rank * SUBSET_SHARE <= len(matrix):
        reduced = Tridiagonal(matrix)
        return reduced.values[:rank], reduced.vectors(0, rank)
    values, vectors = eigenpairs(matrix, upper=True)
    return values[: -rank - 1 : -1], vectors[:, : -rank - 1 : -1]
