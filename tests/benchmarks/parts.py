"""What each part of the kernel buys: the same call without it and with it, alternating.

    python tests/benchmarks/parts.py            all parts, about ten minutes
    python tests/benchmarks/parts.py --quick    small matrices once, in seconds
    python tests/benchmarks/parts.py --write    all parts, into docs/kernel-parts.md

A part is taken out by a fallback that the kernel has, or by the plainest code in its place. All answers
stay within the promise; what parts are there for accuracy is not measured here but tested.
"""

from __future__ import annotations

import argparse
import ast
import math
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from measures import table, target
from timing import duel, once

import lowrank_blocks as lb
from lowrank_blocks.linalg import (
    addresses,
    beyond,
    factors,
    gram,
    leading,
    levels,
    looks,
    projection,
    questions,
    small,
    stacks,
    values,
)
from lowrank_blocks.linalg import svd as long_blocks

PAGE = Path(__file__).parents[2] / "docs" / "kernel-parts.md"
EVERYWHERE = 1 << 62


def _one_slab(group, shape):
    """Stand for `slabs`."""
    return [group]


def _plain_residual_norm(rows, basis, coordinates):
    """Stand for `residual_norm`."""
    return math.sqrt(gram.energy(rows - basis @ coordinates))


def _missed_in_double(question, source, error, part, beyond, **which):
    """Stand for `_missed`."""
    return leading.missed_beside(question.block, part, question.norm, beyond, **which)


def _copied_whole(matrix, columns):
    """Stand for `times`."""
    return gram.Product(matrix.astype(columns.dtype, copy=False), columns)(columns)


def _eager(self, columns, missed, goal, *, hopeless, end=looks.Looks.end):
    """Stand for `Looks.end`: test convergence at every block."""
    ended = end(self, columns, missed, goal, hopeless=hopeless)
    self.at = columns + 1
    return ended


@dataclass(frozen=True)
class Part:
    """A part of a file, what stands in its place, and the cases that show what it buys."""

    file: str
    name: str
    changes: tuple
    cases: tuple[str, ...]

    @contextmanager
    def out(self):
        """Take the part out of the kernel."""
        kept = [(module, name, getattr(module, name)) for module, name, _ in self.changes]
        try:
            for module, name, new in self.changes:
                setattr(module, name, new)
            yield
        finally:
            for module, name, old in kept:
                setattr(module, name, old)


def nothing(*_):
    """Stand for an attempt that finds nothing."""


def never(*_, **__):
    """Stand for a test that is never passed."""
    return False


PARTS = (
    Part("levels", "Gram matrices for spectra", ((levels, "gram_pays", never), (values, "gram_pays", never)),
         ("curve flat", "curve noise", "grid 8 flat")),
    Part("levels", "the least values by their vectors", ((levels, "_few_left", never),),
         ("curve power", "grid 2 power")),
    Part("levels", "dominant values, looked for first", ((levels, "_by_dominant", nothing),),
         ("curve noise", "grid 4 noise")),
    Part("levels", "dominant values, once all are known", ((levels, "_dominant_to_split", nothing),),
         ("curve power", "curve steep")),
    Part("values", "stacks of small Gram matrices", ((values, "LEVELS_FROM", 0),),
         ("grid 8 flat", "rows of 64")),
    Part("levels", "Gram matrices of many wide blocks", ((levels, "GRAM_MANY", EVERYWHERE),),
         ("grid 32×16 flat",)),
    Part("leading", "Gram matrices for factors", ((leading, "SVD_BELOW", EVERYWHERE),),
         ("factors flat", "factors power", "grid 8 factors")),
    Part("leading", "some eigenvectors, not all", ((leading, "SUBSET_SHARE", EVERYWHERE),),
         ("factors flat", "grid 8 factors")),
    Part("leading", "what dominant values leave, by itself", ((leading, "_by_deflation", nothing),),
         ("factors noise", "factors noise, large")),
    Part("questions", "the proof by coupling", ((questions.Question, "by_coupling", lambda *_: np.inf),),
         ("factors noise", "factors power")),
    Part("leading", "vectors in single precision", ((leading, "_by_single", nothing),),
         ("factors narrow", "factors narrow, small", "factors narrow, apart by little")),
    Part("krylov", "Lanczos", ((leading, "LANCZOS_FROM", EVERYWHERE),),
         ("factors power", "factors power, large", "factors long")),
    Part("krylov", "Lanczos in single precision", ((leading, "_ritz", nothing),),
         ("factors narrow, small", "factors narrow, decaying")),
    Part("looks", "convergence tested where it is expected", ((looks.Looks, "end", _eager),),
         ("factors power", "factors power, large", "factors narrow, decaying")),
    Part("looks", "a first block of a higher power, and a sooner test",
         ((looks, "_POWERS", 1), (looks, "_LATE_LOOK", 16)),
         ("factors narrow, small", "factors narrow, decaying")),
    Part("beyond", "the proof by norms", ((beyond, "beyond_by_norms", lambda *_: np.inf),),
         ("factors power", "factors power, large")),
    Part("beyond", "the Gram matrix of the rest only", ((leading, "ROWS_FROM", EVERYWHERE),),
         ("factors power, very large",)),
    Part("factors", "blocks in stacks", ((factors, "STACKED_BELOW", 0), (factors, "GRAM_BELOW", 0)),
         ("grid 32 factors", "grid 128 factors")),
    Part("small", "Gram matrices in stacks", ((small, "STACK_FROM", EVERYWHERE),),
         ("grid 32 factors", "grid 128 factors")),
    Part("addresses", "routines by address", ((addresses, "published", nothing),),
         ("curve flat", "grid 4 power", "factors flat", "grid 8 factors")),
    Part("stacks", "few matrices by address", ((stacks, "ADDRESS_FROM", EVERYWHERE),),
         ("grid 2 of a quarter", "grid 2 of a quarter, noise")),
    Part("projection", "few long rows by Gram matrices", ((projection, "_LONG", EVERYWHERE),),
         ("factors narrow", "factors narrow, small")),
    Part("projection", "reflections panel by panel", ((projection, "_PANEL", EVERYWHERE),),
         ("curve noise", "curve power")),
    Part("gram", "products panel by panel", ((gram, "_PANEL", EVERYWHERE), (gram, "_TALL_PANEL", EVERYWHERE)),
         ("curve flat", "factors power, large")),
    Part("gram", "few rows by a large matrix, piece by piece", ((gram, "_UNCOPIED", 0),),
         ("factors narrow, decaying", "factors power")),
    Part("gram", "float32 widened panel by panel", ((projection, "times", _copied_whole),),
         ("factors narrow, decaying", "factors narrow")),
    Part("leading", "what columns miss in single precision", ((leading, "_missed", _missed_in_double),),
         ("factors narrow, decaying", "factors narrow")),
    Part("gram", "residuals panel by panel", ((questions, "residual_norm", _plain_residual_norm),),
         ("factors power, large", "grid 8 factors")),
    Part("slabs", "slabs of blocks", ((values, "slabs", _one_slab), (factors, "slabs", _one_slab)),
         ("grid 32 flat", "grid 32 factors", "grid 128 factors")),
    Part("svd", "panels of long blocks", ((long_blocks, "_is_long", never),),
         ("long rows", "long rows, factors")),
)  # fmt: skip


def cases(unit):
    """Return the calls by their names; `unit` is 1024 but for quick runs."""
    flat, power, noise = (target(name, unit, unit) for name in ("flat", "power law", "rank 16 + noise"))
    twice = {name: target(name, 2 * unit, 2 * unit) for name in ("power law", "rank 16 + noise")}
    steep = lb.synthetic.power_law((unit, unit), exponent=1.5).matrix
    decaying = lb.synthetic.power_law((3 * unit // 8, 3 * unit // 8), exponent=0.5).matrix
    very_large = lb.synthetic.power_law((3 * unit, 3 * unit), exponent=0.5).matrix
    wide, long = target("power law", unit, 4 * unit), target("flat", 16, 64 * unit)

    def curve(matrix, structure=None):
        return partial(lb.error_curve, matrix, structure or lb.Global())

    def best(matrix, rank, structure=None):
        budget = lb.rank_budget(matrix.shape, rank)
        return partial(lb.approximate, matrix, structure or lb.Global(), budget, allocate=lb.uniform)

    return {
        "curve flat": curve(flat),
        "curve power": curve(power),
        "curve noise": curve(noise),
        "curve steep": curve(steep),
        "grid 2 power": curve(power, lb.Localized(2)),
        "grid 4 power": curve(power, lb.Localized(4)),
        "grid 4 noise": curve(noise, lb.Localized(4)),
        "grid 8 flat": curve(flat, lb.Localized(8)),
        "grid 32 flat": curve(flat, lb.Localized(32)),
        "grid 32×16 flat": curve(flat, lb.Localized(32, 16)),
        "grid 2 of a quarter": curve(flat[: unit // 4, : unit // 4], lb.Localized(2)),
        "grid 2 of a quarter, noise": curve(noise[: unit // 4, : unit // 4], lb.Localized(2)),
        "rows of 64": curve(flat, lb.Localized(16, 2)),
        "factors flat": best(flat, unit // 64),
        "factors power": best(power, unit // 64),
        "factors noise": best(noise, unit // 16),
        "factors power, large": best(twice["power law"], unit // 16),
        "factors power, very large": best(very_large, unit // 64),
        "factors noise, large": best(twice["rank 16 + noise"], unit // 16),
        "factors long": best(wide, unit // 64),
        "factors narrow": best(flat.astype(np.float32), unit // 64),
        "factors narrow, small": best(flat[: 3 * unit // 8, : 3 * unit // 8].astype(np.float32), unit // 64),
        "factors narrow, decaying": best(decaying.astype(np.float32), unit // 64),
        "factors narrow, apart by little": best(power[: unit // 2].astype(np.float32), unit // 16),
        "grid 8 factors": best(flat, unit // 16, lb.Localized(8)),
        "grid 32 factors": best(flat, unit // 16, lb.Localized(32)),
        "grid 128 factors": best(flat, unit // 8, lb.Localized(unit // 8)),
        "long rows": curve(long),
        "long rows, factors": best(long, 4),
    }


def lines_of_code(path):
    """Return how many lines of a file run: without docstrings, comments and empty lines."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    texts = [n.body[0] for n in ast.walk(tree) if isinstance(n, documented) and ast.get_docstring(n)]
    left_out = {line for text in texts for line in range(text.lineno, text.end_lineno + 1)}
    lines = enumerate(path.read_text().splitlines(), 1)
    return sum(bool(t.strip()) and not t.lstrip().startswith("#") and k not in left_out for k, t in lines)


def sizes():
    """Return the table of the files."""
    rows = []
    for path in sorted(Path(gram.__file__).parent.glob("[a-z]*.py")):
        summary = ast.get_docstring(ast.parse(path.read_text())).split("\n\n")[0]
        rows.append([path.name, lines_of_code(path), " ".join(summary.split())])
    return table(["file", "lines", "what it holds"], [*rows, ["all", sum(row[1] for row in rows), ""]])


def without(part, call):
    """Return a call without a part."""

    def run():
        with part.out():
            return call()

    return run


def report(unit):
    """Return the page."""
    calls = cases(unit)
    rows = []
    for part in PARTS:
        for name in part.cases:
            ratio, _, fast = duel(without(part, calls[name]), calls[name])
            rows.append([f"{part.file}.py", part.name, name, f"{1e3 * fast:.0f} ms", f"{ratio:.2f}"])
            print(*rows[-1], sep=" | ", flush=True)
    return "\n".join(
        [
            "# What each part of the kernel buys\n",
            f"Written by `tests/benchmarks/parts.py --write` with matrices of {unit}² entries",
            f"(large: {2 * unit}²). The last column is the time without the part, relative to that with it,",
            "as the median of alternating pairs: above 1 the part makes the call faster.\n",
            table(["file", "part taken out", "case", "with it", "without / with"], rows),
            "## Files\n",
            "Lines that run, without docstrings, comments and empty lines.\n",
            sizes(),
        ]
    )


def main():
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small matrices only, each once")
    parser.add_argument("--write", action="store_true", help="write docs/kernel-parts.md")
    args = parser.parse_args()
    if args.quick:
        once()
    page = report(128 if args.quick else 1024)
    if args.write:
        PAGE.write_text(page)


if __name__ == "__main__":
    main()
