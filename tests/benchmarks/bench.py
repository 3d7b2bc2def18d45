"""Measure lowrank_blocks against its rivals: ratios of medians, excess errors, memory.

    python tests/benchmarks/bench.py            all cases, about six minutes
    python tests/benchmarks/bench.py --quick    small cases, under a minute
    python tests/benchmarks/bench.py --write    all cases, into docs/benchmarks.md

Rivals run at one BLAS thread, we at our default; calls alternate in one process. A ratio below 1 means
that we are faster.
"""

from __future__ import annotations

import argparse
import platform
import statistics
from pathlib import Path

import numpy as np
import rivals
import scipy
from timing import duel, extra_memory, gemm_rate, import_seconds

import lowrank_blocks as lb
from lowrank_blocks.spectra import singular_values
from lowrank_blocks.spectra.threads import workers

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
PARTS = (1, 2, 4, 8, 16, 32)
LARGE = 768  # smaller sides above this: numpy's full SVD stands for those of scipy and torch
CURVES = {1024: 0.45, 2048: 0.40}  # targets for the curves together, by side
LEADING = {((768, 768), 16, "power law"): 0.12, ((2048, 2048), 64, "power law"): 0.12}
ALL_BLOCKS = {2048: 0.35}


def table(columns, rows):
    """Return a Markdown table."""
    lines = [columns, [":---"] + ["---:"] * (len(columns) - 1), *rows]
    return "\n".join("| " + " | ".join(str(c) for c in line) + " |" for line in lines) + "\n"


def targets(m, n):
    """Return the matrices of one shape, by the name of their spectrum."""
    noise = 1e-3 * np.random.default_rng(1).standard_normal((m, n)) / np.sqrt(max(m, n))
    return {
        "flat": lb.synthetic.gaussian((m, n)).matrix,
        "power law": lb.synthetic.power_law((m, n)).matrix,
        "rank 16 + noise": lb.synthetic.low_rank((m, n), 16).matrix + noise,
    }


def curves(sides, repeats):
    """Error curves over grids against numpy's batched singular values."""
    rows = []
    for side in sides:
        for name, matrix in list(targets(side, side).items())[:2]:
            found = [_curve(matrix, parts, repeats) for parts in PARTS]
            total = sum(f[1] for f in found) / sum(f[2] for f in found)
            ratios = [f"{f[0]:.2f}" for f in found]
            rows.append([f"{side}², {name}", *ratios, *_against(total, CURVES.get(side))])
    return table(["ratio", *(f"K={p}" for p in PARTS), "together", "target"], rows)


def _against(measured, target, unit=""):
    """Return two cells: what was measured, bold where it is within the target, and the target."""
    if target is None:
        return f"{measured:.2f}{unit}", ""
    cell = f"{measured:.2f}{unit}"
    return (f"**{cell}**" if measured <= target else f"{cell} (missed)"), f"≤ {target}{unit}"


def _curve(matrix, parts, repeats):
    blocks = rivals.tiles(matrix, parts)
    return duel(
        lambda: lb.error_curve(matrix, lb.Localized(parts)),
        lambda: np.linalg.svd(blocks, compute_uv=False),
        repeats,
    )


def spectra(sides, repeats):
    """One block: our curve against each rival's singular values, and against the flops it needs."""
    rate = gemm_rate()
    rows = []
    for side in sides:
        matrix = targets(side, side)["flat"]
        found = {
            name: duel(lambda m=matrix: lb.error_curve(m, lb.Global()), call, repeats)
            for name, call in rivals.values_of(matrix).items()
        }
        ours = statistics.median(f[1] for f in found.values())
        flops = side**3 + 4 / 3 * side**3
        ratios = [
            f"{found[r][0]:.2f}" if r in found else "—"
            for r in ("numpy svdvals", "scipy svdvals", "torch svdvals")
        ]
        rows.append([f"{side}²", *ratios, f"{ours * rate / flops:.1f}×"])
    columns = ["ratio to", "numpy svdvals", "scipy svdvals", "torch svdvals", "our time / flops at gemm rate"]
    return table(columns, rows)


def factors(cases, repeats):
    """Leading factors of one block against each rival, with what each leaves above the optimum."""
    names = [
        "numpy svd",
        "scipy svd",
        "scipy svds",
        "torch svd",
        "torch svd_lowrank",
        "sklearn randomized_svd",
    ]
    times, excesses = [], []
    for label, rank, matrix, target in cases:

        def ours(matrix=matrix, rank=rank):
            return lb.approximate(matrix, lb.Global(), lb.rank_budget(matrix.shape, rank))

        exact, chance = rivals.factors_of(matrix, rank)
        if min(matrix.shape) > LARGE:
            exact = {"numpy svd": exact["numpy svd"], "scipy svds": exact["scipy svds"]}
        calls = exact | chance
        found = {name: duel(ours, call, repeats)[0] for name, call in calls.items()}
        best = rivals.residual(matrix, exact["numpy svd"]())
        made = ours()
        excess = {"ours": made.relative_error - best} | {
            name: rivals.residual(matrix, call()) - best for name, call in chance.items()
        }
        lead, wanted = _against(found["numpy svd"], target)
        others = [_ratio(found, n) for n in names[1:]]
        times.append([f"{label}, r={rank}", made.accuracy.methods[0], lead, wanted, *others])
        certified = f"{made.accuracy.relative_bound:.0e}"
        excesses.append(
            [
                f"{label}, r={rank}",
                f"{max(excess['ours'], 0):.0e}",
                certified,
                *(_small(excess, n) for n in names[4:]),
            ]
        )
    return table(["ratio to", "our method", "numpy svd", "target", *names[1:]], times), table(
        ["excess relative error", "ours", "certified", *names[4:]], excesses
    )


def _ratio(found, name):
    return f"{found[name]:.2f}" if name in found else "—"


def _small(found, name):
    return f"{found[name]:.0e}" if name in found else "—"


def factor_cases(shapes):
    """Return (label, rank, matrix, target) of all spectra, and of the embedded update."""
    cases = [
        (f"{m}×{n} {name}", rank, matrix, LEADING.get(((m, n), rank, name)))
        for m, n, rank in shapes
        for name, matrix in targets(m, n).items()
        if min(m, n) <= 1024 or "noise" not in name
    ]
    example = next(iter(lb.load_example().values())).astype(np.float64)
    return [*cases, ("embedded update, {}×{}".format(*example.shape), 8, example, None)]


def all_blocks(side, parts, rank, repeats):
    """The leading factors of every block of a grid against numpy's batched SVD."""
    rows = []
    for name, matrix in targets(side, side).items():
        blocks = rivals.tiles(matrix, parts)
        budget = parts**2 * rank * 2 * (side // parts)
        ratio = duel(
            lambda matrix=matrix, budget=budget: lb.approximate(
                matrix, lb.Localized(parts), budget, allocate=lb.uniform
            ),
            lambda blocks=blocks: np.linalg.svd(blocks, full_matrices=False),
            repeats,
        )[0]
        rows.append(
            [
                f"Localized({parts}) at {side}², rank {rank} each, {name}",
                *_against(ratio, ALL_BLOCKS.get(side)),
            ]
        )
    return table(["case", "ratio to numpy svd, batched", "target"], rows)


def built_on_it(side, repeats):
    """What a curve and a partition cost beyond the spectra that they need, through the same kernel."""
    grid, rows = lb.Localized(8), []
    for name, matrix in list(targets(side, side).items())[:2]:
        blocks = grid.split(matrix)
        curve = duel(lambda m=matrix: lb.error_curve(m, grid), lambda b=blocks: singular_values(b), repeats)
        budget = lb.rank_budget(matrix.shape, side // 32)
        best = duel(
            lambda m=matrix, n=budget: lb.best_partition(m, n, max_depth=5),
            lambda m=matrix: singular_values([m]),
            repeats,
        )
        rows.append(
            [f"error_curve, Localized(8), all steps / its spectra, {name}", *_against(curve[0], 2, "×")]
        )
        rows.append([f"best_partition, depth 5 / the global spectrum, {name}", *_against(best[0], 12, "×")])
    used = _extra(side, "lb.best_partition(x, lb.rank_budget(x.shape, 32), max_depth=5)")
    rows.append(["best_partition, depth 5: extra peak memory / matrix, flat", *_against(used, 4, "×")])
    return table([f"{side}², float64", "measured", "target"], rows)


def memory(side):
    """Extra peak memory, in multiples of the matrix, each in a fresh process."""
    calls = {
        "our curve of one block": ("lb.error_curve(x, lb.Global())", 1.4),
        "our rank-64 approximation": ("lb.approximate(x, lb.Global(), lb.rank_budget(x.shape, 64))", 1.4),
        "numpy svd": ("np.linalg.svd(x)", None),
    }
    rows = [[name, *_against(_extra(side, code), target, "×")] for name, (code, target) in calls.items()]
    return table([f"{side}², float64", "extra peak memory", "target"], rows)


def _extra(side, code):
    """Return the extra peak memory of a call on a matrix x, in multiples of it."""
    setup = (
        "import numpy as np, lowrank_blocks as lb, scipy.linalg, threadpoolctl\n"
        f"x = np.random.default_rng(0).standard_normal(({side}, {side}))\n"
        "small = np.ones((600, 600)); lb.error_curve(small, lb.Global())\n"
        "lb.approximate(small, lb.Global(), 12000); lb.best_partition(np.eye(64), 500)"
    )
    return extra_memory(code, setup) / (8 * side**2)


def imports(repeats):
    """The time to import us against that of numpy."""
    ours, numpy = (import_seconds(m, repeats) for m in ("lowrank_blocks", "numpy"))
    measured, target = _against(ours / numpy, 1.3, "×")
    return f"`import lowrank_blocks` takes {measured} as long as `import numpy` (target {target}).\n"


def report(*, quick):
    """Return the page."""
    big = not quick
    times, excesses = factors(
        factor_cases(
            [
                (256, 256, 1),
                (256, 256, 8),
                (768, 768, 16),
                (768, 3072, 16),
                (4096, 1024, 32),
                (2048, 2048, 64),
            ]
            if big
            else [(128, 128, 4)]
        ),
        3 if big else 1,
    )
    machine = f"{platform.machine()}, {workers()} workers, numpy {np.__version__}, scipy {scipy.__version__}"
    return "\n".join(
        [
            "# Benchmarks\n",
            f"Written by `tests/benchmarks/bench.py --write` ({machine}). Rivals run at one",
            "BLAS thread, we at our default; calls alternate in one process; medians. Ratios below 1 mean",
            "that we are faster. Bold: within its target. Smaller sides above"
            f" {LARGE} are not run with the full SVD of scipy and torch; numpy's stands for them.",
            *([f"Not installed, hence left out: {', '.join(rivals.MISSING)}."] if rivals.MISSING else []),
            "\n## Error curves against numpy's batched singular values\n",
            curves((1024, 2048) if big else (256,), 3 if big else 1),
            "## One block: all singular values\n",
            spectra((256, 768, 2048) if big else (128,), 3 if big else 1),
            "## One block: leading factors\n",
            times,
            "Rank 16 + noise is left out at 2048² for its time: more ranks than 16 end, as at 4096×1024, in",
            "LAPACK's SVD, and the attempt is lost (ratio 1.2 when it was last measured).\n",
            "What is left above the optimum, as relative error:\n",
            excesses,
            "## All blocks of a grid\n",
            all_blocks(2048 if big else 256, 8, 8 if big else 2, 3 if big else 1),
            "## What is built on it\n",
            built_on_it(1024 if big else 128, 3 if big else 1),
            "## Memory\n",
            memory(4096 if big else 512),
            "## Import\n",
            imports(7 if big else 1),
        ]
    )


def main():
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small cases only")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    args = parser.parse_args()
    page = report(quick=args.quick)
    if args.write:
        PAGE.write_text(page)
    print(page)


if __name__ == "__main__":
    main()
