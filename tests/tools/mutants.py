"""Random mutants of the package: which of them do the tests see?

Every mutant changes one operator, constant, name or order of arguments in one module, at a place
drawn by a seed. The tests of the module's room are run on it in a copy of the tree, and those of the
other rooms if these pass. Tests that are not done within the limit hang, which is seen, too. Every
mutant is printed with its place, its change and the test that sees it.

    python tests/tools/mutants.py --count 100 --seed 1
    python tests/tools/mutants.py --count 100 --seed 1 --only 'lowrank_blocks/allocation/*'
    python tests/tools/mutants.py --modules 'lowrank_blocks/allocation/*.py' --count 20
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

from mutations import ROOT, Mutant, draw
from tqdm import tqdm

ROOMS = {  # the tests that see a room, those that are quick and see most first
    "linalg": "kernel_svd kernel_eigen kernel_addresses kernel_lapack kernel_stacks kernel_levels "
    "kernel_deflation "
    "kernel_crossovers byte_order kernel_certificates kernel_accuracy kernel_bounds narrow_rounding "
    "kernel_threads kernel_limit kernel_small kernel_looks kernel_lanczos kernel_beyond kernel_missed "
    "truncation adapters_in families seen_by_mutants",
    "structures": "structures layouts products partitions partition laws best_partition",
    "allocation": "ranks dense_blocks budgets layers bounds monotone curves rank_or_budget partition_curve",
    "solver": "weights kronecker_weights truncation bounds products ownership copies "
    "optimum curves rank_or_budget narrow_rounding laws",
    "checkpoints": "checkpoints checkpoints_damaged cli_checkpoints cli_refusals",
    "adapters": "adapters products_as_lora adapters_in adapters_refused cli_checkpoints",
    "search": "candidates search best_partition search_planted partition_curve theorems structures",
    "peft": "families family_oracles family_input family_reading family_files family_extraction "
    "cli_families atlas",
    "models": "plans layers layers_of_matrices work adapters cli_checkpoints cli_refusals bounds "
    "model_weights compared_weights weighted_adapters weighted_journal",
    "reports": "reports reports_of_many page atlas_page best_partition tables cli_checkpoints",
    "datasets": "synthetic files",
    "experiments": "reproduce",
    "files": "files file_kinds cli_files cli_names",
    "cli": "cli cli_usage cli_names cli_files cli_checkpoints cli_refusals cli_weights cli_streams",
    "plotting": "plotting partitions picture_colours",
    "_validation": "bad_input bad_allocations tensors byte_order rank_or_budget",
    "_tables": "tables reports curves",
    "_escaping": "escaping cli_names tables",
    "_results": "copies ownership",
    "_calls": "named_calls bad_input bad_allocations",
}
OTHERS = (  # rooms whose tests compute and compare; not pictures, pages, notebooks and processes
    "allocation solver models search structures datasets reports files _validation _results linalg"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=20, help="mutants to run (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="seed of their places (default 0)")
    parser.add_argument("--modules", nargs="*", help="globs below the root; all but pictures if none")
    parser.add_argument("--limit", type=float, default=900, help="seconds after which tests hang")
    parser.add_argument("--only", default="*", help="run only those of the drawn in files of this glob")
    parser.add_argument("--quick", action="store_true", help="run the tests of the room only")
    parser.add_argument("--list", action="store_true", help="print the mutants and run nothing")
    args = parser.parse_args()
    chosen = draw(modules(args.modules), args.count, args.seed)
    chosen = [m for m in chosen if fnmatch(str(m.path.relative_to(ROOT)), args.only)]
    if args.list:
        print(*chosen, sep="\n")
        return 0
    killed = 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder) / "tree", args.limit, quick=args.quick)
        for mutant in tqdm(sorted(chosen, key=lambda m: (m.path, m.start)), disable=None):
            seen = bench.seen(mutant)
            killed += bool(seen)
            print(f"{mutant}\n    {seen or 'SURVIVED'}", flush=True)
    print(f"{killed} of {len(chosen)} mutants killed")
    return 0


def modules(globs: list[str] | None) -> list[Path]:
    found = [p for g in globs or ["lowrank_blocks/**/*.py"] for p in sorted(ROOT.glob(g))]
    return [p for p in found if p.name != "__init__.py" and (globs or "plotting" not in p.parts)]


class Bench:
    """A copy of the tree in which mutants are tried, one after another."""

    def __init__(self, root: Path, limit: float, *, quick: bool) -> None:
        self.root, self.limit, self.quick = root, limit, quick
        ignored = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, root, ignore=ignored)

    def seen(self, mutant: Mutant) -> str:
        """Run the tests on a mutant, and return the one that fails; an empty text if all pass."""
        target = self.root / mutant.path.relative_to(ROOT)
        raw = target.read_bytes()
        room = mutant.path.relative_to(ROOT / "lowrank_blocks").parts[0].removesuffix(".py")
        self.write(target, raw[: mutant.start] + mutant.new.encode() + raw[mutant.end :])
        try:
            return next(filter(None, map(self.failing, self.stages(room))), "")
        finally:
            self.write(target, raw)

    def stages(self, room: str) -> list[list[str]]:
        """Return the tests to run, one stage after another."""
        first = ROOMS.get(room, "laws").split()
        later = dict.fromkeys(name for other in OTHERS.split() for name in ROOMS[other].split())
        return [first] if self.quick else [first, [name for name in later if name not in first]]

    def failing(self, tests: list[str]) -> str:
        """Run tests in a session of their own, which is ended as a whole where it hangs."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
        command += ["-m", "", "--hypothesis-profile=unshrunk", *(f"tests/test_{name}.py" for name in tests)]
        environment = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(self.root), "MPLBACKEND": "Agg"}
        with (
            tempfile.TemporaryFile("w+", errors="replace") as output,
            subprocess.Popen(
                command, cwd=self.root, env=os.environ | environment, start_new_session=True,
                stdout=output, stderr=output,
            ) as process,
        ):  # fmt: skip
            try:
                if process.wait(self.limit) == 0:
                    return ""
            except subprocess.TimeoutExpired:
                return f"not done within {self.limit:.0f} s"
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            output.seek(0)
            lines = output.read().splitlines()
            return next((line for line in lines if line.startswith(("FAILED", "ERROR"))), "ended early")[:150]

    @staticmethod
    def write(target: Path, raw: bytes) -> None:
        """Replace a file, and what was compiled of it: its time of change is too coarse to tell."""
        target.write_bytes(raw)
        for compiled in target.parent.glob(f"__pycache__/{target.stem}.*"):
            compiled.unlink()


if __name__ == "__main__":
    sys.exit(main())
