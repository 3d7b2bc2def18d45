"""Crossovers of the kernel at which matrices of a few rows take every fast path."""

from lowrank_blocks.linalg import (
    factors,
    gram,
    krylov,
    leading,
    levels,
    looks,
    projection,
    small,
    stacks,
    values,
)
from lowrank_blocks.linalg import svd as long_blocks

_VALUES = {
    levels: {
        "GRAM_SQUARE": 2,
        "GRAM_WIDE": 2,
        "GRAM_FROM": 4,
        "GRAM_MANY": 2,
        "DOMINANT_FROM": 4,
        "_SAMPLE": 4,
        "_DOMINANT": 2,
    },
    values: {"LEVELS_FROM": 3, "_ALONE_FROM": 6, "_SAMPLED": 4},
    leading: {
        "SVD_BELOW": 2,
        "LANCZOS_FROM": 6,
        "LANCZOS_SHARE": 3,
        "SINGLE_FROM": 6,
        "SINGLE_SHARE": 3,
        "ROWS_FROM": 9,
    },
    krylov: {"_FLAT": 0},
    krylov.Ritz: {"stands_out": lambda ritz, shape: True},
    looks: {"_FIRST_LOOK": 2, "_LATE_LOOK": 1.5, "_JUDGED": 2, "_width": lambda side, rank: 1},
    factors: {"STACKED_BELOW": 20, "GRAM_BELOW": 40},
    small: {"STACK_FROM": 2, "STACK_SHARE": 1},
    gram: {"_PANEL": 4, "_TALL_PANEL": 4, "_SLAB": 20, "_UNCOPIED": 16, "_LEAST": 1},
    projection: {"_PANEL": 4, "_LONG": 1},
    stacks: {"ADDRESS_FROM": 2},
    long_blocks: {"_PANEL": 4, "_SHARE": 2},
}

SMALL_CROSSOVERS = [(module, name, value) for module, of in _VALUES.items() for name, value in of.items()]
