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
import ast
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]
COMPARE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "is": "is not", "is not": "is"}
BINARY = {
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "//": "*",
    "%": "//",
    "**": "*",
    "@": "*",
    "&": "|",
    "|": "&",
}
SYMBOLS = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is",
    ast.IsNot: "is not", ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//",
    ast.Mod: "%", ast.Pow: "**", ast.MatMult: "@", ast.BitAnd: "&", ast.BitOr: "|",
}  # fmt: skip
NAMES = {
    "min": "max",
    "minimum": "maximum",
    "any": "all",
    "argmin": "argmax",
    "left": "right",
    "floor": "ceil",
}
NAMES |= {new: old for old, new in NAMES.items()}
ROOMS = {  # the tests that see a room, those that are quick and see most first
    "linalg": "kernel_svd kernel_eigen kernel_lapack kernel_levels kernel_deflation "
    "kernel_crossovers byte_order kernel_certificates kernel_accuracy kernel_bounds narrow_rounding "
    "kernel_threads kernel_limit truncation adapters_in",
    "structures": "structures layouts products partitions partition laws best_partition",
    "allocation": "ranks dense_blocks budgets layers bounds monotone curves rank_or_budget partition_curve",
    "solver": "weights kronecker_weights truncation bounds products ownership copies "
    "optimum curves rank_or_budget narrow_rounding laws",
    "checkpoints": "checkpoints cli_checkpoints cli_refusals",
    "adapters": "adapters products_as_lora adapters_in cli_checkpoints",
    "search": "candidates search best_partition search_planted partition_curve theorems",
    "peft": "families atlas family_extraction",
    "models": "plans layers layers_of_matrices work adapters cli_checkpoints cli_refusals bounds "
    "model_weights compared_weights weighted_adapters weighted_journal",
    "reports": "reports reports_of_many page best_partition tables cli_checkpoints",
    "datasets": "synthetic files",
    "experiments": "reproduce",
    "files": "files file_kinds cli_files cli_names",
    "cli": "cli cli_usage cli_names cli_files cli_checkpoints cli_refusals cli_weights cli_streams",
    "plotting": "plotting partitions picture_colours",
    "_validation": "bad_input tensors byte_order rank_or_budget",
    "_tables": "tables reports curves",
    "_escaping": "escaping cli_names tables",
    "_results": "copies ownership",
    "_calls": "named_calls bad_input",
}
OTHERS = (  # rooms whose tests compute and compare; not pictures, pages, notebooks and processes
    "allocation solver models search structures datasets reports files _validation _results linalg"
)


@dataclass(frozen=True)
class Mutant:
    """One change of one file: the text from `start` to `end` becomes `new`."""

    path: Path
    line: int
    start: int
    end: int
    old: str
    new: str

    def __str__(self) -> str:
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.path.relative_to(ROOT)}:{self.line}: {old}  ->  {new}"


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


def draw(paths: list[Path], count: int, seed: int) -> list[Mutant]:
    """Return distinct mutants, each place of any file equally likely."""
    places = [mutant for path in paths for mutant in mutants_of(path)]
    return random.Random(seed).sample(places, min(count, len(places)))


def mutants_of(path: Path) -> list[Mutant]:
    text = path.read_text(encoding="utf-8")
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    raw = text.encode()

    def place(node: ast.AST) -> tuple[int, int]:
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset

    found = []
    tree = ast.parse(text)
    for node in code_of(tree):
        for start, end, new in changes(node, place, raw):
            mutant = Mutant(path, node.lineno, start, end, raw[start:end].decode(), new)
            if parses(raw, mutant):
                found.append(mutant)
    return found


def code_of(tree: ast.AST):
    """Yield the nodes that run, without annotations, the texts of errors, and ``strict=``, a safeguard."""
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_comment"):
                continue
            children = value if isinstance(value, list) else [value]
            pending += [
                c
                for c in children
                if isinstance(c, ast.AST)
                and not isinstance(c, (ast.Raise, ast.JoinedStr, ast.ImportFrom))
                and not (isinstance(c, ast.keyword) and c.arg == "strict")
            ]


def changes(node, place, raw):
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield from between(
            node.left, node.comparators[0], SYMBOLS.get(type(node.ops[0])), COMPARE, place, raw
        )
    elif isinstance(node, ast.BinOp):
        yield from between(node.left, node.right, SYMBOLS.get(type(node.op)), BINARY, place, raw)
    elif isinstance(node, ast.BoolOp):
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        yield from between(node.values[0], node.values[1], old, {old: new}, place, raw)
    elif isinstance(node, ast.UnaryOp):
        start, end = place(node)
        yield start, end, raw[slice(*place(node.operand))].decode()
    elif isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        start, end = place(node)
        value = node.value
        yield (
            start,
            end,
            repr(not value if isinstance(value, bool) else value + 1 if value in (0, 1, 2) else 2 * value),
        )
    elif isinstance(node, (ast.Name, ast.Attribute)):
        name = node.id if isinstance(node, ast.Name) else node.attr
        start, end = place(node)
        if name in NAMES:
            yield end - len(name.encode()), end, NAMES[name]
        elif name == "T" and isinstance(node, ast.Attribute):
            yield start, end, raw[slice(*place(node.value))].decode()
    elif isinstance(node, ast.Call) and len(node.args) >= 2:
        a, b = place(node.args[0]), place(node.args[1])
        first, gap, second = raw[slice(*a)], raw[a[1] : b[0]], raw[slice(*b)]
        called = node.func.id if isinstance(node.func, ast.Name) else ""
        if first != second and called not in ("min", "max", "isinstance"):
            yield a[0], b[1], (second + gap + first).decode()


def between(left, right, old, table, place, raw):
    """Yield the change of an operator, which stands between its operands."""
    if old not in table:
        return
    start, end = place(left)[1], place(right)[0]
    at = raw[start:end].decode().find(old)
    if at >= 0:
        begin = start + len(raw[start:end].decode()[:at].encode())
        yield begin, begin + len(old), table[old]


def parses(raw: bytes, mutant: Mutant) -> bool:
    try:
        ast.parse(raw[: mutant.start] + mutant.new.encode() + raw[mutant.end :])
    except SyntaxError:
        return False
    return mutant.old != mutant.new


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
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "--no-header",
            "-p",
            "no:cacheprovider",
            "-m",
            "",
        ]
        command += ["--hypothesis-profile=unshrunk", *(f"tests/test_{name}.py" for name in tests)]
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
