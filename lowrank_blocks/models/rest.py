"""What an adapter does not hold of the difference of two checkpoints, and how much of it that is."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lowrank_blocks._tables import Table
from lowrank_blocks._validation import Matrix
from lowrank_blocks.checkpoints.tensors import widened
from lowrank_blocks.checkpoints.updates import CHOSEN, Updates
from lowrank_blocks.linalg import common_exponent, energy, scaled

_SLAB = 1 << 16  # entries that are widened at a time
_PLAIN = 2.0**-400  # energies above it, and below its inverse, are sums of squares that did not vanish
_EMBEDDING = re.compile(r"(^|[._])(wte|wpe|embed\w*|\w*embeddings?|shared)\.weight$")


@dataclass(frozen=True)
class LeftOut:
    """The tensors that an adapter does not hold.

    Attributes
    ----------
    reasons : dict of str to str
        Why, by name.
    norms : dict of str to float or None
        Frobenius norm of the difference of each; None where there is none, as of unequal shapes.
    held : float
        Frobenius norm of the difference of all matrices that the adapter approximates.
    """

    reasons: Mapping[str, str]
    norms: Mapping[str, float | None]
    held: float

    @property
    def share_held(self) -> float:
        """Share of the squared difference of all tensors in the matrices that the adapter approximates."""
        total = math.hypot(self.held, *(norm for norm in self.norms.values() if norm is not None))
        return (self.held / total) ** 2 if total else 1.0

    @property
    def table(self) -> Table:
        """One row a tensor: the reason, the norm of its difference, and its share of all of it, squared."""
        total = math.hypot(self.held, *(norm for norm in self.norms.values() if norm is not None))
        rows = []
        for name, reason in self.reasons.items():
            norm = self.norms[name]
            share = None if norm is None else (norm / total) ** 2 if total else 0.0
            rows.append((name, reason, norm, share))
        return Table(("name", "reason", "norm", "share"), tuple(rows))


def is_embedding(name: str) -> bool:
    """Whether a weight belongs to an embedding, by its name."""
    return _EMBEDDING.search(name) is not None


def left_out(
    updates: Updates, reasons: Mapping[str, str], held: float, norms: Mapping[str, float | None]
) -> LeftOut:
    """Return what is left out, with the norms of the differences; one tensor is held in memory at a time.

    Parameters
    ----------
    updates : Updates
        Of the two checkpoints.
    reasons : dict of str to str
        The tensors, and why each is left out.
    held : float
        Norm of the difference of the others.
    norms : dict of str to float or None
        Of tensors for which `norm_of_difference` is known.
    """
    found = {name: norms[name] if name in norms else norm_of_difference(updates, name) for name in reasons}
    return LeftOut(dict(reasons), found, held)


def whole_tensors(updates: Updates, reasons: Mapping[str, str], lost: LeftOut) -> dict[str, Matrix]:
    """Return the fine-tuned tensors that changed, have the base's shape, and were not excluded by choice."""
    names = (name for name, reason in reasons.items() if reason not in CHOSEN)
    return {name: updates.tuned.read(name) for name in names if lost.norms[name]}


def norm_of_difference(updates: Updates, name: str) -> float | None:
    """Return the norm of the difference of a tensor of floats; None where there is none."""
    sides = updates.base, updates.tuned
    if any(name not in side.tensors or "float" not in side.tensors[name].dtype for side in sides):
        return None
    if updates.base.tensors[name].shape != updates.tuned.tensors[name].shape:
        return None
    before, after = (side.read(name).reshape(-1) for side in sides)
    space = np.empty((1, min(_SLAB, len(before))))
    slabs = (slice(i, i + _SLAB) for i in range(0, len(before), _SLAB))
    norm = math.hypot(*(_norm_of(before[slab], after[slab], space) for slab in slabs))
    return norm if math.isfinite(norm) else None


def _norm_of(before: Matrix, after: Matrix, space: Matrix) -> float:
    """Return the norm of a difference, formed in some space; infinite if an entry is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        wide_before, wide_after = widened(before, copy=False), widened(after, copy=False)
        difference = np.subtract(wide_after, wide_before, out=space[:, : len(before)], dtype=np.float64)
        total = energy(difference)
    if _PLAIN < total < 1 / _PLAIN:
        return math.sqrt(total)
    if not np.isfinite(difference).all():
        return math.inf
    exponent = common_exponent(difference)  # squares may overflow or vanish
    return math.ldexp(math.sqrt(energy(scaled(difference, exponent))), exponent)
