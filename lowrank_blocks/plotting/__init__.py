"""Pictures. Every function draws on ``ax`` or on a new figure; none shows or saves."""

from lowrank_blocks.plotting.atlas import plot_atlas
from lowrank_blocks.plotting.blocks import plot_partition, plot_ranks, plot_residual
from lowrank_blocks.plotting.budgets import plot_comparison, plot_error_curves
from lowrank_blocks.plotting.models import plot_model_curves, plot_model_ranks
from lowrank_blocks.plotting.spectra import plot_spectra

__all__ = [
    "plot_atlas",
    "plot_comparison",
    "plot_error_curves",
    "plot_model_curves",
    "plot_model_ranks",
    "plot_partition",
    "plot_ranks",
    "plot_residual",
    "plot_spectra",
]
