"""What is lost of all matrices of an adapter together."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lowrank_blocks.adapters.written import WrittenAdapter
from lowrank_blocks.solver.approximation import Approximation, plain_of


def errors(made: Mapping[str, Approximation], written: WrittenAdapter) -> tuple[float, float]:
    """Return the relative error of all matrices, and a bound in the plain norm on that of what is stored."""
    norm = math.hypot(*(a.accuracy.norm for a in made.values()))
    stored = {m.name: m.error_bound for m in written.matrices}
    error = math.hypot(*(a.error for a in made.values()))
    bound = math.hypot(*(stored.get(name, plain_of(a).error) for name, a in made.items()))
    return error / norm, bound / plain_norm(made)


def plain_norm(made: Mapping[str, Approximation]) -> float:
    """Return the norm of all matrices together, in the plain norm."""
    return math.hypot(*(plain_of(a).norm for a in made.values()))


def plain_relative_error(made: Mapping[str, Approximation]) -> float:
    """Return the relative error of all matrices together, in the plain norm."""
    return math.hypot(*(plain_of(a).error for a in made.values())) / plain_norm(made)
