"""What is measured: one function a table of docs/benchmarks.md."""

from __future__ import annotations

import statistics
from functools import partial

import numpy as np
import rivals
from timing import duel, duels, extra_memory, gemm_rate, import_seconds

import lowrank_blocks as lb
from lowrank_blocks.linalg import singular_values

PARTS = (1, 2, 4, 8, 16, 32)
LARGE = 1024  # smaller sides above this: numpy's full SVD stands for those of scipy and torch
CURVES = {1024: 0.45, 2048: 0.40}  # targets for the curves together, by side
LEADING = {((768, 768), 16, "power law"): 0.12, ((2048, 2048), 64, "power law"): 0.12}
ALL_BLOCKS = {(2048, 8, 8): 0.35}
NAMES = ("flat", "power law", "rank 16 + noise")


def table(columns, rows):
    """Return a Markdown table."""
    lines = [columns, [":---"] + ["---:"] * (len(columns) - 1), *rows]
    return "\n".join("| " + " | ".join(str(c) for c in line) + " |" for line in lines) + "\n"


def target(name, m, n):
    """Return a matrix by the name of its spectrum."""
    if name == "flat":
        return lb.synthetic.gaussian((m, n)).matrix
    if name == "power law":
        return lb.synthetic.power_law((m, n)).matrix
    noise = 1e-3 * np.random.default_rng(1).standard_normal((m, n)) / np.sqrt(max(m, n))
    return lb.synthetic.low_rank((m, n), 16).matrix + noise


def curves(cases):
    """Error curves over grids against numpy's batched singular values: times, and errors at all steps."""
    times, errors = [], []
    for side, names in cases:
        matrices = [target(name, side, side) for name in names]
        found = duels([_curve(matrix, parts) for matrix in matrices for parts in PARTS])
        for name, matrix in zip(names, matrices, strict=True):
            measured, found = found[: len(PARTS)], found[len(PARTS) :]
            total = sum(m[1] for m in measured) / sum(m[2] for m in measured)
            line = f"{side}², {name}"
            times.append([line, *(f"{m[0]:.2f}" for m in measured), *_against(total, CURVES.get(side))])
            errors.append([line, *(_off(matrix, parts) for parts in PARTS)])
    heads = [f"K={p}" for p in PARTS]
    return table(["ratio", *heads, "together", "target"], times), table(["off (certified)", *heads], errors)


def _against(measured, target, unit=""):
    """Return two cells: what was measured, bold where it is within the target, and the target."""
    if target is None:
        return f"{measured:.2f}{unit}", ""
    cell = f"{measured:.2f}{unit}"
    return (f"**{cell}**" if measured <= target else f"{cell} (missed)"), f"≤ {target}{unit}"


def _curve(matrix, parts):
    """Return our call and numpy's."""
    blocks, grid = rivals.tiles(matrix, parts), lb.Localized(parts)
    return partial(lb.error_curve, matrix, grid), partial(np.linalg.svd, blocks, compute_uv=False)


def _off(matrix, parts):
    """Return by how much our curve is off anywhere: measured against numpy, and certified."""
    ours, numpys = _curve(matrix, parts)
    curve, energy = ours().relative_error, np.square(np.sort(numpys(), axis=None))
    errors = np.sqrt(np.append(0.0, np.cumsum(energy))[::-1])  # summed from the smallest up
    off = np.abs(curve - errors[: len(curve)] / errors[0]).max()
    certified = lb.decompose(matrix, lb.Localized(parts)).accuracy.relative_bound
    return f"{off:.0e} ({certified:.0e})"


def spectra(sides):
    """One block: our curve against each rival's singular values, and against the flops it needs."""
    rate = gemm_rate()
    rows = []
    for side in sides:
        matrix = target("flat", side, side)
        calls = rivals.values_of(matrix)
        if side > LARGE:
            calls = {"numpy svdvals": calls["numpy svdvals"]}
        found = {
            name: duel(lambda m=matrix: lb.error_curve(m, lb.Global()), call) for name, call in calls.items()
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


def factors(cases):
    """Leading factors of one block: times against each rival, and what each leaves above the optimum."""
    names = ["scipy svd", "scipy svds", "torch svd", "torch svd_lowrank", "sklearn randomized_svd"]
    times, excesses = [], []
    for label, rank, make, wanted in cases:
        matrix = make()
        exact, chance = rivals.factors_of(matrix, rank)
        if min(matrix.shape) > LARGE:
            exact = {"numpy svd": exact["numpy svd"], "scipy svds": exact["scipy svds"]}
        made, found, best = _factors(matrix, rank, exact | chance)
        excess = {name: rivals.residual(matrix, call()) - best for name, call in chance.items()}
        line = f"{label}, r={rank}"
        lead = _against(found["numpy svd"], wanted)
        times.append([line, made.accuracy.methods[0], *lead, *(_ratio(found, n) for n in names)])
        ours = [f"{made.relative_error - best:.0e}", f"{made.accuracy.relative_bound:.0e}"]
        excesses.append([line, *ours, *(_small(excess, n) for n in names[3:])])
    return table(["ratio to", "our method", "numpy svd", "target", *names], times), table(
        ["excess relative error", "ours", "certified", *names[3:]], excesses
    )


def _factors(matrix, rank, calls):
    """Return our approximation, the ratio to each rival, and the least relative error, by numpy's SVD."""
    kept = {}

    def ours():
        kept["ours"] = lb.approximate(matrix, lb.Global(), lb.rank_budget(matrix.shape, rank))

    def numpys():
        kept["numpy"] = calls["numpy svd"]()

    found = {name: duel(ours, numpys if name == "numpy svd" else call)[0] for name, call in calls.items()}
    return kept["ours"], found, rivals.residual(matrix, kept["numpy"])


def _ratio(found, name):
    return f"{found[name]:.2f}" if name in found else "—"


def _small(found, name):
    return f"{found[name]:.0e}" if name in found else "—"


def factor_cases(shapes):
    """Return (label, rank, a function that makes the matrix, target) of all spectra and the example."""
    cases = [
        (f"{m}×{n} {name}", rank, partial(target, name, m, n), LEADING.get(((m, n), rank, name)))
        for m, n, rank in shapes
        for name in NAMES
    ]
    example = next(iter(lb.load_example().values())).astype(np.float64)
    return [*cases, ("embedded update, {}×{}".format(*example.shape), 8, lambda: example, None)]


def all_blocks(cases):
    """The leading factors of every block of a grid against numpy's batched SVD."""
    rows = []
    for side, parts, rank, names in cases:
        for name in names:
            matrix = target(name, side, side)
            blocks, budget = rivals.tiles(matrix, parts), parts * rank * 2 * side
            ratio = duel(
                partial(lb.approximate, matrix, lb.Localized(parts), budget, allocate=lb.uniform),
                partial(np.linalg.svd, blocks, full_matrices=False),
            )[0]
            label = f"Localized({parts}) at {side}², rank {rank} each, {name}"
            rows.append([label, *_against(ratio, ALL_BLOCKS.get((side, parts, rank)))])
    return table(["case", "ratio to numpy svd, batched", "target"], rows)


def built_on_it(side):
    """What a curve and a partition cost beyond the spectra that they need, through the same kernel."""
    grid, rows = lb.Localized(8), []
    for name in NAMES[:2]:
        matrix = target(name, side, side)
        blocks = grid.layout(matrix.shape).split(matrix)
        curve = duel(lambda m=matrix: lb.error_curve(m, grid), lambda b=blocks: singular_values(b))
        budget = lb.rank_budget(matrix.shape, side // 32)
        best = duel(
            lambda m=matrix, n=budget: lb.best_partition(m, n, max_depth=5),
            lambda m=matrix: singular_values([m]),
        )
        rows.append(
            [f"error_curve, Localized(8), all steps / its spectra, {name}", *_against(curve[0], 2, "×")]
        )
        rows.append([f"best_partition, depth 5 / the global spectrum, {name}", *_against(best[0], 10, "×")])
    used = _extra(side, "lb.best_partition(x, lb.rank_budget(x.shape, 32), max_depth=5)")
    rows.append(["best_partition, depth 5: extra peak memory / matrix, flat", *_against(used, 4, "×")])
    return table([f"{side}², float64", "measured", "target"], rows)


def memory(side):
    """Extra peak memory, in multiples of the matrix, each in a fresh process."""
    curve, leading = "lb.error_curve(x, lb.Global())", "lb.approximate(x, lb.Global(), 128 * len(x))"
    noise = "u, v = x[:, :16].copy(), x[:16].copy(); x *= 1e-6\nfor row, w in zip(x, u): row += w @ v"
    calls = {
        "our curve of one block": (curve, "", 1.4),
        "our rank-64 approximation": (leading, "", 1.4),
        "our curve of one block, rank 16 + noise": (curve, noise, None),
        "our rank-64 approximation, rank 16 + noise": (leading, noise, None),
        "numpy singular values": ("np.linalg.svd(x, compute_uv=False)", "", None),
        "numpy svd": ("np.linalg.svd(x)", "", None),
    }
    rows = [
        [name, *_against(_extra(side, code, first), target, "×")]
        for name, (code, first, target) in calls.items()
    ]
    return table([f"{side}², float64", "extra peak memory", "target"], rows)


def _extra(side, code, first=""):
    """Return the extra peak memory of a call on a matrix x, in multiples of it; `first` may change x."""
    setup = (
        "import numpy as np, lowrank_blocks as lb, scipy.linalg, threadpoolctl\n"
        f"x = np.random.default_rng(0).standard_normal(({side}, {side}))\n"
        "small = np.ones((600, 600)); lb.error_curve(small, lb.Global())\n"
        "lb.approximate(small, lb.Global(), 12000); lb.best_partition(np.eye(64), 500)\n"
        f"{first}"
    )
    return extra_memory(code, setup) / (8 * side**2)


def imports(repeats):
    """The time to import us against that of numpy."""
    ours, numpy = (import_seconds(m, repeats) for m in ("lowrank_blocks", "numpy"))
    measured, target = _against(ours / numpy, 1.3, "×")
    return f"`import lowrank_blocks` takes {measured} as long as `import numpy` (target {target}).\n"
