"""The best that N stored numbers can do for a weight update.

Optimal Frobenius approximations of a matrix by global, diagonal-local and localized low rank at
equal parameter counts. Three independent choices: where (a structure), how much (a budget), how it
is spent (an allocation).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lowrank_blocks import synthetic
    from lowrank_blocks.approximation import Approximation
    from lowrank_blocks.budgets import fraction_budget, rank_budget
    from lowrank_blocks.comparison import Comparison, Row, compare
    from lowrank_blocks.curves import ErrorCurve
    from lowrank_blocks.decomposition import Decomposition
    from lowrank_blocks.examples import load_example
    from lowrank_blocks.layers import LayerRanks, allocate_ranks
    from lowrank_blocks.partition import Block
    from lowrank_blocks.plotting import (
        plot_comparison,
        plot_error_curves,
        plot_partition,
        plot_ranks,
        plot_residual,
        plot_spectra,
    )
    from lowrank_blocks.ranks import adaptive, uniform
    from lowrank_blocks.reports import Report
    from lowrank_blocks.search import BestPartition, best_partition, partition_curve
    from lowrank_blocks.solve import approximate, decompose, error_curve
    from lowrank_blocks.spectra import Accuracy, set_workers
    from lowrank_blocks.structures import DiagonalLocal, Global, Localized, Partition, Structure

__version__ = "0.1.0"

_NAMES = {
    "approximation": ["Approximation"],
    "budgets": ["fraction_budget", "rank_budget"],
    "comparison": ["Comparison", "Row", "compare"],
    "curves": ["ErrorCurve"],
    "decomposition": ["Decomposition"],
    "examples": ["load_example"],
    "layers": ["LayerRanks", "allocate_ranks"],
    "partition": ["Block"],
    "plotting": [
        "plot_comparison",
        "plot_error_curves",
        "plot_partition",
        "plot_ranks",
        "plot_residual",
        "plot_spectra",
    ],
    "ranks": ["adaptive", "uniform"],
    "reports": ["Report"],
    "search": ["BestPartition", "best_partition", "partition_curve"],
    "solve": ["approximate", "decompose", "error_curve"],
    "spectra": ["Accuracy", "set_workers"],
    "structures": ["DiagonalLocal", "Global", "Localized", "Partition", "Structure"],
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "Accuracy",
    "Approximation",
    "BestPartition",
    "Block",
    "Comparison",
    "Decomposition",
    "DiagonalLocal",
    "ErrorCurve",
    "Global",
    "LayerRanks",
    "Localized",
    "Partition",
    "Report",
    "Row",
    "Structure",
    "adaptive",
    "allocate_ranks",
    "approximate",
    "best_partition",
    "compare",
    "decompose",
    "error_curve",
    "fraction_budget",
    "load_example",
    "partition_curve",
    "plot_comparison",
    "plot_error_curves",
    "plot_partition",
    "plot_ranks",
    "plot_residual",
    "plot_spectra",
    "rank_budget",
    "set_workers",
    "synthetic",
    "uniform",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for: importing the package alone costs next to nothing."""
    if name == "synthetic":
        return import_module("lowrank_blocks.synthetic")
    if name not in _HOME:
        raise AttributeError(f"module 'lowrank_blocks' has no attribute {name!r}")
    value = getattr(import_module(f"lowrank_blocks.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
