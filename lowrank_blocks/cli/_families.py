"""How families of adapters are spelt on the command line, and what is printed of one that was written."""

from __future__ import annotations

import argparse

from lowrank_blocks.cli._models import report_failures
from lowrank_blocks.cli._streams import write
from lowrank_blocks.models.families import FamilyExtraction
from lowrank_blocks.peft.family import Family
from lowrank_blocks.peft.registry import FAMILIES

_NAMES = {family.__name__.lower(): family for family in FAMILIES}
DTYPES = ("float32", "float64", "float16", "bfloat16")


def add_family(sub: argparse.ArgumentParser, what: str, *, required: bool = False) -> None:
    """Add the option that says which family."""
    sub.add_argument(
        "--family",
        type=_spelt,
        required=required,
        metavar="F",
        help=f"{what}: its name and numbers, such as gralora:8x2, oft:16 or ia3; of {', '.join(_NAMES)}",
    )


def report(made: FamilyExtraction) -> int:
    """Print what an adapter misses, and return the exit code."""
    write(f"{made.table.to_text()}relative error {made.relative_error:.4g}, as stored {made.stored:.4g}\n")
    if made.left_out.rows:
        write(f"\nleft out\n{made.left_out.to_text()}")
    return report_failures(made.failed)


def _spelt(text: str) -> Family:
    """Return the family that a name and its numbers spell."""
    name, colon, rest = text.partition(":")
    numbers = rest.split("x") if colon else []
    if name.lower() not in _NAMES:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(_NAMES)}, got {text[:60]!a}")
    if not all(n.isascii() and n.isdigit() and len(n) < 10 for n in numbers):
        raise argparse.ArgumentTypeError(
            f"must have numbers such as 8 or 8x2 after the colon, got {text[:60]!a}"
        )
    try:
        return _NAMES[name.lower()](*map(int, numbers))
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
