"""What users call: the best approximation, the spectra of the blocks, the curve over all budgets."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike

from lowrank_blocks._validation import as_matrix
from lowrank_blocks.allocation.adaptive import adaptive
from lowrank_blocks.allocation.base import Allocate, as_allocation
from lowrank_blocks.allocation.budgets import as_budget
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.solver.curves import ErrorCurve
from lowrank_blocks.solver.decomposition import Decomposition, decompose_view
from lowrank_blocks.solver.direct import approximate_directly
from lowrank_blocks.solver.weighted import decompose_weighted
from lowrank_blocks.solver.weights import Weighting, as_weights
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.checked import as_structure


def approximate(
    dW: ArrayLike,
    structure: Structure,
    budget: int | None = None,
    *,
    rank: int | None = None,
    allocate: Allocate = adaptive,
    row_weights: Weighting = None,
    col_weights: Weighting = None,
) -> Approximation:
    """Return the best approximation of a matrix by low-rank blocks within a budget.

    Squared Frobenius errors of disjoint blocks add, and each is least for the truncated SVD of its
    block, so for the ranks used no factors have a smaller error.

    Parameters
    ----------
    dW : (m, n) array_like
        Real finite matrix. Float64, integers and booleans give float64 factors; float16, bfloat16
        and float32 are solved in float64 and give float32 factors. It is never written to. PyTorch
        tensors and parameters are taken as they are.
    structure : Structure
        Which blocks are approximated: `Global`, `DiagonalLocal`, `Localized`.
    budget : int
        Most numbers that the factors may store; see `rank_budget` and `fraction_budget`. A budget that
        buys no rank says so in `Approximation.note`.
    rank : int
        In place of `budget`: that of a global factorisation of this rank, ``rank * (m + n)``.
    allocate : callable, optional
        How the budget is spent: `adaptive` (default), `uniform` or any function
        ``(spectra, costs, budget) -> ranks``.
    row_weights, col_weights : array_like or Activations, optional
        Weights of the squared errors of rows and columns; errors are then in the norm that they make, and
        factors float64. A vector of positive numbers weights any structure of disjoint blocks, and
        `Kronecker` if it is a Kronecker product itself. A symmetric positive semidefinite matrix, such as a
        second moment of the inputs of a layer, or `Activations`, weights structures whose blocks span all
        columns (for rows: all rows).

    Returns
    -------
    Approximation
        With ``n_parameters <= budget``.

    Raises
    ------
    TypeError, ValueError
        If `dW` is not a nonempty finite real matrix, `structure` no structure or one that does not
        fit its shape, not exactly one of `budget` and `rank` given, that one not a non-negative
        integer, or the allocation returns ranks that are not one a block, negative, too large for a
        block or beyond the budget. Also if weights are not positive (a matrix: not positive semidefinite),
        not of the length of their axis, or such that the structure has no closed form under them.

    References
    ----------
    Eckart & Young, doi 10.1007/BF02288367; Barazandeh et al., arXiv 2506.00236. With weights of outputs:
    Chen et al., "DRONE: Data-aware Low-rank Compression for Large NLP Models", NeurIPS 2021.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> dW = np.diag([3.0, 2.0, 1.0, 1.0])
    >>> best = lb.approximate(dW, lb.Global(), rank=2)
    >>> round(best.error, 12) == round(2**0.5, 12)
    True
    """
    matrix, structure = as_matrix(dW), as_structure(structure)
    count = as_budget(budget, rank, sum(matrix.shape))
    weights = as_weights(row_weights, col_weights, (matrix.shape[0], matrix.shape[1]))
    if weights is not None:
        return decompose_weighted(matrix, structure, weights).within(count, allocate=allocate)
    direct = approximate_directly(matrix, structure, count, as_allocation(allocate))
    return direct or decompose_view(matrix, structure).within(count, allocate=allocate)


def decompose(
    dW: ArrayLike,
    structure: Structure,
    *,
    row_weights: Weighting = None,
    col_weights: Weighting = None,
) -> Decomposition:
    """Compute the spectra of all blocks once, to ask for any budget or ranks later.

    Parameters
    ----------
    dW : (m, n) array_like
        Real finite matrix. The decomposition keeps a copy of its own, for the factors.
    structure : Structure
        Which blocks are approximated.
    row_weights, col_weights : array_like or Activations, optional
        As for `approximate`; spectra and errors are then those of the weighted matrix.

    Returns
    -------
    Decomposition

    Raises
    ------
    TypeError, ValueError
        As for `approximate`.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> parts = lb.decompose(np.diag([3.0, 2.0, 1.0, 1.0]), lb.DiagonalLocal(2))
    >>> [s.round(9).tolist() for s in parts.spectra]
    [[3.0, 2.0], [1.0, 1.0]]
    >>> parts.truncate([2, 0])
    Approximation(DiagonalLocal(2) of a 4×4 matrix, ranks 0–2, 8 parameters, relative error 0.3651)
    """
    matrix = as_matrix(dW).copy()
    matrix.flags.writeable = False
    weights = as_weights(row_weights, col_weights, (matrix.shape[0], matrix.shape[1]))
    return decompose_weighted(matrix, as_structure(structure), weights)


def error_curve(
    dW: ArrayLike,
    structure: Structure,
    budgets: Sequence[int] | None = None,
    *,
    allocate: Allocate = adaptive,
    row_weights: Weighting = None,
    col_weights: Weighting = None,
) -> ErrorCurve:
    """Return the error of a structure against its parameter count, from one pass over the spectra.

    Parameters
    ----------
    dW : (m, n) array_like
        Real finite matrix; never written to.
    structure : Structure
        Which blocks are approximated.
    budgets : sequence of int, optional
        Increasing budgets to evaluate, each as `approximate` would. By default all steps of the
        curve: for `adaptive`, singular values bought in order of energy per stored number, which is
        optimal at every step, and between the steps too if all blocks have one cost (a grid that
        divides the shape); if not, `ErrorCurve.at` and `ErrorCurve.budget_for` solve between the
        steps. For `uniform`, every common rank.
    allocate : callable, optional
        `adaptive` (default), `uniform`, or with `budgets` any allocation.
    row_weights, col_weights : array_like or Activations, optional
        As for `approximate`; errors are then in the weighted norm.

    Returns
    -------
    ErrorCurve

    Raises
    ------
    TypeError, ValueError
        As for `approximate`; if `budgets` is empty, negative, not of ints or does not increase; or
        if it is left out for an allocation that is neither `adaptive` nor `uniform`.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> lb.error_curve(np.eye(4), lb.Localized(2))
    ErrorCurve(Localized(2), 5 steps, 0 to 16 parameters, relative error 1 to 0)
    """
    matrix = as_matrix(dW)
    weights = as_weights(row_weights, col_weights, (matrix.shape[0], matrix.shape[1]))
    parts = decompose_weighted(matrix, as_structure(structure), weights)
    return parts.error_curve(budgets, allocate=allocate)
