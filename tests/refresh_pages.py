"""Fill in what the pages under docs quote: constants of the code, and tables.

A constant is written as `NAME = value`, or `module.NAME = value` where two modules use one name. A table
follows a comment with its name. ``python tests/refresh_pages.py`` rewrites the pages; a test checks that
there is nothing to rewrite.
"""

import ast
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

import lowrank_blocks as lb

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))

_CONSTANT = re.compile(r"`((?:\w+\.)?_?[A-Z][A-Z_]+) = [^`\n]+`")
_TABLE = re.compile(r"(<!-- table: ([\w ]+) -->\n)(?:\|.*\n)+")


def refreshed(page: str) -> str:
    """Return a page with every constant and every table as the code gives it."""
    page = _CONSTANT.sub(lambda found: f"`{found[1]} = {constant(found[1])}`", page)
    return _TABLE.sub(lambda found: found[1] + TABLES[found[2]](), page)


def constant(name: str) -> str:
    """Return the source text of the value of a constant, wherever in the package it is set."""
    module, _, name = name.rpartition(".")
    values = {value for stem, set_here, value in _assignments() if set_here == name and module in ("", stem)}
    if len(values) != 1:
        raise LookupError(f"{name} must be set once; name its module if it is not, found {values}.")
    return values.pop()


@cache
def _assignments() -> list[tuple[str, str, str]]:
    """Return the module, name and source text of every value that a module of the package names."""
    return [
        (path.stem, ast.unparse(target), ast.unparse(node.value))
        for path in (ROOT / "lowrank_blocks").rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        for target in node.targets
    ]


def false_in_general() -> str:
    """Return the table of comparisons that some matrix refutes, with squared errors at K = 2, r = 2."""
    cases = {
        ("L is never worse than G", r"$\mathrm{diag}(1, 1, 0, 0)$"): (np.diag([1, 1, 0, 0]), "L", "G"),
        ("L is never worse than D", "identity"): (np.eye(4), "L", "D"),
        ("L with free ranks is never worse than G", "four copies of a 2×2 identity, tiled"): (
            np.tile(np.eye(2), (2, 2)),
            "L free",
            "G",
        ),
        ("G is never worse than L", "identity with rows 2 and 3 swapped"): (
            np.eye(4)[[0, 2, 1, 3]],
            "L",
            "G",
        ),
    }
    lines = ["| comparison at the matched budget | refuted by | L | other |", "| :--- | :--- | ---: | ---: |"]
    for words, (W, local, other) in cases.items():
        errors = _squared_errors(W)
        worse, better = (other, local) if words[0].startswith("G") else (local, other)
        if not errors[worse] > errors[better]:
            raise ValueError(f"{words[1]} must refute that {words[0]}, got {errors}.")
        lines.append("| " + " | ".join([*words, f"{errors[local]:g}", f"{errors[other]:g}"]) + " |")
    return "\n".join(lines) + "\n"


def _squared_errors(W: np.ndarray) -> dict[str, float]:
    structures = [lb.Global(), lb.DiagonalLocal(2), lb.Localized(2)]
    rows = lb.compare(W, structures, lb.rank_budget(W.shape, 2)).rows
    return {
        name: round(row.error**2, 6) + 0.0
        for name, row in zip(["G", "D", "D free", "L", "L free"], rows, strict=True)
    }


TABLES: dict[str, Callable[[], str]] = {"false in general": false_in_general}


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(refreshed(path.read_text(encoding="utf-8")), encoding="utf-8")
