"""Singular values and leading factors of blocks: the one door to everything that calls LAPACK.

Nothing outside imports what is behind it, so that another array library can serve here.
"""

from lowrank_blocks.spectra.bounds import Accuracy, promise
from lowrank_blocks.spectra.energies import energy, norm_rounding, tail_energy
from lowrank_blocks.spectra.factors import BlockFactors, Factors, leading_factors
from lowrank_blocks.spectra.lapack import orthonormal_columns
from lowrank_blocks.spectra.leading import Known
from lowrank_blocks.spectra.scaling import common_exponent, safe_exponent, scaled
from lowrank_blocks.spectra.threads import set_workers
from lowrank_blocks.spectra.values import BlockSpectra, Spectrum, block_spectra, singular_values

__all__ = [
    "Accuracy",
    "BlockFactors",
    "BlockSpectra",
    "Factors",
    "Known",
    "Spectrum",
    "block_spectra",
    "common_exponent",
    "energy",
    "leading_factors",
    "norm_rounding",
    "orthonormal_columns",
    "promise",
    "safe_exponent",
    "scaled",
    "set_workers",
    "singular_values",
    "tail_energy",
]
