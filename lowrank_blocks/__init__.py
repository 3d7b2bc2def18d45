"""The best that N stored numbers can do for a weight update.

Optimal Frobenius approximations of a matrix by global, diagonal-local and localized low rank at
equal parameter counts. Three independent choices: where (a structure), how much (a budget), how it
is spent (an allocation).
"""

__version__ = "0.1.0"

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
from lowrank_blocks.spectra import Accuracy
from lowrank_blocks.structures import DiagonalLocal, Global, Localized, Partition, Structure
from lowrank_blocks.threads import set_workers

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
