"""How structures are spelt on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.circulant import BlockCirculant
from lowrank_blocks.structures.grids import DiagonalLocal, Global, Localized
from lowrank_blocks.structures.hodlr import HODLR
from lowrank_blocks.structures.kronecker import Kronecker
from lowrank_blocks.structures.monarch import Monarch
from lowrank_blocks.structures.sparse import Sparse
from lowrank_blocks.structures.tied import Tied


class _Spelling(NamedTuple):
    make: Callable[..., Structure]
    counts: tuple[int, ...]  # how many numbers may follow the colon
    parts: bool = False  # whether --blocks stands in for them


SPELLINGS = {
    "global": _Spelling(Global, (0,)),
    "localized": _Spelling(Localized, (1, 2), parts=True),
    "stripes": _Spelling(lambda parts: Localized(parts, 1), (1,), parts=True),
    "column-stripes": _Spelling(lambda parts: Localized(1, parts), (1,), parts=True),
    "diagonal": _Spelling(DiagonalLocal, (1,), parts=True),
    "monarch": _Spelling(Monarch, (1, 2), parts=True),
    "kronecker": _Spelling(Kronecker, (2,)),
    "hodlr": _Spelling(HODLR, (1,)),
    "hodlr-dense": _Spelling(lambda depth: HODLR(depth, dense_leaves=True), (1,)),
    "circulant": _Spelling(BlockCirculant, (1,)),
    "tied-rows": _Spelling(lambda classes: Tied(rows=classes), (1,)),
    "tied-columns": _Spelling(lambda classes: Tied(cols=classes), (1,)),
    "sparse": _Spelling(Sparse, (0,)),
}
DEFAULT = "global", "diagonal", "localized"
_HELP = (
    "such as localized:4, diagonal:4, stripes:4, monarch:4x4, kronecker:16x16, hodlr:3, circulant:8, sparse"
)


def add_structures(sub: argparse.ArgumentParser, what: str) -> None:
    """Add the options that say which structures."""
    add = sub.add_argument
    add("--structure", action="append", type=_spelt, metavar="S", help=f"{what}; {_HELP}")


def structures(spelt: Sequence[str], blocks: int) -> list[Structure]:
    """Return the structures that are spelt; `blocks` stands for the parts of those that name none."""
    return [_made(text, blocks) for text in dict.fromkeys(spelt)]


def _spelt(text: str) -> str:
    """Return a spelling if it names a structure."""
    try:
        _made(text, 1)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _made(text: str, blocks: int) -> Structure:
    name, colon, rest = text.partition(":")
    if name not in SPELLINGS:
        raise ValueError(f"must be one of {', '.join(SPELLINGS)}, got {text[:60]!a}")
    spelling = SPELLINGS[name]
    numbers = rest.split("x") if colon else []
    if not all(n.isascii() and n.isdigit() and len(n) < 10 for n in numbers):
        raise ValueError(f"must have numbers such as 4 or 4x4 after the colon, got {text[:60]!a}")
    if not numbers and spelling.parts:
        numbers = [str(blocks)]
    if len(numbers) not in spelling.counts:
        wanted = " or ".join(map(str, spelling.counts))
        plural = "" if spelling.counts == (1,) else "s"
        raise ValueError(
            f"must have {wanted} number{plural} after {name}, such as {_example(name)}, got {text[:60]!a}"
        )
    return spelling.make(*map(int, numbers))


def _example(name: str) -> str:
    return f"{name}:{'x'.join('4' * SPELLINGS[name].counts[-1])}".removesuffix(":")
