"""Scaled float8 weights, as common checkpoints store them beside their scales."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lowrank_blocks.checkpoints.tensors import Array, CheckpointError, widened

# Names of scales, which all multiply the stored values: of blocks (DeepSeek), of tensors or rows
# (compressed-tensors), of tensors (ComfyUI's scaled fp8).
_SCALES = ("weight_scale_inv", "weight_scale", "scale_weight")


def scale_of(name: str, tensors: Mapping[str, Any]) -> str | None:
    """Return the name of the tensor that scales a weight, if there is one."""
    if not name.endswith("weight"):
        return None
    stem = name.removesuffix("weight")
    return next((stem + scale for scale in _SCALES if stem + scale in tensors), None)


def weight_of(name: str) -> str | None:
    """Return the name of the weight that a tensor of this name scales, if it is a scale."""
    stem = next((name.removesuffix(scale) for scale in _SCALES if name.endswith(scale)), None)
    return None if stem is None else stem + "weight"


def dequantized(weight: Array, scale: Array, name: str, scale_name: str) -> Array:
    """Return a weight times its scale: one number, one a row, or one a block of equal sides."""
    factors = widened(scale)
    if factors.size == 1:
        return weight * factors.reshape(())
    m, n = weight.shape
    if factors.shape in ((m,), (m, 1)):
        return weight * factors.reshape(m, 1)
    if factors.ndim == 2:
        height, width = (_block(length, count) for length, count in zip((m, n), factors.shape, strict=True))
        if height and width:
            rows, cols = np.arange(m) // height, np.arange(n) // width
            return weight * factors[rows[:, None], cols]
    raise CheckpointError(
        f"{scale_name} must hold one scale for {name}, one a row or one a block, got shape {scale.shape} "
        f"for {weight.shape}."
    )


def _block(length: int, count: int) -> int | None:
    """Return the side for which `count` blocks cover a length: a power of two where that is possible."""
    least = -(-length // count)
    side = 1 << (least - 1).bit_length()
    for candidate in (side, least):
        if -(-length // candidate) == count:
            return candidate
    return None
