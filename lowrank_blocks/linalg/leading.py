"""Leading factors of one block by the cheapest method that can be proved right, else by LAPACK's SVD.

All methods find an orthonormal basis of the smaller side and project the block on it, so that the
factors are as good as the subspace, whatever the accuracy of the singular values.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.beyond import bound_beyond, next_rounding
from lowrank_blocks.linalg.bounds import lapack_norm
from lowrank_blocks.linalg.eigen import Tridiagonal
from lowrank_blocks.linalg.gram import residual
from lowrank_blocks.linalg.krylov import Ritz, leading_ritz
from lowrank_blocks.linalg.lapack import eigenpairs, orthonormal_again, orthonormal_columns
from lowrank_blocks.linalg.missed import missed_beside
from lowrank_blocks.linalg.projection import Projection
from lowrank_blocks.linalg.questions import Known, Leading, Question
from lowrank_blocks.linalg.sources import Source
from lowrank_blocks.linalg.stacks import reduced
from lowrank_blocks.linalg.svd import lapack_svd, svd_method

Array = NDArray[np.float64]

# Crossovers, in entries of the smaller side and in ranks; tests/benchmarks/crossovers.py measures them.
SVD_BELOW = 64  # sides below this: LAPACK's SVD
LANCZOS_FROM = 512  # sides from this on: Lanczos ...
LANCZOS_SHARE = 16  # ... for ranks up to side / this
SINGLE_FROM = 224  # the same two in single precision
SINGLE_SHARE = 10
ROWS_FROM = 3072  # sides from this on: Lanczos without the Gram matrix in double precision ...
ROWS_SHARE = 2  # ... for blocks up to so many times as long as wide
SUBSET_SHARE = 3  # ranks up to side / this: some eigenvectors of the Gram matrix; beyond: all

_MORE = 16  # vectors beyond the rank, in single precision, where values are close: fewer than so many
_GAPS = 16.0  # roundings in the last value below which no gap beside it is expected to exceed two of them
_NOISE = 2.0**-22  # of the largest value: what rounding makes of zero in single precision
_RELIABLE = 1e-6  # squares, relative to the largest, whose vectors a Gram matrix resolves well


def leading(question: Question) -> Leading:
    """Return the best approximation of a block with a proof of its excess.

    Parameters
    ----------
    question : Question
        A block that is not zero, and a rank from 1 on. One in float32 is tried in single precision first.
    """
    block, rank = question.block, question.rank
    if len(block) < SVD_BELOW or rank == len(block):
        return _by_svd(question.rows, rank)
    found = None
    if block.dtype == np.float32:
        found = _by_single(question, Source.moderate(block, question.norm**2))
    if found is None:
        source = Source(question.rows, question.norm**2)
        found = _by_lanczos(question, source) or _by_gram(question, source.gram)
    return found


def _by_single(question: Question, source: Source) -> Leading | None:
    """Find the vectors in single precision; None if no proof suffices."""
    try:
        ritz = _ritz(question, source)
        if ritz is not None and ritz.converged:
            return _proved(question, source, ritz)
        gapless = ritz is not None and ritz.values[-1] < _GAPS * _blur(source, ritz.values)
        if gapless or question.rank * SUBSET_SHARE > len(source.rows):
            return None
        return _by_reduction(question, source)
    except np.linalg.LinAlgError:
        return None


def _by_reduction(question: Question, source: Source) -> Leading | None:
    """Reduce the Gram matrix in single precision; None if no proof suffices.

    More vectors than the rank are computed where the values around it are too close: as many as reach a gap
    that single precision resolves. Where there is none, no proof will do.
    """
    form = reduced(source.gram[None])
    values, rank = form.values[0, ::-1].astype(np.float64), question.rank
    rounding = _blur(source, values)
    close = -np.diff(values[rank - 1 : rank + _MORE]) <= 2 * rounding
    if close.all():
        return None
    count = rank + int(np.argmin(close))
    columns = orthonormal_again(form.leading(count)[1][0].astype(np.float64))
    following = float(source.squares(values[count] + rounding))

    def missed(made: Leading, whole: Projection) -> float:
        return _missed(question, source, made.error, whole, following, of_next=True, rank=rank)

    return question.certified(columns, "single", missed)


def _by_lanczos(question: Question, source: Source) -> Leading | None:
    """Solve by Lanczos; None if it does not converge.

    Where the next method would fail as well, the dominant values are split off.
    """
    ritz = _ritz(question, source)
    if ritz is None:
        return None
    if ritz.converged:
        return _proved(question, source, ritz)
    if question.is_too_fine(ritz.values):
        return _by_deflation(question, ritz.values, ritz.vectors)
    return None


def _by_gram(question: Question, matrix: Array) -> Leading:
    """Solve by the eigenvectors of the Gram matrix, from its upper half, or by LAPACK's SVD.

    Where its eigenvalues show that no proof would do, only those vectors are computed that are split off.
    """

    def needed(squares: Array) -> int:
        split = question.is_too_fine(squares) and _dominant_count(squares, question.norm**2)
        return split or question.rank

    try:
        values, vectors = _top_eigenpairs(matrix, question.rank, needed)
    except np.linalg.LinAlgError:
        return _by_svd(question.rows, question.rank)
    found: Leading | None = None
    if vectors.shape[1] == question.rank:
        found = question.certified(vectors, "gram", lambda made, _: question.missed(made.error, values))
    found = found or _by_deflation(question, values, vectors)
    return found or _by_svd(question.rows, question.rank)


def _ritz(question: Question, source: Source) -> Ritz | None:
    """Return what Lanczos finds, where the side is large and the rank low enough for it."""
    least, share = (SINGLE_FROM, SINGLE_SHARE) if source.single else (LANCZOS_FROM, LANCZOS_SHARE)
    if len(source.rows) < max(least, share * question.rank):
        return None
    stop = partial(_is_lost, source) if source.single else question.is_too_fine
    return leading_ritz(source, question.rank, question.tolerance, by_rows=_by_rows(source), stop=stop)


def _is_lost(source: Source, values: Array) -> bool:
    """Whether rounding to single precision may hide the last value, which is more than rounding by itself."""
    return bool(_NOISE * values[0] < values[-1] < _blur(source, values))


def _blur(source: Source, values: Array) -> float:
    """Bound what rounding to single precision adds to an eigenvalue."""
    return next_rounding(values[:1], source.energy, source.shape, np.float32)


def _by_rows(source: Source) -> bool:
    """Whether Lanczos does without the Gram matrix."""
    side, length = source.shape
    return not source.single and side >= ROWS_FROM and length <= ROWS_SHARE * side


def _proved(question: Question, source: Source, ritz: Ritz) -> Leading | None:
    """Project the block on vectors that converged; None if no proof suffices."""
    columns = orthonormal_again(ritz.vectors.astype(np.float64)) if source.single else ritz.vectors

    def missed(made: Leading, _: Projection) -> float:
        return _missed(question, source, made.error, made.part, bound_beyond(source, ritz, question, made))

    return question.certified(columns, "single" if source.single else "lanczos", missed)


def _missed(
    question: Question, source: Source, error: float, part: Projection, beyond: float, **which: Any
) -> float:
    """Return `missed_beside` by the cheapest product: in single precision, if it suffices for this error."""
    if source.single and source.exponent == 0:
        found = missed_beside(question.block, part, question.norm, beyond, dtype=np.float32, **which)
        if found <= question.tolerance * question.norm * error:  # half of what may be missed
            return found
    return missed_beside(question.block, part, question.norm, beyond, **which)


def _by_deflation(question: Question, squares: Array, vectors: Array) -> Leading | None:
    """Split off the dominant values, and solve the rest separately, where a Gram matrix resolves more.

    By `Question.by_coupling` the least error of the block is that of the rest, at the rank that is left.
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
    tail = leading(Question(rest, question.rank - first, allowed / (4 * head.error)))
    proved = Known(tail.error, tail.excess + uncertain)
    basis = orthonormal_columns(np.hstack([part.basis, tail.part.basis]))
    return Question(question.rows, question.rank, question.tolerance, proved).certified(
        basis, tail.method, lambda *_: np.inf
    )


def _dominant_count(squares: Array, energy: float) -> int:
    """Return how many of the values, but not all, are well above the norm of all that they leave."""
    left = energy - np.cumsum(squares)
    dominant = (squares >= 4 * left) & (squares >= _RELIABLE * squares[0])
    return int(np.max(np.flatnonzero(dominant[:-1]) + 1, initial=0))


def _by_svd(rows: Array, rank: int) -> Leading:
    u, s, vt = lapack_svd(rows)
    excess = 2 * lapack_norm(float(np.linalg.norm(s)), rows.shape)
    part = Projection(u[:, :rank], s[:rank], vt[:rank])
    return Leading(part, float(np.linalg.norm(s[rank:])), excess, svd_method(rows.shape))


def _top_eigenpairs(matrix: Array, rank: int, needed: Callable[[Array], int] = len) -> tuple[Array, Array]:
    """Return the leading eigenvalues of a Gram matrix, descending, and vectors, from its upper half.

    At least as many of the vectors as are needed for these values.
    """
    if rank * SUBSET_SHARE <= len(matrix):
        reduced = Tridiagonal(matrix)
        values = reduced.values[:rank]
        return values, reduced.vectors(0, needed(values))
    values, vectors = eigenpairs(matrix, upper=True)
    return values[: -rank - 1 : -1], vectors[:, : -rank - 1 : -1]
