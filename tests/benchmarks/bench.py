"""Measure lowrank_blocks against its rivals: ratios of medians, excess errors, memory.

    python tests/benchmarks/bench.py            all cases, about half an hour
    python tests/benchmarks/bench.py --quick    small cases once, in seconds
    python tests/benchmarks/bench.py --write    all cases, into docs/benchmarks.md

Rivals run at one BLAS thread, we at our default; calls alternate in one process. A ratio below 1 means
that we are faster.
"""

from __future__ import annotations

import argparse
import platform
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
    "spectra": (256, 768, 2048, 4096),
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
    "built on it": 1024,
    "memory": 4096,
    "imports": 7,
}
QUICK = {
    "curves": [(256, NAMES[:2])],
    "spectra": (128,),
    "factors": [(128, 128, 4)],
    "blocks": [(256, 8, 2, NAMES)],
    "built on it": 128,
    "memory": 512,
    "imports": 1,
}


def report(cases):
    """Yield the page, a part as soon as it is measured."""
    machine = f"{platform.machine()}, {workers()} workers, numpy {np.__version__}, scipy {scipy.__version__}"
    missing = [f"Not installed, hence left out: {', '.join(rivals.MISSING)}."] if rivals.MISSING else []
    yield from [
        "# Benchmarks\n",
        f"Written by `tests/benchmarks/bench.py --write` ({machine}). Rivals run at one",
        "BLAS thread, we at our default; calls alternate in one process, the first table in turns,",
        "so that a busy minute falls on all alike; medians. Ratios below 1 mean that we are faster.",
        f"Two products on two threads took {second_core():.2f} times as long as one at the start, and",
        "as the last line says at the end; our workers gain the less, the larger it is.",
        f"Bold: within its target. For smaller sides above {LARGE} numpy's full SVD stands for those of"
        " scipy and torch.",
        *missing,
    ]
    times, errors = curves(cases["curves"])
    yield from ["\n## Error curves against numpy's batched singular values\n", times]
    yield "By how much a curve is off at its worst step, measured against numpy and certified,"
    yield from ["relative to the norm of the matrix:\n", errors]
    yield from ["## One block: all singular values\n", spectra(cases["spectra"])]
    times, excesses = factors(factor_cases(cases["factors"]))
    yield from ["## One block: leading factors\n", times]
    yield from ["What is left above the optimum, as relative error; below 1e-15 it is rounding:\n", excesses]
    yield from ["## All blocks of a grid\n", all_blocks(cases["blocks"])]
    yield from ["## What is built on it\n", built_on_it(cases["built on it"])]
    yield from ["## Memory\n", memory(cases["memory"])]
    yield from ["## Import\n", imports(cases["imports"])]
    yield f"\nTwo products on two threads took {second_core():.2f} times as long as one at the end."


def main():
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small cases only, each once")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    args = parser.parse_args()
    if args.quick:
        once()
    parts = []
    for part in report(QUICK if args.quick else FULL):
        print(part, flush=True)
        parts.append(part)
    if args.write:
        PAGE.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
