"""Re-derive the crossover points: which method is fastest at which size and rank.

    python tests/benchmarks/crossovers.py

The constants are `GRAM_FROM` in `lowrank_blocks.spectra.values`, `STACKED_BELOW` in `factors` and
those at the top of `leading` there.
"""

from __future__ import annotations

import statistics

import numpy as np
from timing import rival_seconds

import lowrank_blocks as lb
from lowrank_blocks.spectra import factors, gram, krylov, lapack, leading


def median(call, repeats=7):
    """Return the median time of a call at one BLAS thread, after one to warm up."""
    rival_seconds(call)
    return statistics.median(rival_seconds(call) for _ in range(repeats))


def values_table():
    """Singular values of a stack: Gram route against LAPACK."""
    print("side  gram / lapack (values; GRAM_FROM is where the gain is worth a fallback now and then)")
    for side in (8, 16, 24, 32, 48, 64, 128, 256):
        stack = np.random.default_rng(0).standard_normal((max(4, (1 << 18) // side**2), side, side))
        ratio = median(lambda s=stack: gram.stacked_gram_values(s)) / median(
            lambda s=stack: lapack.lapack_values(s)
        )
        print(f"{side:4d}  {ratio:.2f}")


def stacks_table():
    """Leading factors of many blocks: LAPACK's SVD of stacks against one block after another."""
    print("\nblocks      rank  stacked / one by one (STACKED_BELOW, in entries, is where it exceeds 1)")
    kept = factors.STACKED_BELOW
    for shape in ((32, 32), (64, 64), (48, 144), (80, 80), (96, 96), (64, 192), (128, 128)):
        blocks = [np.random.default_rng(i).standard_normal(shape) for i in range(64)]
        for rank in (2, 8):
            times = []
            for factors.STACKED_BELOW in (np.inf, 0):
                times.append(median(lambda b=blocks, r=rank: factors.leading_factors(b, [r] * 64), 3))
            print(f"{shape!s:10}  {rank:4d}  {times[0] / times[1]:.2f}")
    factors.STACKED_BELOW = kept


def factors_table():
    """Leading factors: eigenvectors of the Gram matrix, some or all, and Lanczos, against LAPACK's SVD."""
    print(
        "\nside  rank  some  all  lanczos (times the SVD: SVD_BELOW, SUBSET_SHARE, LANCZOS_FROM and _SHARE)"
    )
    for side in (32, 64, 128, 256, 512, 1024):
        matrix = lb.synthetic.power_law((side, side)).matrix
        svd = median(lambda m=matrix: lapack.lapack_svd(m), 3)
        for rank in (side // 48, side // 24, side // 12, side // 6, side // 3, side // 2):
            if rank == 0:
                continue
            found = [_some(matrix, rank, share) for share in (1, side)]
            print(
                f"{side:4d}  {rank:4d}",
                *(f"{t / svd:.2f}" for t in [*found, _lanczos(matrix, rank)]),
                sep="  ",
            )


def _some(matrix, rank, share):
    """Time the eigenvectors with the share of the side up to which some are asked for, not all."""
    kept, leading.SUBSET_SHARE = leading.SUBSET_SHARE, share
    try:
        return median(lambda: leading._top_eigenpairs(gram.gram(matrix, both_halves=True), rank), 3)
    finally:
        leading.SUBSET_SHARE = kept


def _lanczos(matrix, rank):
    def solve():
        square = gram.gram(matrix, both_halves=True)
        ritz = krylov.leading_ritz(square, rank, 1e-10)
        return None if ritz is None else krylov.missed_energy(square, ritz, matrix.shape, 1e-10)

    return median(solve, 3) if solve() is not None else float("nan")


if __name__ == "__main__":
    values_table()
    stacks_table()
    factors_table()
