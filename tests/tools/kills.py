"""Kill ``lowrank-blocks`` at random moments, run it again, and compare what it writes.

    python tests/tools/kills.py [COUNT] [SEED]

Every case runs one command on a small pair of checkpoints, kills it (SIGKILL) after a random time, runs
it again to its end, and compares every byte of the output folder with that of an uninterrupted run.
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from lowrank_blocks.models.journal import Journal

COMMANDS = [
    ["compare", "--rank", "2", "--blocks", "4"],
    ["extract", "--rank", "2", "--ranks", "plan", "--blocks", "4"],
    ["extract", "--rank", "2", "--structure", "localized", "--blocks", "2"],
]


def write_pair(folder):
    rng = np.random.default_rng(0)
    base = {f"layers.{k}.weight": rng.standard_normal((384, 256)).astype(np.float32) for k in range(160)}
    tuned = {name: w + rng.standard_normal(w.shape).astype(np.float32) for name, w in base.items()}
    save_file(base, folder / "base.safetensors")
    save_file(tuned, folder / "tuned.safetensors")
    return ["--base", str(folder / "base.safetensors"), "--tuned", str(folder / "tuned.safetensors")]


def started(command, out):
    return subprocess.Popen(
        [sys.executable, "-m", "lowrank_blocks", *command, "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def main(count=20, seed=0):
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair = write_pair(folder)
        whole = []
        for k, command in enumerate(COMMANDS):
            start = time.monotonic()
            assert started([*command, *pair], folder / f"whole-{k}").wait() == 0
            whole.append((contents(folder / f"whole-{k}"), time.monotonic() - start))
        killed = 0
        for case in range(count):
            k = case % len(COMMANDS)
            expected, duration = whole[k]
            out = folder / f"killed-{case}"
            process = started([*COMMANDS[k], *pair], out)
            try:
                process.wait(draw.uniform(0, duration))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
            killed += process.returncode != 0
            finished = len(Journal(out))
            again = started([*COMMANDS[k], *pair], out)
            code = again.wait()
            same = contents(out) == expected
            print(f"{case}: {COMMANDS[k][0]}, {finished} results kept, exit {code}, same bytes: {same}")
            if code or not same:
                raise SystemExit(1)
        print(f"{count} runs, {killed} killed before their end, all the same bytes in the end")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
