"""Counting stored numbers."""

from __future__ import annotations

from fractions import Fraction

from lowrank_blocks._validation import Shape, as_count, as_real, as_shape


def rank_budget(shape: Shape, rank: int) -> int:
    """Count the numbers stored by a global factorisation of a given rank.

    Parameters
    ----------
    shape : (int, int)
        Shape ``(m, n)`` of the matrix.
    rank : int
        Rank of the global factors B, (m, rank), and A, (rank, n). It may exceed ``min(m, n)``:
        a budget is a number, not a promise to spend it.

    Returns
    -------
    int
        ``rank * (m + n)`` stored numbers.

    Raises
    ------
    TypeError, ValueError
        If `shape` is not a pair of positive integers or `rank` not a non-negative integer.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.rank_budget((768, 3072), rank=16)
    61440
    """
    m, n = as_shape(shape)
    return as_count(rank, "rank") * (m + n)


def fraction_budget(shape: Shape, fraction: float) -> int:
    """Count the numbers in a fraction of the dense matrix, rounded down.

    Parameters
    ----------
    shape : (int, int)
        Shape ``(m, n)`` of the matrix.
    fraction : float
        Share of the ``m * n`` dense numbers; at least 0. It is read as the shortest decimal that
        denotes it, so that 0.29 of 100 is 29, although the binary float 0.29 is a little less.

    Returns
    -------
    int
        ``floor(fraction * m * n)`` stored numbers.

    Raises
    ------
    TypeError, ValueError
        If `shape` is not a pair of positive integers, or `fraction` is negative or not finite.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.fraction_budget((10, 10), 0.29)
    29
    """
    m, n = as_shape(shape)
    return int(Fraction(repr(as_real(fraction, "fraction"))) * m * n)


def block_cost(shape: Shape) -> int:
    """Count the numbers that one unit of rank costs in a block: ``p + q``."""
    return shape[0] + shape[1]
