"""Small comparisons of checkpoints for pages and pictures, with names of every sort."""

from functools import cache

import numpy as np

import lowrank_blocks as lb

STRUCTURES = (lb.Global(), lb.DiagonalLocal(2), lb.Localized(2))
HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "a\n# forged",
    "\x1b[31mred",
    "x.3.'onmouseover='alert(3)",
    "gnp.\u202eexe",
    "a&b.1.</table></script>-->",
    "b" * 300,
)


@cache
def compared(*names, structures=STRUCTURES, rank=1, seed=0):
    """Return a comparison of 8×8 matrices with these names, of which no two are alike."""
    random = np.random.default_rng(seed)
    base = {name: np.zeros((8, 8)) for name in names}
    tuned = {name: (1 + k) * random.standard_normal((8, 8)) for k, name in enumerate(names)}
    base["norm.weight"], tuned["norm.weight"] = np.zeros(8), np.ones(8)
    return lb.compare_checkpoints(base, tuned, list(structures), rank=rank)


def layers(count):
    """Return the names of two matrices a layer."""
    return [f"model.layers.{k}.{kind}.weight" for k in range(count) for kind in ("attn.q", "mlp.up")]
