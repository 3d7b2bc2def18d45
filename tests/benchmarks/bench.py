"""Measure lowrank_blocks against its rivals: ratios of medians, excess errors, memory.

    python tests/benchmarks/bench.py                           all parts, in half an hour
    python tests/benchmarks/bench.py --only factors blocks     some of them
    python tests/benchmarks/bench.py --quick                   small cases once, in seconds
    python tests/benchmarks/bench.py --write                   into docs/benchmarks.md; other parts are kept

Rivals run at one BLAS thread, we at our default; calls alternate in one process. A ratio below 1 means
that we are faster.
"""

from __future__ import annotations

import argparse
import platform
import re
from pathlib import Path

import numpy as np
import rivals
import scipy
from measures import (
    LARGE,
    NAMES,
    all_blocks,
    built_on_it,
    curves,
    factor_cases,
    factors,
    imports,
    memory,
    spectra,
)
from timing import once, second_core

from lowrank_blocks.linalg.threads import workers

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"

FULL = {
    "curves": [(side, NAMES) for side in (256, 1024, 2048, 4096)],
    "values": (256, 768, 2048, 4096),
    "factors": [
        *((256, 256, rank) for rank in (1, 8, 64)),
        *((768, 768, rank) for rank in (1, 16, 64)),
        (768, 3072, 16),
        (4096, 1024, 32),
        (2048, 2048, 64),
        (4096, 4096, 64),
    ],
    "blocks": [
        *((256, parts, 4, NAMES[:1]) for parts in (2, 4, 8)),
        *((1024, parts, 64 // parts, NAMES[:2]) for parts in (2, 4, 8, 16, 32)),
        (2048, 8, 8, NAMES),
        (2048, 32, 4, NAMES[:1]),
        (4096, 8, 8, NAMES[:1]),
    ],
    "built": 1024,
    "memory": 4096,
    "import": 7,
}
QUICK = {
    "curves": [(256, NAMES[:2])],
    "values": (128,),
    "factors": [(128, 128, 4)],
    "blocks": [(256, 8, 2, NAMES)],
    "built": 128,
    "memory": 512,
    "import": 1,
}


def of_curves(cases):
    """Return both tables of the curves."""
    times, errors = curves(cases)
    return (
        f"{times}\nBy how much a curve is off at its worst step, measured against numpy and certified,\n"
        f"relative to the norm of the matrix:\n\n{errors}"
    )


def of_factors(shapes):
    """Return both tables of the leading factors."""
    times, excesses = factors(factor_cases(shapes))
    left = "What is left above the optimum, as relative error; below 1e-15 it is rounding:"
    return f"{times}\n{left}\n\n{excesses}"


PARTS = {
    "curves": ("Error curves against numpy's batched singular values", of_curves),
    "values": ("One block: all singular values", spectra),
    "factors": ("One block: leading factors", of_factors),
    "blocks": ("All blocks of a grid", all_blocks),
    "built": ("What is built on it", built_on_it),
    "memory": ("Memory", memory),
    "import": ("Import", imports),
}


def introduction():
    """Return what stands above the parts."""
    missing = f"Not installed, hence left out: {', '.join(rivals.MISSING)}.\n" if rivals.MISSING else ""
    return (
        "# Benchmarks\n\n"
        "Written by `tests/benchmarks/bench.py --write`. Rivals run at one BLAS thread, we at our\n"
        "default; calls alternate in one process, the first table in turns, so that a busy minute falls on\n"
        "all alike; medians. Ratios below 1 mean that we are faster. Below each part stands where it was\n"
        "measured, and how long two products on two threads took, relative to one: our workers gain the\n"
        f"less, the longer it is. Bold: within its target. For smaller sides above {LARGE} numpy's full SVD\n"
        f"stands for those of scipy and torch.\n{missing}"
    )


def measured(name, cases):
    """Return one part of the page."""
    title, measure = PARTS[name]
    before, body = second_core(), measure(cases[name])
    machine = f"{platform.machine()}, {workers()} workers, numpy {np.__version__}, scipy {scipy.__version__}"
    beside = f"two threads took {before:.2f} times as long as one before, {second_core():.2f} after"
    return f"## {title}\n\n{body}\n{machine}; {beside}.\n"


def merged(page, parts):
    """Return a page with these parts in place of its own of the same titles, all in order."""
    kept = {part.splitlines()[0]: part for part in re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]}
    kept |= {part.splitlines()[0]: part for part in parts}
    titles = [f"## {title}" for title, _ in PARTS.values()]
    return "\n".join([introduction(), *(kept[title].strip() + "\n" for title in titles if title in kept)])


def main():
    """Print the parts, or write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="some parts")
    parser.add_argument("--quick", action="store_true", help="small cases only, each once")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    args = parser.parse_args()
    if args.quick:
        once()
    print(introduction())
    for name in args.only:
        part = measured(name, QUICK if args.quick else FULL)
        print(part, flush=True)
        if args.write:
            PAGE.write_text(merged(PAGE.read_text(), [part]))


if __name__ == "__main__":
    main()
