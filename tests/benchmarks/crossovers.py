"""Re-derive the crossover points: which method is fastest at which size and rank.

    python tests/benchmarks/crossovers.py

The constants are those at the top of `levels` and `leading` in `lowrank_blocks.spectra`, and
`STACKED_BELOW` in `factors` there.
"""

from __future__ import annotations

import statistics

import numpy as np
from timing import rival_seconds

import lowrank_blocks as lb
from lowrank_blocks.spectra import factors, gram, krylov, lapack, leading, levels, singular_values


def median(call, repeats=7):
    """Return the median time of a call at one BLAS thread, after one to warm up."""
    rival_seconds(call)
    return statistics.median(rival_seconds(call) for _ in range(repeats))


def values_table():
    """Singular values of many blocks: Gram matrices against LAPACK's SVD of stacks."""
    print("blocks      gram / lapack (values; GRAM_FROM, in entries, and GRAM_SIDE: a gain worth a fallback)")
    kept = levels.GRAM_FROM, levels.GRAM_SIDE
    for shape in (
        (12, 600),
        (16, 400),
        (32, 32),
        (32, 200),
        (64, 64),
        (72, 72),
        (80, 80),
        (96, 96),
        (128, 128),
    ):
        count = max(32, (1 << 19) // (shape[0] * shape[1]))
        blocks = [np.random.default_rng(i).standard_normal(shape) for i in range(count)]
        times = []
        for levels.GRAM_FROM, levels.GRAM_SIDE in ((0, 0), (np.inf, 0)):
            times.append(median(lambda b=blocks: singular_values(b)))
        print(f"{shape!s:10}  {times[0] / times[1]:.2f}")
    levels.GRAM_FROM, levels.GRAM_SIDE = kept


def towers_table():
    """Singular values of 16 values above little noise: the noise by itself against LAPACK's SVD."""
    print("\nside  towers / lapack (values; TOWERS_FROM)")
    for side in (128, 192, 256, 384, 512):
        noise = 1e-5 * np.random.default_rng(1).standard_normal((side, side))
        matrix = lb.synthetic.low_rank((side, side), 16).matrix + noise
        allowed = 7e-11 * float(np.linalg.norm(matrix))
        kept, levels.TOWERS_FROM = levels.TOWERS_FROM, 64
        ours = median(lambda m=matrix, a=allowed: levels.by_gram(m, a))
        levels.TOWERS_FROM = kept
        print(f"{side:4d}  {ours / median(lambda m=matrix: lapack.lapack_values(m)):.2f}")


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
    towers_table()
    stacks_table()
    factors_table()
