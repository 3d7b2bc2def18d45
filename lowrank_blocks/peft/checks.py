"""Checks of settings, with the values that would do."""

from __future__ import annotations

from typing import Any

from lowrank_blocks._validation import as_count


def counts(family: Any, *names: str) -> None:
    """Make fields of a frozen value positive Python ints, or say which is none."""
    for name in names:
        object.__setattr__(family, name, as_count(getattr(family, name), name, least=1))


def require_most(name: str, value: int, most: int, what: str) -> None:
    """Refuse a setting above a size."""
    if value > most:
        raise ValueError(f"{name} must be at most {what}, {most}, got {value}.")


def require_divides(name: str, value: int, size: int, what: str) -> None:
    """Refuse a setting that does not divide a size, and name the nearest that do."""
    if size % value:
        raise ValueError(f"{name} must divide {what}, {size}, got {value}; {_near(value, divisors(size))}.")


def divisors(size: int) -> list[int]:
    """Return all divisors, ascending."""
    small = [k for k in range(1, int(size**0.5) + 1) if size % k == 0]
    return small + [size // k for k in reversed(small) if k * k != size]


def _near(value: int, allowed: list[int]) -> str:
    below = [k for k in allowed if k < value][-1:]
    above = [k for k in allowed if k > value][:1]
    return f"the nearest that do are {' and '.join(map(str, below + above))}"
