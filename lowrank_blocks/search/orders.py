"""A heuristic for orders of rows and columns on which a structure does better."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lowrank_blocks._validation import Matrix, as_count, as_matrix
from lowrank_blocks.allocation.budgets import as_budget
from lowrank_blocks.linalg import common_exponent, eigenpairs, scaled
from lowrank_blocks.solver.approximation import TIE
from lowrank_blocks.solver.decomposition import decompose_view
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.checked import as_structure
from lowrank_blocks.structures.reordered import Reordered

Order = NDArray[np.intp]
Floats = NDArray[np.float64]


def find_order(
    dW: ArrayLike,
    structure: Structure,
    budget: int | None = None,
    *,
    rank: int | None = None,
    seed: int = 0,
) -> Structure:
    """Look for an order of the rows and columns on which a structure leaves a smaller error: a heuristic.

    There are as many orders as permutations, and no closed form for the best. This tries all pairs of five
    orders of the rows and five of the columns: the natural one, by norm, by the second and by the third
    singular vector of the squared entries (co-clustering), and a random one. All that is claimed is that
    the result is no worse than the structure in the natural order.

    Parameters
    ----------
    dW : (m, n) array_like
        Real finite matrix; never written to.
    structure : Structure
        What is to be reordered.
    budget : int
        Most numbers that may be stored; orders are not charged.
    rank : int
        In place of `budget`: that of a global factorisation of this rank.
    seed : int, optional
        Of the random order.

    Returns
    -------
    Structure
        `Reordered`, or the structure itself where the natural order was the best.

    Raises
    ------
    TypeError, ValueError
        As for `approximate`.

    References
    ----------
    Dhillon, "Co-clustering documents and words using bipartite spectral graph partitioning",
    doi 10.1145/502512.502550.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> mixed = np.random.default_rng(0).permutation(8)
    >>> dW = lb.synthetic.block_diagonal((8, 8), parts=2, rank=1).matrix[mixed][:, mixed]
    >>> found = lb.find_order(dW, lb.DiagonalLocal(2), rank=1)
    >>> lb.approximate(dW, found, rank=1).error < lb.approximate(dW, lb.DiagonalLocal(2), rank=1).error
    True
    """
    matrix, structure = as_matrix(dW), as_structure(structure)
    count = as_budget(budget, rank, sum(matrix.shape))
    rng = np.random.default_rng(as_count(seed, "seed"))
    wide = scaled(matrix, common_exponent(matrix))

    def error(rows: Order | None, cols: Order | None) -> float:
        ordered = wide if rows is None else wide[rows]
        ordered = ordered if cols is None else ordered[:, cols]
        parts = decompose_view(ordered, structure)
        return parts.relative_error(parts.choose_ranks(count).ranks)

    pairs = list(product(*([None, *orders] for orders in _orders(wide, rng))))
    errors = np.array([error(*pair) for pair in pairs])
    rows, cols = pairs[int(np.argmax(errors <= errors.min() + TIE))]  # the natural orders come first
    return structure if rows is None and cols is None else Reordered(structure, rows=rows, cols=cols)


def _orders(matrix: Matrix, rng: np.random.Generator) -> tuple[list[Order], list[Order]]:
    """Return the orders of rows and of columns that are tried, beside the natural ones."""
    keys = zip(*[*_norms(matrix), *_together(matrix)], strict=True)
    rows, cols = ([np.argsort(key, kind="stable") for key in axis] for axis in keys)
    return [*rows, rng.permutation(matrix.shape[0])], [*cols, rng.permutation(matrix.shape[1])]


def _norms(matrix: Matrix) -> list[tuple[Floats, Floats]]:
    squares = np.square(matrix.astype(np.float64))
    return [(-squares.sum(axis=1), -squares.sum(axis=0))]


def _together(matrix: Matrix) -> list[tuple[Floats, Floats]]:
    """Return the second and third singular vectors of the squared entries, scaled to equal sums.

    Rows and columns that meet in large entries have values that are near each other.
    """
    squares = np.square(matrix.astype(np.float64))
    left, right = (
        1 / np.sqrt(np.where(sums > 0, sums, 1.0)) for sums in (squares.sum(axis=1), squares.sum(axis=0))
    )
    table = left[:, None] * squares * right
    _, vectors = eigenpairs(table @ table.T)
    few = [vectors[:, -k] for k in (2, 3) if k <= len(table)]
    return [(left * u, right * (u @ table)) for u in few]
