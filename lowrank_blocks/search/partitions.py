"""The best partition within a budget, with a certificate."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Self

from numpy.typing import ArrayLike

from lowrank_blocks._validation import as_matrix
from lowrank_blocks.allocation.budgets import as_budget
from lowrank_blocks.search.candidates import best_answer, named_candidates, rectangles_of, search
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.solver.decomposition import decompose_view
from lowrank_blocks.solver.weighted import restored
from lowrank_blocks.solver.weights import Weighting, as_weights
from lowrank_blocks.structures.axes import Axis
from lowrank_blocks.structures.verdicts import verdict


@dataclass(frozen=True, eq=False, repr=False)
class BestPartition(Approximation):
    """The best approximation found by any partition within a budget, and how far from the best it can be.

    Made by `best_partition`. It is an `Approximation` on the partition found, and prints as a table of
    its blocks. These attributes have a meaning of their own:

    Attributes
    ----------
    structure : Structure
        The partition: a named structure where it is one, else `Blocks`.
    lower_bound : float
        No dyadic partition with any ranks within the budget has a smaller relative error; of an
        `Approximation` it bounds other ranks on the same structure only.
    unit_cost : int
        Least budget that buys any rank on any of the rectangles searched.
    depth : (int, int)
        Levels of cuts that were searched along the rows and the columns.
    verdict : str
        What the blocks in use are, in a few words.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> dW = np.kron(np.diag([1.0, 2.0]), np.ones((4, 4)) + np.diag([1, 0, 0, 0]))
    >>> found = lb.best_partition(dW, 16)
    >>> found
    BestPartition(DiagonalLocal(2); 16 parameters, relative error 0.16, at least 0.16 for any)
    >>> print(found)
    BestPartition(DiagonalLocal(2); 16 parameters, relative error 0.16, at least 0.16 for any)
    rows  columns  rank  n_parameters
    ----  -------  ----  ------------
    0:4   0:4         1             8
    4:8   4:8         1             8
    """

    depth: tuple[int, int] = field(kw_only=True)
    verdict: str = field(kw_only=True)

    @property
    def T(self) -> Self:
        """The best partition of the transposed matrix."""
        turned = super().T
        return replace(
            turned,
            depth=self.depth[::-1],
            verdict=verdict(turned.structure, turned.blocks, turned.ranks),
        )

    def __repr__(self) -> str:
        return (
            f"BestPartition({self.verdict}; {self.n_parameters} parameters, relative error "
            f"{self.relative_error:.4g}, at least {self.lower_bound:.4g} for any"
            f"{self.note and f'; {self.note}'})"
        )

    def __str__(self) -> str:
        return str(replace(self.table, title=repr(self)))

    def _repr_html_(self) -> str:
        return replace(self.table, title=repr(self)).short().to_html()


def best_partition(
    dW: ArrayLike,
    budget: int | None = None,
    *,
    rank: int | None = None,
    max_depth: int = 5,
    min_block: int = 1,
    rows: Axis = 1,
    cols: Axis = 1,
    row_weights: Weighting = None,
    col_weights: Weighting = None,
) -> BestPartition:
    """Find the best partition of a matrix into low-rank blocks within a budget, and bound the best.

    The candidates are all partitions reached by halving rectangles by rows or by columns, with any
    rank on each part. For a multiplier per stored number the best of them is found exactly, bottom-up,
    and the critical multiplier gives a lower bound for every candidate within the budget. All candidates
    between this bound and the answer are then searched through, unless they are closer than 1e-13 of the
    energy. If that search ends, no candidate within the budget is better, and `gap` is 0. If it would be
    too long, the answer is the best one met, and `gap` says by how much it may miss. The answer is never
    worse than `Global`, `DiagonalLocal` and `Localized` with powers of two as parts, where these are
    candidates.

    Parameters
    ----------
    dW : (m, n) array_like
        Real finite matrix; never written to.
    budget : int
        Most numbers that the factors may store; the positions of blocks are not charged.
    rank : int
        In place of `budget`: that of a global factorisation of this rank, ``rank * (m + n)``.
    max_depth : int, optional
        Halvings along each axis. An axis too short for them is halved as often as `min_block`
        allows; `BestPartition.depth` says how often that was.
    min_block : int, optional
        Least number of rows, and of columns, of a part; at least 1.
    rows, cols : int or tuple of int, optional
        Parts or edges to start from, for example ``rows=(0, 256, 512, 768)`` for fused query, key
        and value. The axis is then cut there first, and halved within the parts.
    row_weights, col_weights : (m,) and (n,) array_like, optional
        Positive weights of the squared errors of rows and columns, as for `approximate`. A matrix would
        couple the blocks and is refused.

    Returns
    -------
    BestPartition

    Raises
    ------
    TypeError, ValueError
        As for `approximate`; if `max_depth` is not a non-negative integer, `min_block` not a
        positive one, or `rows` or `cols` do not fit the axis.

    Notes
    -----
    Spectra of all rectangles at all pairs of levels are computed once, which takes a small multiple
    of the time of the global spectrum. At depth 5 they are 177 times as many numbers as the smaller
    side of the matrix, and are held three times. A multiplier takes milliseconds.

    References
    ----------
    Donoho, "CART and best-ortho-basis: a connection", doi 10.1214/aos/1069362377;
    Everett, "Generalized Lagrange multiplier method", doi 10.1287/opre.11.3.399.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> dW = lb.synthetic.block_diagonal((64, 64), parts=4, rank=2).matrix
    >>> found = lb.best_partition(dW, rank=2)
    >>> found.structure, round(found.gap, 9)
    (DiagonalLocal(4), 0.0)
    """
    source = as_matrix(dW)
    weights = as_weights(row_weights, col_weights, (source.shape[0], source.shape[1]))
    if weights is not None and any(weights.full):
        raise ValueError("row_weights and col_weights must be vectors for partitions, got a matrix.")
    matrix = source if weights is None else weights.applied(source)
    asked = as_budget(budget, rank, sum(matrix.shape))
    most = min(asked, 2 * matrix.size)  # no ranks on any rectangles store more
    rectangles = rectangles_of(matrix, max_depth=max_depth, min_block=min_block, rows=rows, cols=cols)
    named = list(named_candidates(rectangles))
    answer = best_answer(rectangles, named, search(rectangles, most), most)
    found = rectangles.spectra_of(answer.candidate.places)
    made = decompose_view(matrix, answer.candidate.structure, found).within(most)
    if weights is not None:
        made = restored(made, source, weights)
    bound = math.sqrt(answer.bound / (rectangles.energy or 1.0))
    proved = made.relative_error if answer.bound == answer.energy else min(bound, made.relative_error)
    known = {f.name: getattr(made, f.name) for f in fields(made)}
    special = {"lower_bound": proved, "budget": asked, "unit_cost": rectangles.least_cost}
    return BestPartition(
        **(known | special),
        depth=(len(rectangles.rows) - 1, len(rectangles.cols) - 1),
        verdict=verdict(made.structure, made.blocks, made.ranks),
    )
