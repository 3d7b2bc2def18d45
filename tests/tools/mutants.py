"""Random mutants of the package: which of them do the tests see?

Every mutant changes one operator, constant, name or order of arguments in one module, at a place
drawn by a seed. The tests of the module's room are run on it in a copy of the tree, then all tests
if those pass. A mutant that no test sees is printed with its place and its change.

    python tests/tools/mutants.py --count 100 --seed 1
    python tests/tools/mutants.py --modules 'lowrank_blocks/allocation/*.py' --count 20
"""

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
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
    "linalg": "kernel_bounds kernel_levels kernel_svd kernel_eigen kernel_lapack kernel_certificates "
    "kernel_accuracy kernel_crossovers kernel_deflation kernel_workspace narrow_rounding byte_order "
    "kernel_threads kernel_limit",
    "structures": "partition layouts partitions products laws best_partition",
    "allocation": "ranks budgets bounds layers monotone curves rank_or_budget partition_curve",
    "solver": "bounds products ownership copies optimum curves rank_or_budget narrow_rounding laws",
    "search": "candidates search best_partition search_planted partition_curve theorems",
    "models": "layers layers_of_matrices bounds",
    "reports": "reports reports_of_many best_partition tables",
    "datasets": "synthetic files",
    "experiments": "reproduce",
    "files": "files file_kinds cli_files cli_names",
    "cli": "cli cli_usage cli_names cli_streams cli_files",
    "plotting": "plotting partitions picture_colours",
    "_validation": "bad_input tensors byte_order rank_or_budget",
    "_tables": "tables reports curves",
    "_escaping": "escaping cli_names tables",
    "_results": "copies ownership",
    "_calls": "named_calls bad_input",
}


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
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one run of tests")
    parser.add_argument("--quick", action="store_true", help="run the tests of the room only")
    parser.add_argument("--list", action="store_true", help="print the mutants and run nothing")
    args = parser.parse_args()
    chosen = draw(modules(args.modules), args.count, args.seed)
    if args.list:
        print(*chosen, sep="\n")
        return 0
    survivors = [m for m in tqdm(chosen, disable=None) if survives(m, args.timeout, quick=args.quick)]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants killed")
    print(*survivors, sep="\n")
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
    """Yield the nodes that run, without annotations, docstrings and the texts of errors."""
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
                if isinstance(c, ast.AST) and not isinstance(c, (ast.Raise, ast.JoinedStr, ast.ImportFrom))
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


def survives(mutant: Mutant, timeout: float, *, quick: bool) -> bool:
    """Run the tests on a mutant; True if all pass."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "tree"
        ignored = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, root, ignore=ignored)
        target = root / mutant.path.relative_to(ROOT)
        raw = target.read_bytes()
        target.write_bytes(raw[: mutant.start] + mutant.new.encode() + raw[mutant.end :])
        room = mutant.path.relative_to(ROOT / "lowrank_blocks").parts[0].removesuffix(".py")
        first = [root / "tests" / f"test_{name}.py" for name in ROOMS.get(room, "laws").split()]
        runs = [first] if quick else [first, [root / "tests"]]
        return all(passes(root, paths, timeout) for paths in runs)


def passes(root: Path, paths: list[Path], timeout: float) -> bool:
    left_out = ["test_notebooks.py", "test_mutants.py", "test_readme.py"]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    command += [f"--ignore={root / 'tests' / name}" for name in left_out]
    environment = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(root), "MPLBACKEND": "Agg"}
    try:
        done = subprocess.run(
            command + [str(p) for p in paths], cwd=root, timeout=timeout, capture_output=True,
            env=environment | {k: v for k, v in os.environ.items() if k not in environment},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
