"""What is certified of a matrix and its approximations, checked in long doubles.

Families of hard matrices give a `Case` with the least errors of its blocks; nothing here calls the package
but to ask it. Where long doubles are no longer than doubles, nothing can be judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import numpy as np

import lowrank_blocks as lb
from lowrank_blocks.linalg import leading

LONG = np.longdouble


@dataclass(frozen=True)
class Case:
    """A matrix, where its blocks are, ranks to ask for, and the least errors of any block at its ranks."""

    name: str
    matrix: np.ndarray
    structure: lb.Structure
    ranks: list[list[int]]
    tails: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Verdict:
    """What does not hold of one result, how far above the optimum it is, and its relative bound."""

    broken: list[str]
    excess: float
    bound: float


def verdicts(case: Case, lanczos_from: int | None = None) -> list[Verdict]:
    """Return the verdicts on spectra and factors; Lanczos begins at sides of `lanczos_from`."""
    before = leading.LANCZOS_FROM, leading.SINGLE_FROM
    if lanczos_from is not None:
        leading.LANCZOS_FROM = leading.SINGLE_FROM = lanczos_from
    try:
        truth = _Truth(case)
        return [verdict for ranks in case.ranks for verdict in _verdicts(case, truth, ranks)]
    finally:
        leading.LANCZOS_FROM, leading.SINGLE_FROM = before


class _Truth:
    """The norm and the least errors of a case."""

    def __init__(self, case: Case) -> None:
        outside = case.matrix.astype(LONG)
        places = case.structure.layout(case.matrix.shape).cells()
        self._tails = [case.tails(case.matrix[place.index]) for place in places]
        for place in places:
            outside[place.index] = 0
        self._outside = np.square(outside).sum()
        self.norm = self.least([0] * len(places))

    def least(self, ranks: list[int]) -> np.floating:
        tails = (tail[rank] ** 2 for tail, rank in zip(self._tails, ranks, strict=True))
        return np.sqrt(self._outside + sum(tails))


def _verdicts(case: Case, truth: _Truth, ranks: list[int]) -> list[Verdict]:
    parts = lb.decompose(case.matrix, case.structure)
    made = [parts.truncate(ranks)]
    if len(set(ranks)) == 1:
        budget = int(parts.costs @ ranks)
        made.append(lb.approximate(case.matrix, case.structure, budget, allocate=lb.uniform))
    assert all(m.ranks.tolist() == ranks for m in made)
    least, norm = truth.least(ranks), truth.norm
    off = abs(parts.error(ranks) - least), abs(parts.relative_error(ranks) - least / norm)
    found = [_verdict(parts.accuracy, *off, LONG(0), norm)]
    for result in made:
        off = abs(result.error - least), abs(result.relative_error - least / norm)
        found.append(_verdict(result.accuracy, *off, true_error(case.matrix, result) - least, norm))
    return found


def _verdict(accuracy, off, relative_off, excess, norm):
    claims = {
        "error": off <= accuracy.bound,
        "relative error": relative_off <= accuracy.relative_bound,
        "factors": excess <= accuracy.bound,
        "promise": max(excess / norm, accuracy.relative_bound) <= 1e-10,
    }
    broken = [name for name, holds in claims.items() if not holds]
    return Verdict(broken, float(excess / norm), accuracy.relative_bound)


def true_error(matrix: np.ndarray, made: lb.Approximation) -> np.floating:
    """Return what factors truly leave."""
    rest = matrix.astype(LONG)
    for block, (b, a) in zip(made.blocks, made.factors, strict=True):
        rest[block.index] -= b.astype(LONG) @ a.astype(LONG)
    return np.sqrt(np.square(rest).sum())


def tails_of_constant(block: np.ndarray) -> np.ndarray:
    """Return the least errors of a block whose entries are all equal."""
    tails = np.zeros(min(block.shape) + 1, LONG)
    tails[0] = abs(LONG(block[0, 0])) * np.sqrt(LONG(block.size))
    return tails


def tails_of_few_kinds(block: np.ndarray) -> np.ndarray:
    """Return the least errors of a block with a few distinct rows and columns, from 50 digits.

    Equal rows are one row times the root of their number.
    """
    _, rows, row_counts = np.unique(block, axis=0, return_index=True, return_counts=True)
    _, cols, col_counts = np.unique(block, axis=1, return_index=True, return_counts=True)
    with mpmath.workdps(50):
        core = mpmath.matrix(block[np.ix_(rows, cols)].tolist())
        for i, a in enumerate(row_counts.tolist()):
            for j, b in enumerate(col_counts.tolist()):
                core[i, j] *= mpmath.sqrt(a * b)
        core = core if core.rows <= core.cols else core.T
        squares = sorted((s**2 for s in mpmath.svd_r(core, compute_uv=False)), reverse=True)
        tails = [to_long(mpmath.sqrt(mpmath.fsum(squares[r:]))) for r in range(len(squares))]
    return np.array(tails + [LONG(0)] * (min(block.shape) - len(tails) + 1))


def to_long(number: mpmath.mpf) -> np.floating:
    """Return a number of 50 digits as a long double; in a context of as many digits."""
    high = float(number)
    return LONG(high) + LONG(float(number - high))


def tails_by_refinement(block: np.ndarray, lead: int) -> np.ndarray:
    """Return the least errors at ranks 0 to `lead`, where so many values are well above all others.

    The leading vectors of LAPACK are refined once; the squares are those of what they leave, and of
    their coordinates.
    """
    exact = block.astype(LONG)
    vectors = np.linalg.svd(block, full_matrices=False)[0][:, :lead].astype(LONG)
    vectors = _orthonormal(exact @ (exact.T @ vectors))
    coordinates = vectors.T @ exact
    left = np.square(exact - vectors @ coordinates).sum()
    squares = np.sort(_eigenvalues(coordinates @ coordinates.T))[::-1]
    return np.sqrt(np.append(left + np.cumsum(squares[::-1])[::-1], left))


def tails_by_rotations(block: np.ndarray) -> np.ndarray:
    """Return all least errors by a one-sided Jacobi SVD, for small sides."""
    rows = block.astype(LONG) if block.shape[0] <= block.shape[1] else block.T.astype(LONG)
    start = np.linalg.svd(rows.astype(float), full_matrices=False)[0]
    rows = _orthonormal(start.astype(LONG)).T @ rows
    for _ in range(30):
        worst = 0.0
        for p in range(len(rows) - 1):
            for q in range(p + 1, len(rows)):
                inner, squares = rows[p] @ rows[q], np.square(rows[[p, q]]).sum(axis=1)
                if inner == 0:
                    continue
                worst = max(worst, float(abs(inner) / np.sqrt(squares.prod())))
                rows[[p, q]] = _turn(inner, *squares).T @ rows[[p, q]]
        if worst <= 1e-17:
            break
    squares = np.sort(np.square(rows).sum(axis=1))[::-1]
    return np.sqrt(np.append(np.cumsum(squares[::-1])[::-1], 0))


def _turn(inner, first, second):
    """Return the rotation that makes a 2×2 symmetric matrix diagonal."""
    angle = np.arctan2(2 * inner, first - second) / 2
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _orthonormal(columns):
    """Return an orthonormal basis by Gram-Schmidt, twice."""
    basis = columns / np.sqrt(np.square(columns).sum(axis=0))
    for _ in range(2):
        for k in range(basis.shape[1]):
            basis[:, k] -= basis[:, :k] @ (basis[:, :k].T @ basis[:, k])
            basis[:, k] /= np.sqrt(np.square(basis[:, k]).sum())
    return basis


def _eigenvalues(matrix):
    """Return the eigenvalues of a symmetric matrix by rotations, in its own precision."""
    a = matrix.copy()
    for _ in range(30):
        if np.abs(np.triu(a, 1)).max(initial=0) <= np.finfo(a.dtype).eps * np.abs(a).max():
            break
        for p in range(len(a) - 1):
            for q in range(p + 1, len(a)):
                turn = _turn(a[p, q], a[p, p], a[q, q])
                a[:, [p, q]] = a[:, [p, q]] @ turn
                a[[p, q]] = turn.T @ a[[p, q]]
    return np.diag(a).copy()
