"""What holds of every curve."""

import numpy as np


def check_monotone(curve, everything, most=60):
    """Errors never rise, and `budget_for` finds the least of all budgets; return budgets and errors."""
    budgets = np.unique(np.linspace(0, everything, most).astype(int)).tolist()
    errors = [curve.at(budget) for budget in budgets]
    assert (np.diff(errors) <= 0).all()
    levels = sorted({*errors[:: max(1, len(errors) // 6)], errors[-1], 1.0, (errors[0] + errors[-1]) / 2})
    for target in levels:
        least = curve.budget_for(target)
        assert curve.at(least) <= target
        assert least == 0 or curve.at(least - 1) > target
    return budgets, errors
