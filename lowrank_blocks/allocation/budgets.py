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
        Share of the ``m * n`` dense numbers, from 0 to 1. It is read as the shortest decimal that
        denotes it, so that 0.29 of 100 is 29, although the binary float 0.29 is a little less.

    Returns
    -------
    int
        ``floor(fraction * m * n)`` stored numbers.

    Raises
    ------
    TypeError, ValueError
        If `shape` is not a pair of positive integers, or `fraction` is negative, above 1 or not
        finite.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.fraction_budget((10, 10), 0.29)
    29
    """
    m, n = as_shape(shape)
    share = as_real(fraction, "fraction")
    if share > 1:
        raise ValueError(
            f"fraction must be at most 1, the whole dense matrix, got {share}; of a percentage take "
            "fraction / 100, and for more numbers than that a plain int is a budget."
        )
    return int(Fraction(repr(share)) * m * n)


def as_budget(budget: object, rank: object, unit: int) -> int:
    """Return a budget as an int: `budget` itself, or that of a global `rank`, whichever is given.

    Parameters
    ----------
    budget, rank : int or None
        Exactly one of them is given.
    unit : int
        Numbers stored by one unit of rank: ``m + n`` of a matrix.
    """
    if rank is not None:
        if budget is not None:
            raise TypeError(
                f"budget and rank must not both be given, got budget={budget!r} and rank={rank!r}; "
                "leave one of them out."
            )
        return as_count(rank, "rank") * unit
    if budget is None:
        raise TypeError("budget must be a non-negative integer, or rank=8 stand in its place, got None.")
    if isinstance(budget, float) and 0 < budget < 1:  # numpy's float64 is one
        raise TypeError(
            f"budget must be a non-negative integer, got {budget:g}; "
            f"for that share write lb.fraction_budget(dW.shape, {budget:g})."
        )
    return as_count(budget, "budget")


def no_rank_note(budget: int, shape: Shape, unit: int) -> str:
    """Say that a budget buys no rank, if one unit costs more; return an empty text if it buys some."""
    if budget >= unit:
        return ""
    return f"budget {budget} buys no rank: one unit of rank costs {unit}{rank_hint(budget, shape)}"


def rank_hint(budget: int, shape: Shape) -> str:
    """Say which budget a rank has, for a budget so small that a rank may have been meant."""
    if not 0 < budget <= min(shape):
        return ""
    return f"; rank_budget(dW.shape, {budget}) is {rank_budget(shape, budget)}"


def block_cost(shape: Shape) -> int:
    """Count the numbers that one unit of rank costs in a block: ``p + q``."""
    return shape[0] + shape[1]
