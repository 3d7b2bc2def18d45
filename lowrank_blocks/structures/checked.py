"""The one check of structures from outside: is it a structure, and is its layout what it must be."""

from __future__ import annotations

import numpy as np

from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.structures.base import Layout, Structure

_TOLERANCE = 1e-12  # of S S^T = I and of the adjoint, relative: layouts may average, and so round


def as_structure(value: object, name: str = "structure") -> Structure:
    """Return `value` if it is a structure, or say which call makes one."""
    if isinstance(value, Structure):
        return value
    kind = type(value).__name__
    if isinstance(getattr(value, "structure", None), Structure):
        raise TypeError(f"{name} must be a structure, got {kind}; pass its .structure.")
    if isinstance(value, (list, tuple)) and any(isinstance(v, Structure) for v in value):
        raise TypeError(
            f"{name} must be one structure, got a {kind} of {len(value)}; "
            "for several write lb.compare(dW, structures, budget)."
        )
    if hasattr(value, "nearest"):
        raise TypeError(
            f"{name} must be a structure, got the family {value!r} of adapters; write its .nearest(dW), or "
            "lb.extract(base, tuned, out, structure=...) for checkpoints."
        )
    raise TypeError(f"{name} must be a structure such as {_suggest(value)}, got {value!r}.")


def laid_out(structure: Structure, shape: Shape) -> Layout:
    """Return the layout of a structure on a shape; one written elsewhere is tested first.

    Raises
    ------
    TypeError, ValueError
        If it is not a layout, has no blocks, or its `split` and `join` are not the transposes of each
        other with ``split(join(blocks)) == blocks``. The message names the blocks that fail.
    """
    layout = structure.layout(shape)
    if not isinstance(layout, Layout):
        raise TypeError(f"layout of {structure!r} must return a Layout, got {layout!r}.")
    if not layout.proved:
        _check_sizes(layout, shape, repr(structure))
        _check_isometry(layout, repr(structure))
    return layout


def _check_sizes(layout: Layout, shape: Shape, name: str) -> None:
    if tuple(layout.shape) != tuple(shape):
        raise ValueError(f"layout of {name} must be for the shape {shape}, got {layout.shape}.")
    if not layout.block_shapes:
        raise ValueError(f"layout of {name} must have at least one block, got none.")
    for k, block_shape in enumerate(layout.block_shapes):
        if len(block_shape) != 2 or min(block_shape) < 1:
            raise ValueError(f"block {k} of {name} must have a positive height and width, got {block_shape}.")
    costs, ranks = layout.rank_costs, layout.max_ranks
    sides = np.array(layout.block_shapes).min(axis=1)
    if costs.shape != sides.shape or costs.dtype.kind != "i" or (costs < 1).any():
        raise ValueError(f"rank_costs of {name} must be one positive integer a block, got {costs}.")
    if ranks.shape != sides.shape or ranks.dtype.kind != "i" or (ranks < 0).any() or (ranks > sides).any():
        raise ValueError(f"max_ranks of {name} must be at most the smaller side of every block, got {ranks}.")


def _check_isometry(layout: Layout, name: str) -> None:
    """Test ``S S^T = I`` and that `join` is the transpose of `split`, on one seeded draw."""
    rng = np.random.default_rng(0)
    blocks = [rng.integers(1, 1 << 20, shape).astype(np.float64) for shape in layout.block_shapes]
    matrix = rng.integers(1, 1 << 20, layout.shape).astype(np.float64)
    joined, parts = layout.join(blocks), layout.split(matrix)
    again = layout.split(joined)
    shapes = tuple(part.shape for part in parts)
    if joined.shape != tuple(layout.shape) or shapes != tuple(map(tuple, layout.block_shapes)):
        raise ValueError(f"layout of {name} must split into blocks of shapes block_shapes, got {shapes}.")
    odd = [k for k, (a, b) in enumerate(zip(again, blocks, strict=True)) if not _close(a, b)]
    if odd:
        others = _labels_in(layout, odd[0])
        raise ValueError(
            f"blocks of {name} must be disjoint, got block {odd[0]}, which overlaps {others}: "
            "split(join(blocks)) must give the blocks back."
        )
    inside = float(sum(np.vdot(a, b) for a, b in zip(parts, blocks, strict=True)))
    if not _close(np.array(inside), np.array(float(np.vdot(matrix, joined)))):
        raise ValueError(f"join of {name} must be the transpose of split, got another map.")
    left = sum(float(np.vdot(slab, slab)) for slab in layout.outside(matrix))
    kept, total = (sum(float(np.vdot(b, b)) for b in some) for some in (parts, [matrix]))
    if not _close(np.array(left + kept), np.array(total)):
        raise ValueError(f"outside of {name} must yield W - join(split(W)), got another energy.")


def _labels_in(layout: Layout, block: int) -> str:
    """Name the blocks whose entries appear in a block once all are joined."""
    count = len(layout.block_shapes)
    labels = [np.full(shape, float(k)) for k, shape in enumerate(layout.block_shapes)]
    found = np.unique(layout.split(layout.join(labels))[block])
    others = [int(v) for v in found if 0 <= v < count and v == int(v) and int(v) != block]
    return f"block {others[0]}" if others else "another block or itself"


def _close(a: Matrix, b: Matrix) -> bool:
    return bool(np.abs(a - b).max() <= _TOLERANCE * np.abs(b).max())


def _suggest(value: object) -> str:
    text = (value if isinstance(value, str) else getattr(value, "__name__", "")).lower()
    if text.startswith(("global", "lora", "svd")):
        return "lb.Global()"
    if text.startswith(("diag", "melora")):
        return "lb.DiagonalLocal(4)"
    if text.startswith("local"):
        return "lb.Localized(4)"
    return "lb.Global(), lb.DiagonalLocal(4) or lb.Localized(4)"
