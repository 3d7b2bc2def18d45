"""Call the package from many threads at once: the same bits, one BLAS thread inside, and how fast.

    python tests/tools/many_threads.py --threads 8 --calls 200

Leave OPENBLAS_NUM_THREADS unset, so that there is something to limit. The main thread makes as many calls
alone, before and after; the ratio is of the times of all calls. It exits with 1 if bits differ, if BLAS
had more than one thread during the calls, or if it has another number of threads afterwards than before.
The time is only printed.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.linalg  # noqa: F401  # its BLAS is to be limited, too
from threadpoolctl import ThreadpoolController

import lowrank_blocks as lb
from lowrank_blocks.linalg import factors, values

BLAS = ThreadpoolController().select(user_api="blas")


def blas_threads():
    """Return the numbers of threads that the BLAS libraries report in this thread."""
    return {library.num_threads for library in BLAS.lib_controllers}


def cases():
    """Return calls without arguments that go through every solver; each returns arrays."""
    rng = np.random.default_rng(0)
    flat = rng.standard_normal((150, 140))
    steep = flat * 10.0 ** (-np.arange(140) / 12)
    spiked = rng.standard_normal((270, 20)) @ rng.standard_normal((20, 260)) * 1e3
    spiked += rng.standard_normal(spiked.shape)
    large = rng.standard_normal((530, 515)) / (1 + np.arange(515))
    return [
        lambda: _numbers(lb.approximate(flat, lb.Global(), rank(flat, 9))),
        lambda: _numbers(lb.approximate(steep, lb.Localized(2), rank(steep, 30))),
        lambda: _numbers(lb.approximate(spiked, lb.Global(), rank(spiked, 18))),
        lambda: _numbers(lb.approximate(large, lb.Global(), rank(large, 12))),
        lambda: lb.decompose(flat, lb.Localized(8)).spectra,
        lambda: lb.decompose(spiked, lb.Global()).spectra,
        lambda: [lb.error_curve(steep, lb.DiagonalLocal(4)).relative_error],
    ]


def rank(matrix, number):
    """Return the budget of a global rank."""
    return lb.rank_budget(matrix.shape, number)


def _numbers(made):
    return [*(f for pair in made.factors for f in pair), np.array(made.error), made.ranks]


def digest(arrays):
    """Return a hash of the bits of arrays."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def observed(solve, seen):
    """Return a solver that notes how many threads BLAS has before and after it solves."""

    def noting(*args, **options):
        seen.update(blas_threads())
        found = solve(*args, **options)
        seen.update(blas_threads())
        return found

    return noting


def run(threads, calls, turns):
    """Make the calls from all threads, or from the main thread alone, in turns.

    Return what differed, what was seen of BLAS, and how long every turn took.
    """
    todo = cases()
    expected = [digest(call()) for call in todo]
    wrong, start = [], threading.Barrier(threads)

    def work(number, alone=False):
        if not alone:
            start.wait()
        cases_ = (k % len(todo) for k in range(number, number + calls))
        wrong.extend(case for case in cases_ if digest(todo[case]()) != expected[case])

    before, inside = blas_threads(), set()
    factors.leading = observed(factors.leading, inside)
    values.by_gram = observed(values.by_gram, inside)
    times = []
    for alone in turns:
        begin = time.perf_counter()
        if alone:
            for number in range(threads):
                work(number, alone=True)
        else:
            with ThreadPoolExecutor(threads) as pool:
                for done in [pool.submit(work, number) for number in range(threads)]:
                    done.result()
        times.append(time.perf_counter() - begin)
    return wrong, before, inside, blas_threads(), times


def main():
    """Print what was seen; end with 1 if it must not be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--calls", type=int, default=200, help="of each thread")
    parser.add_argument("--untimed", action="store_true", help="leave out the main thread's turns")
    args = parser.parse_args()
    turns = [False] if args.untimed else [True, False, True]
    wrong, before, inside, after, times = run(args.threads, args.calls, turns)
    print(f"{args.threads} threads × {args.calls} calls: {len(wrong)} with other bits {sorted(set(wrong))}")
    print(f"BLAS threads before {before}, inside {inside}, after {after}")
    if not args.untimed:
        print(
            f"all threads {times[1]:.1f} s, main thread alone {times[0]:.1f} s and {times[2]:.1f} s:", end=" "
        )
        print(f"{times[1] / statistics.mean(times[::2]):.2f} times as long")
    sys.exit(bool(wrong) or not inside <= {1} or before != after)


if __name__ == "__main__":
    main()
