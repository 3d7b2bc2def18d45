"""A hint where two weights were given in place of their difference."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lowrank_blocks.files import StoredMatrix
from lowrank_blocks.reports.comparison import Comparison

_BEFORE = {"base", "before", "init", "initial", "old", "orig", "original", "pre", "pretrained", "start"}
_AFTER = {"adapted", "after", "final", "finetuned", "ft", "new", "sft", "trained", "tuned"}
_NEAR_ONE = 0.9  # weights have nearly full rank, so that low rank leaves most of the norm

_HINT = (
    "hint: {} and {} were compared each by itself; if they are weights before and after "
    "fine-tuning, compare their difference: np.save('dW.npy', tuned - base)"
)


def update_hint(stored: Sequence[StoredMatrix], comparisons: Sequence[Comparison]) -> str:
    """Return a hint if the matrices seem to be weights before and after fine-tuning, or nothing.

    They seem to be weights where two files hold matrices of equal shape, and either the names say so or
    nearly all of the norm is left at the budget; or where one file holds two such matrices by their names.
    """
    paths = list(dict.fromkeys(m.path for m in stored))
    if len(paths) == 2:
        one, other = map(str, paths)
        first, second = ([k for k, m in enumerate(stored) if m.path == path] for path in paths)
        pairs = _pairs(first, second, stored)
        near_one = all(_is_near_one(comparisons[k]) for pair in pairs for k in pair)
    elif len(paths) == 1 and len(stored) == 2:
        one, other = (str(m.key) for m in stored)
        pairs, near_one = _pairs([0], [1], stored), False
    else:
        return ""
    return _HINT.format(one, other) if pairs and (near_one or _are_before_and_after(one, other)) else ""


def _pairs(one: list[int], other: list[int], stored: Sequence[StoredMatrix]) -> list[tuple[int, int]]:
    """Return which matrices have equal shapes and keys; keys do not count if there is one on each side."""
    alone = len(one) == len(other) == 1
    return [
        (i, j)
        for i in one
        for j in other
        if stored[i].header.shape == stored[j].header.shape and (alone or stored[i].key == stored[j].key)
    ]


def _are_before_and_after(one: str, other: str) -> bool:
    return _follows(one, other) or _follows(other, one)


def _follows(base: str, tuned: str) -> bool:
    """Decide by words; what both names share, such as a folder, cannot be all that distinguishes them."""
    before, after = _words(base), _words(tuned)
    if not (before & _BEFORE and after & _AFTER):
        return False
    return bool((before - after) & _BEFORE or (after - before) & _AFTER)


def _words(path: str) -> set[str]:
    return set(re.findall("[a-z]+", path.lower()))


def _is_near_one(comparison: Comparison) -> bool:
    best = comparison.best
    return best.n_parameters > 0 and best.relative_error > _NEAR_ONE
