"""The targets on which laws of families are tried, and what several of their tests share."""

import math

import numpy as np
import pytest
from families import KINDS
from registry import with_spectrum


def normal(m, n, seed=0):
    return np.random.default_rng([m, n, seed]).standard_normal((m, n))


TARGETS = {
    "square": normal(12, 12),
    "wide": normal(8, 24),
    "tall": normal(24, 8),
    "odd": normal(9, 7),
    "ragged": normal(10, 13),
    "power law": with_spectrum((12, 12), np.arange(1.0, 13) ** -1.5),
    "low rank": with_spectrum((24, 8), [2.0, 1.0]),
    "small": 1e-30 * normal(12, 12, 1),
    "large": 1e30 * normal(8, 24, 1),
    "spike": np.where(np.arange(144).reshape(12, 12) == 50, 1e6, normal(12, 12, 2)),
    "zeros": np.zeros((12, 12)),
}
TELLING = ("square", "wide", "ragged", "zeros")


def base_of(dW):
    """Return a base of the size of the update."""
    return normal(*dW.shape, seed=9) * (np.linalg.norm(dW) or 1.0) / math.sqrt(dW.size)


def cases(names=TARGETS, kinds=KINDS):
    return pytest.mark.parametrize(
        ("kind", "dW"),
        [
            pytest.param(
                kind, TARGETS[name], id=f"{kind.name}-{name}",
                marks=() if name in TELLING else pytest.mark.exhaustive,
            )
            for kind in kinds
            for name in names
            if kind.fits(*TARGETS[name].shape)
        ],
    )  # fmt: skip


def solved(kind, dW):
    return kind.make(*dW.shape).nearest(dW, base=base_of(dW))


def size(*matrices):
    return sum(float(np.linalg.norm(matrix)) for matrix in matrices)


def tails(blocks, ranks):
    return math.sqrt(
        sum(
            np.square(np.linalg.svd(b, compute_uv=False)[r:]).sum()
            for b, r in zip(blocks, ranks, strict=True)
        )
    )


GENERIC = ("square", "wide", "tall", "odd", "ragged", "power law")
