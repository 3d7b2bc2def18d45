"""Kinds of arguments."""

from __future__ import annotations

import argparse
import re

from lowrank_blocks.files import DEFAULT_MEMORY

_DIGITS = 100
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def count(text: str) -> int:
    """Return a non-negative integer."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a non-negative integer, got {_short(text)}")
    if len(text) > _DIGITS:
        raise argparse.ArgumentTypeError(f"must have at most {_DIGITS} digits, got {len(text)}")
    return int(text)


def positive(text: str) -> int:
    """Return a positive integer."""
    if count(text) == 0:
        raise argparse.ArgumentTypeError("must be a positive integer, got 0")
    return int(text)


def memory(text: str) -> int:
    """Return a count of bytes, such as 8G."""
    parts = re.fullmatch(r"([0-9]{1,15})([KMGT])", text)
    if parts is None:
        raise argparse.ArgumentTypeError(f"must be a size such as 500M or 8G, got {_short(text)}")
    return int(parts[1]) * _UNITS[parts[2]]


def add_memory(sub: argparse.ArgumentParser) -> None:
    """Add the option that limits what one matrix may need to be read."""
    sub.add_argument(
        "--memory",
        type=memory,
        default=DEFAULT_MEMORY,
        metavar="SIZE",
        help=f"most that one matrix may need to be read, such as 8G (default {DEFAULT_MEMORY >> 30}G)",
    )


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
