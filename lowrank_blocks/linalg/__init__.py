"""Singular values and leading factors of blocks: the one interface to everything that calls LAPACK.

Nothing outside this package imports its modules, so that another array library can take their place.
"""

from lowrank_blocks.linalg.bounds import Accuracy, promise
from lowrank_blocks.linalg.cores import Core, Reduced, product_rounding
from lowrank_blocks.linalg.energies import UNIT, energy, norm_rounding, tail_energy
from lowrank_blocks.linalg.factors import leading_factors
from lowrank_blocks.linalg.lapack import eigenpairs, orthonormal_columns
from lowrank_blocks.linalg.normal import pseudo_inverses, smallest_eigenvectors
from lowrank_blocks.linalg.packed import Factors, Pack, PackedFactors, stacks_of
from lowrank_blocks.linalg.roots import Root, root_of, root_of_moment
from lowrank_blocks.linalg.rotations import (
    best_rotations,
    cayley,
    evening_rotation,
    inverse_cayley,
)
from lowrank_blocks.linalg.scaling import common_exponent, safe_exponent, scaled
from lowrank_blocks.linalg.sequences import BlockSequence, Ragged
from lowrank_blocks.linalg.solved import BlockFactors
from lowrank_blocks.linalg.svd import lapack_svd
from lowrank_blocks.linalg.threads import parallel, processors, set_workers
from lowrank_blocks.linalg.values import BlockSpectra, Spectrum, block_spectra, singular_values

__all__ = [
    "UNIT",
    "Accuracy",
    "BlockFactors",
    "BlockSequence",
    "BlockSpectra",
    "Core",
    "Factors",
    "Pack",
    "PackedFactors",
    "Ragged",
    "Reduced",
    "Root",
    "Spectrum",
    "best_rotations",
    "block_spectra",
    "cayley",
    "common_exponent",
    "eigenpairs",
    "energy",
    "evening_rotation",
    "inverse_cayley",
    "lapack_svd",
    "leading_factors",
    "norm_rounding",
    "orthonormal_columns",
    "parallel",
    "processors",
    "product_rounding",
    "promise",
    "pseudo_inverses",
    "root_of",
    "root_of_moment",
    "safe_exponent",
    "scaled",
    "set_workers",
    "singular_values",
    "smallest_eigenvectors",
    "stacks_of",
    "tail_energy",
]
