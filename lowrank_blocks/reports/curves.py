"""The curves of a whole model with what was found at the budget, ready to be drawn as staircases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.models.comparison import ACROSS, PLAN, ModelComparison

_GONE = 0.99

Steps = tuple[NDArray[np.int64], NDArray[np.float64]]


def steps_of(comparison: ModelComparison, label: str) -> Steps:
    """Return counts and relative errors of one curve together with what was found at the budget.

    Parameters
    ----------
    comparison : ModelComparison
        What `compare_checkpoints` returned.
    label : str
        One of `comparison.curves`.

    Returns
    -------
    counts : (k,) array of int
        Increasing.
    errors : (k,) array of float
        Never rising. Of a structure, the error at each count holds up to the next one; of the plan, no
        plan that stores more than the count before, up to this count, has a smaller error.
    """
    curve = comparison.curves[label]
    points = dict(zip(curve.n_parameters.tolist(), curve.relative_error.tolist(), strict=True))
    if label == PLAN:
        bound = comparison.plans[PLAN].lower_bound
        points[comparison.budget] = max(bound, points.get(comparison.budget, 0.0))
    elif (found := comparison.plans.get(f"{label}, {ACROSS}")) is not None:
        points[found.n_parameters] = min(found.relative_error, points.get(found.n_parameters, np.inf))
    counts = np.array(sorted(points), dtype=np.int64)
    errors = np.array([points[count] for count in counts.tolist()])
    if label == PLAN:
        return counts, np.maximum.accumulate(errors[::-1])[::-1]
    return counts, np.minimum.accumulate(errors)


def extent(comparison: ModelComparison, curves: Sequence[Steps]) -> tuple[float, float]:
    """Return the least and the largest count of a picture of curves.

    It begins at an eighth of a global rank, or earlier where a hundredth of some error is gone before.
    """
    unit = sum(map(sum, comparison.plans[PLAN].shapes.values()))
    last = max(int(counts[-1]) for counts, _ in curves)
    drops = [float(counts[errors < _GONE * errors[0]][0]) for counts, errors in curves if _falls(errors)]
    return min([unit / 8, *(drop / 2 for drop in drops)]), float(max(last, 2 * comparison.budget, unit))


def _falls(errors: NDArray[np.float64]) -> bool:
    return bool((errors < _GONE * errors[0]).any())
