"""A hint where two weights were given in place of their difference."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lowrank_blocks.files import StoredMatrix
from lowrank_blocks.reports.comparison import Comparison

_BEFORE = {"base", "before", "init", "initial", "old", "orig", "original", "pre", "pretrained", "start"}
_AFTER = {"adapted", "after", "final", "finetuned", "ft", "new", "sft", "trained", "tuned"}
_NEAR_ONE = 0.9  # weights have nearly full rank, so that low rank leaves most of the norm


def update_hint(stored: Sequence[StoredMatrix], comparisons: Sequence[Comparison]) -> str:
    """Return a hint if two files seem to be weights before and after fine-tuning, or nothing.

    They seem so where they hold matrices of equal shape, and are named like that or leave nearly all
    of their norm at the budget.
    """
    paths = list(dict.fromkeys(m.path for m in stored))
    if len(paths) != 2:
        return ""
    first, second = (
        [(m, c) for m, c in zip(stored, comparisons, strict=True) if m.path == path] for path in paths
    )
    pairs = [(a, b) for a in first for b in second if _are_alike(a[0], b[0], len(first) == len(second) == 1)]
    named = _named(str(paths[0]), str(paths[1])) or _named(str(paths[1]), str(paths[0]))
    if not pairs or not (named or all(_is_near_one(c) for pair in pairs for _, c in pair)):
        return ""
    return (
        f"hint: {paths[0]} and {paths[1]} were compared each by itself; if they are weights before and after "
        "fine-tuning, compare their difference: np.save('dW.npy', tuned - base)"
    )


def _are_alike(one: StoredMatrix, other: StoredMatrix, alone: bool) -> bool:
    return one.header.shape == other.header.shape and (alone or one.key == other.key)


def _named(base: str, tuned: str) -> bool:
    return bool(_words(base) & _BEFORE) and bool(_words(tuned) & _AFTER)


def _words(path: str) -> set[str]:
    return set(re.findall("[a-z]+", path.lower()))


def _is_near_one(comparison: Comparison) -> bool:
    best = comparison.best
    return best.n_parameters > 0 and best.relative_error > _NEAR_ONE
