"""The best that N stored numbers can do for a weight update.

Optimal Frobenius approximations of a matrix by global, diagonal-local and localized low rank at
equal parameter counts. Three independent choices: where (a structure), how much (a budget), how it
is spent (an allocation).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lowrank_blocks._version import __version__ as __version__

if TYPE_CHECKING:
    from lowrank_blocks import peft
    from lowrank_blocks.adapters.loading import load_adapter
    from lowrank_blocks.adapters.writing import write_adapter
    from lowrank_blocks.allocation.adaptive import Adaptive, adaptive
    from lowrank_blocks.allocation.base import Guarantee
    from lowrank_blocks.allocation.budgets import fraction_budget, rank_budget
    from lowrank_blocks.allocation.uniform import uniform
    from lowrank_blocks.checkpoints.opening import open_checkpoint
    from lowrank_blocks.checkpoints.updates import iter_updates
    from lowrank_blocks.datasets import synthetic
    from lowrank_blocks.datasets.example import load_example
    from lowrank_blocks.linalg import Accuracy, set_workers
    from lowrank_blocks.models.comparing import compare_checkpoints
    from lowrank_blocks.models.comparison import ModelComparison
    from lowrank_blocks.models.extraction import Extraction, extract
    from lowrank_blocks.models.families import FamilyExtraction, convert, extract_family
    from lowrank_blocks.models.layers import LayerRanks, allocate_ranks
    from lowrank_blocks.models.moments import second_moments
    from lowrank_blocks.models.plans import ModelPlan, plan
    from lowrank_blocks.models.recompression import recompress_adapter
    from lowrank_blocks.plotting import (
        plot_atlas,
        plot_comparison,
        plot_error_curves,
        plot_model_curves,
        plot_model_ranks,
        plot_partition,
        plot_ranks,
        plot_residual,
        plot_spectra,
    )
    from lowrank_blocks.reports.atlas import atlas
    from lowrank_blocks.reports.compare import compare
    from lowrank_blocks.reports.comparison import Comparison, Row
    from lowrank_blocks.reports.model_atlas import ModelAtlas, atlas_checkpoints
    from lowrank_blocks.reports.report import Report
    from lowrank_blocks.search.curves import partition_curve
    from lowrank_blocks.search.orders import find_order
    from lowrank_blocks.search.partitions import BestPartition, best_partition
    from lowrank_blocks.solver.approximation import Approximation
    from lowrank_blocks.solver.calls import approximate, decompose, error_curve
    from lowrank_blocks.solver.curves import ErrorCurve
    from lowrank_blocks.solver.decomposition import Decomposition
    from lowrank_blocks.solver.weights import Activations
    from lowrank_blocks.structures.base import Layout, Structure
    from lowrank_blocks.structures.blocks import Blocks
    from lowrank_blocks.structures.cells import Block
    from lowrank_blocks.structures.circulant import BlockCirculant
    from lowrank_blocks.structures.grids import DiagonalLocal, Global, Localized
    from lowrank_blocks.structures.hodlr import HODLR
    from lowrank_blocks.structures.kronecker import Kronecker
    from lowrank_blocks.structures.monarch import Monarch
    from lowrank_blocks.structures.orders import head_order, stride_order
    from lowrank_blocks.structures.reordered import Reordered
    from lowrank_blocks.structures.sparse import Sparse
    from lowrank_blocks.structures.tied import Tied

_NAMES = {
    "adapters.loading": ["load_adapter"],
    "adapters.writing": ["write_adapter"],
    "checkpoints.opening": ["open_checkpoint"],
    "checkpoints.updates": ["iter_updates"],
    "solver.approximation": ["Approximation"],
    "allocation.budgets": ["fraction_budget", "rank_budget"],
    "reports.comparison": ["Comparison", "Row"],
    "reports.atlas": ["atlas"],
    "reports.compare": ["compare"],
    "solver.curves": ["ErrorCurve"],
    "solver.decomposition": ["Decomposition"],
    "solver.weights": ["Activations"],
    "datasets.example": ["load_example"],
    "models.comparison": ["ModelComparison"],
    "models.comparing": ["compare_checkpoints"],
    "models.extraction": ["Extraction", "extract"],
    "models.families": ["FamilyExtraction", "convert", "extract_family"],
    "models.moments": ["second_moments"],
    "models.layers": ["LayerRanks", "allocate_ranks"],
    "models.recompression": ["recompress_adapter"],
    "models.plans": ["ModelPlan", "plan"],
    "structures.base": ["Layout", "Structure"],
    "structures.blocks": ["Blocks"],
    "structures.cells": ["Block"],
    "plotting": [
        "plot_atlas",
        "plot_comparison",
        "plot_error_curves",
        "plot_model_curves",
        "plot_model_ranks",
        "plot_partition",
        "plot_ranks",
        "plot_residual",
        "plot_spectra",
    ],
    "allocation.adaptive": ["Adaptive", "adaptive"],
    "allocation.base": ["Guarantee"],
    "allocation.uniform": ["uniform"],
    "reports.model_atlas": ["ModelAtlas", "atlas_checkpoints"],
    "reports.report": ["Report"],
    "search.partitions": ["BestPartition", "best_partition"],
    "search.curves": ["partition_curve"],
    "search.orders": ["find_order"],
    "solver.calls": ["approximate", "decompose", "error_curve"],
    "linalg": ["Accuracy", "set_workers"],
    "structures.circulant": ["BlockCirculant"],
    "structures.grids": ["DiagonalLocal", "Global", "Localized"],
    "structures.hodlr": ["HODLR"],
    "structures.kronecker": ["Kronecker"],
    "structures.monarch": ["Monarch"],
    "structures.orders": ["head_order", "stride_order"],
    "structures.reordered": ["Reordered"],
    "structures.sparse": ["Sparse"],
    "structures.tied": ["Tied"],
}
_MODULES = {"peft": "peft", "synthetic": "datasets.synthetic"}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "HODLR",
    "Accuracy",
    "Activations",
    "Adaptive",
    "Approximation",
    "BestPartition",
    "Block",
    "BlockCirculant",
    "Blocks",
    "Comparison",
    "Decomposition",
    "DiagonalLocal",
    "ErrorCurve",
    "Extraction",
    "FamilyExtraction",
    "Global",
    "Guarantee",
    "Kronecker",
    "LayerRanks",
    "Layout",
    "Localized",
    "ModelAtlas",
    "ModelComparison",
    "ModelPlan",
    "Monarch",
    "Reordered",
    "Report",
    "Row",
    "Sparse",
    "Structure",
    "Tied",
    "adaptive",
    "allocate_ranks",
    "approximate",
    "atlas",
    "atlas_checkpoints",
    "best_partition",
    "compare",
    "compare_checkpoints",
    "convert",
    "decompose",
    "error_curve",
    "extract",
    "extract_family",
    "find_order",
    "fraction_budget",
    "head_order",
    "iter_updates",
    "load_adapter",
    "load_example",
    "open_checkpoint",
    "partition_curve",
    "peft",
    "plan",
    "plot_atlas",
    "plot_comparison",
    "plot_error_curves",
    "plot_model_curves",
    "plot_model_ranks",
    "plot_partition",
    "plot_ranks",
    "plot_residual",
    "plot_spectra",
    "rank_budget",
    "recompress_adapter",
    "second_moments",
    "set_workers",
    "stride_order",
    "synthetic",
    "uniform",
    "write_adapter",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for, so that importing the package takes little time."""
    if name in _MODULES:
        return import_module(f"lowrank_blocks.{_MODULES[name]}")
    if name not in _HOME:
        raise AttributeError(f"module 'lowrank_blocks' has no attribute {name!r}")
    value = getattr(import_module(f"lowrank_blocks.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
