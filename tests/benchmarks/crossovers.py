"""Re-derive the crossover points: which method is fastest at which size and rank.

    python tests/benchmarks/crossovers.py

The constants are those at the top of `levels`, `leading` and `small` in `lowrank_blocks.linalg`,
`LEVELS_FROM` in `values`, `STACKED_BELOW` and `GRAM_BELOW` in `factors` there.
"""

from __future__ import annotations

import statistics

import numpy as np
from timing import rival_seconds

import lowrank_blocks as lb
from lowrank_blocks.linalg import factors, gram, leading, levels, promise, small, stacks, values
from lowrank_blocks.linalg.questions import Question
from lowrank_blocks.linalg.sources import Source


def median(call, repeats=7):
    """Return the median time of a call at one BLAS thread, after one to warm up."""
    rival_seconds(call)
    return statistics.median(rival_seconds(call) for _ in range(repeats))


def values_table():
    """Singular values of many blocks: by Gram matrices, in stacks or one by one, against LAPACK's SVD."""
    print("blocks      in stacks  one by one (times LAPACK's SVD: GRAM_* of levels, LEVELS_FROM of values)")
    kept = levels.gram_pays, values.LEVELS_FROM
    square, wide = (48, 80, 112, 144, 160), ((8, 400), (16, 200), (16, 400), (32, 200), (64, 256))
    for shape in [(side, side) for side in square] + list(wide):
        times = []
        for name in ("flat", "power law"):
            blocks = _blocks(name, shape)
            for pays, values.LEVELS_FROM in ((False, 0), (True, np.inf), (True, 0)):
                levels.gram_pays = values.gram_pays = lambda *_, pays=pays, **__: pays
                times.append(median(lambda b=blocks: values.singular_values(b)))
        flat, power = ([t / lapack for t in found] for lapack, *found in (times[:3], times[3:]))
        print(f"{shape!s:10}  flat {flat[0]:.2f} {flat[1]:.2f}  power law {power[0]:.2f} {power[1]:.2f}")
    levels.gram_pays, values.LEVELS_FROM = kept
    values.gram_pays = levels.gram_pays


def _blocks(name, shape):
    """Return the blocks of a grid of about half a million entries."""
    parts = max(3, round((1 << 19) ** 0.5 / (shape[0] * shape[1]) ** 0.5))
    whole = (parts * shape[0], parts * shape[1])
    make = lb.synthetic.gaussian if name == "flat" else lb.synthetic.power_law
    matrix = make(whole).matrix
    return lb.Localized(parts).layout(matrix.shape).split(matrix)


def dominant_table():
    """Singular values of 16 values above little noise: the noise by itself against LAPACK's SVD."""
    print("\nside  dominant / lapack (values; DOMINANT_FROM)")
    for side in (128, 192, 256, 384, 512):
        noise = 1e-5 * np.random.default_rng(1).standard_normal((side, side))
        matrix = lb.synthetic.low_rank((side, side), 16).matrix + noise
        allowed = 7e-11 * float(np.linalg.norm(matrix))
        kept, levels.DOMINANT_FROM = levels.DOMINANT_FROM, 64
        ours = median(lambda m=matrix, a=allowed: levels.by_gram(m, a))
        levels.DOMINANT_FROM = kept
        print(f"{side:4d}  {ours / median(lambda m=matrix: stacks.lapack_values(m)):.2f}")


def stacks_table():
    """Leading factors of many blocks: in stacks against one block after another."""
    print("\nblocks      rank  stacked / one by one (GRAM_BELOW, in entries, is where it exceeds 1)")
    kept = factors.STACKED_BELOW, factors.GRAM_BELOW
    for shape in ((64, 64), (96, 96), (64, 192), (128, 128), (160, 160), (192, 192), (256, 256)):
        blocks = [np.random.default_rng(i).standard_normal(shape) for i in range(64)]
        for rank in (2, 8):
            times = []
            for factors.STACKED_BELOW, factors.GRAM_BELOW in ((np.inf, np.inf), (0, 0)):
                times.append(median(lambda b=blocks, r=rank: factors.leading_factors(b, [r] * 64), 3))
            print(f"{shape!s:10}  {rank:4d}  {times[0] / times[1]:.2f}")
    factors.STACKED_BELOW, factors.GRAM_BELOW = kept


def small_table():
    """Leading factors of stacks of small blocks: by Gram matrices against LAPACK's SVD."""
    print("\nblocks      rank  gram / lapack (STACK_FROM and STACK_SHARE of small)")
    kept = small.STACK_FROM, small.STACK_SHARE
    for shape in ((4, 4), (8, 8), (16, 16), (24, 24), (32, 32), (48, 48), (64, 64), (16, 128), (32, 128)):
        count = (1 << 18) // (shape[0] * shape[1])
        blocks = [np.random.default_rng(i).standard_normal(shape) for i in range(count)]
        for rank in sorted({1, shape[0] // 8, shape[0] // 4, shape[0] // 3, shape[0] // 2} - {0}):
            times = []
            for small.STACK_FROM, small.STACK_SHARE in ((1, 1), (np.inf, 1)):
                times.append(median(lambda b=blocks, r=rank: factors.leading_factors(b, [r] * len(b)), 3))
            print(f"{shape!s:10}  {rank:4d}  {times[0] / times[1]:.2f}")
    small.STACK_FROM, small.STACK_SHARE = kept


def factors_table():
    """Leading factors: eigenvectors of the Gram matrix, some or all, and Lanczos, against LAPACK's SVD."""
    print(
        "\nside  rank  some  all  lanczos  by rows "
        "(times the SVD: SVD_BELOW, SUBSET_SHARE, LANCZOS_FROM and _SHARE, ROWS_FROM)"
    )
    for side in (32, 64, 128, 256, 512, 1024, 2048):
        matrix = lb.synthetic.power_law((side, side)).matrix
        svd = median(lambda m=matrix: stacks.lapack_svd(m), 3)
        for rank in (side // 48, side // 24, side // 12, side // 6, side // 3, side // 2):
            if rank == 0:
                continue
            found = [_some(matrix, rank, share) for share in (1, side)]
            print(
                f"{side:4d}  {rank:4d}",
                *(
                    f"{t / svd:.2f}"
                    for t in [*found, *(_lanczos(matrix, rank, by_rows) for by_rows in (False, True))]
                ),
                sep="  ",
            )


def single_table():
    """Leading factors in single precision: Lanczos against a reduction."""
    print("\nside  rank  lanczos / reduction, power laws of exponent 0.5 and 1 (SINGLE_FROM and _SHARE)")
    kept = leading.SINGLE_FROM, leading.SINGLE_SHARE
    for side in (128, 192, 256, 384, 512, 768, 1024):
        for share in (24, 16, 12, 10, 8, 6):
            ratios = []
            for exponent in (0.5, 1.0):
                matrix = lb.synthetic.power_law((side, side), exponent=exponent).matrix.astype(np.float32)
                times = []
                for leading.SINGLE_FROM, leading.SINGLE_SHARE in ((1, 1), (np.inf, 1)):
                    times.append(median(lambda m=matrix, r=side // share: _leading(m, r)))
                ratios.append(times[0] / times[1])
            print(f"{side:4d}  {side // share:4d}  {ratios[0]:.2f} {ratios[1]:.2f}")
    leading.SINGLE_FROM, leading.SINGLE_SHARE = kept


def _leading(matrix, rank):
    return factors.leading_factors([matrix], [rank], accuracy=promise(matrix.dtype), single=True)


def _some(matrix, rank, share):
    """Time the eigenvectors with the share of the side up to which some are asked for, not all."""
    kept, leading.SUBSET_SHARE = leading.SUBSET_SHARE, share
    try:
        return median(lambda: leading._top_eigenpairs(gram.gram(matrix, both_halves=True), rank), 3)
    finally:
        leading.SUBSET_SHARE = kept


def _lanczos(matrix, rank, by_rows):
    """Time Lanczos and its proof, with and without the Gram matrix."""
    names = "LANCZOS_FROM", "LANCZOS_SHARE", "ROWS_FROM"
    kept = {name: getattr(leading, name) for name in names}
    leading.LANCZOS_FROM, leading.LANCZOS_SHARE, leading.ROWS_FROM = 1, 1, 1 if by_rows else 1 << 62
    try:

        def solve():
            question = Question(matrix, rank, 1e-10, None)
            return leading._by_lanczos(question, Source(matrix, question.norm**2))

        return median(solve, 3) if solve() is not None else float("nan")
    finally:
        for name, value in kept.items():
            setattr(leading, name, value)


if __name__ == "__main__":
    values_table()
    dominant_table()
    stacks_table()
    small_table()
    single_table()
    factors_table()
