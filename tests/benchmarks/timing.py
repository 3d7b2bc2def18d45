"""Alternating measurements in one process, and peak memory in children."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.linalg  # noqa: F401  # its BLAS must be loaded before it can be limited
from threadpoolctl import ThreadpoolController

_controller = ThreadpoolController()
_patience = 2.0  # seconds


def once():
    """Measure every call once from now on: whether it runs is all that is asked."""
    global _patience
    _patience = 0.0


def seconds(call):
    """Return how long one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def rival_seconds(call):
    """Return how long one call takes at one BLAS thread."""
    with _controller.limit(limits=1, user_api="blas"):
        return seconds(call)


def duel(ours, rival):
    """Return the median of the ratio of alternating pairs, and both medians in seconds; see `duels`."""
    return duels([(ours, rival)])[0]


def duels(calls):
    """Return the same for several pairs of calls, taken in turns so that other load slows all of them alike.

    There are 3 to 15 turns after one to warm up, by how long it took; of a pair that took beyond 5 times
    the patience the first is the only one.
    """
    first = [(seconds(ours), rival_seconds(rival)) for ours, rival in calls]
    again = [k for k, pair in enumerate(first) if sum(pair) <= 5 * _patience]
    pairs = [[] if k in again else [pair] for k, pair in enumerate(first)]
    if again:
        turn = sum(sum(first[k]) for k in again)
        for _ in range(min(max(int(_patience * len(again) / turn), 3), 15)):
            for k in again:
                pairs[k].append((seconds(calls[k][0]), rival_seconds(calls[k][1])))
    return [
        tuple(statistics.median(c) for c in zip(*((x / y, x, y) for x, y in p), strict=True)) for p in pairs
    ]


def turns(calls):
    """Return of every call the median of its time, the medians of the ratios of its time and its processor
    time to those of the last call, and the ratio of the least times of both.

    All are called once a turn; there are 7 to 15 turns after one to warm up, by how long it took. Processor
    time is that of all threads of this process. It hardly depends on what else the machine does.
    """
    first = sum(_both(call)[0] for call in calls)
    count = min(max(int(_patience * len(calls) / first), 7), 15)
    taken = np.array([[_both(call) for call in calls] for _ in range(count)])
    time_ratios, busy_ratios = np.median(taken / taken[:, -1:], axis=0).T.tolist()
    times = taken[..., 0]
    least = times.min(axis=0) / times[:, -1].min()
    return list(zip(np.median(times, axis=0).tolist(), time_ratios, busy_ratios, least.tolist(), strict=True))


def _both(call):
    """Return the time and the processor time of one call at one BLAS thread."""
    before = time.process_time()
    taken = rival_seconds(call)
    return taken, time.process_time() - before


def gemm_rate(side=1024, repeats=5):
    """Return the flops a second of a matrix product at one BLAS thread."""
    x = np.random.default_rng(0).standard_normal((side, side))
    y = x.T.copy()
    return 2 * side**3 / statistics.median(rival_seconds(lambda: x @ y) for _ in range(repeats))


def second_core(side=1024, repeats=7):
    """Return how long two products on two threads take, relative to one: 1 if the second core is whole."""
    x = np.random.default_rng(0).standard_normal((side, side))
    y = x.T.copy()
    with ThreadPoolExecutor(2) as pool:
        one = [rival_seconds(lambda: x @ y) for _ in range(repeats)]
        two = [rival_seconds(lambda: list(pool.map(lambda _: x @ y, range(2)))) for _ in range(repeats)]
    return statistics.median(two) / statistics.median(one)


def extra_memory(code, setup):
    """Return by how many bytes a child's peak memory grows while it runs `code` after `setup`."""
    script = (
        f"{setup}\nimport json, resource\n"
        "def peak():\n"
        "    return [int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM')][0]\n"
        "def now():\n"
        "    return [int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmRSS')][0]\n"
        f"before = now()\n{code}\nprint(json.dumps(1024 * (peak() - before)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def import_seconds(module, repeats):
    """Return the time of a fresh interpreter that imports a module, less that of one that does not."""

    def run(code):
        return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))

    return statistics.median(run(f"import {module}") - run("pass") for _ in range(repeats))
