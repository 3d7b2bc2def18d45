"""Weights of the matrices of a model: targets, their weighted norms by definition, and weights for a pair."""

import itertools
import math

import numpy as np
from oracles import block_costs, block_spectra, diagonal, grid, outside_energy
from test_one_pass import SHAPES

import lowrank_blocks as lb

STRUCTURES = {
    lb.Global(): lambda m, n: grid(1, 1, m, n),
    lb.DiagonalLocal(2): lambda m, n: diagonal(2, m, n),
    lb.Localized(2, 1): lambda m, n: grid(2, 1, m, n),
}
WHOLE_ROWS = [lb.Global(), lb.Localized(2, 1)]
A, B, C = SHAPES


def moment(n, seed=0, samples=None):
    x = np.random.default_rng(seed).standard_normal((samples or 2 * n, n)) * 0.7 ** np.arange(n)
    return x.T @ x / len(x)


def energy(E, rows=None, cols=None):
    """Return the squared norm of E under weights, by its definition."""
    cols = cols.x.T @ cols.x / len(cols.x) if isinstance(cols, lb.Activations) else cols
    G, M = (
        np.eye(k) if w is None else np.diag(w) if np.ndim(w) == 1 else w
        for w, k in zip((rows, cols), E.shape, strict=True)
    )
    return float(np.trace(G @ E @ M @ E.T))


def ways(W, structures):
    """Return the least energy for every count of numbers that some structure and ranks store."""
    least = {}
    for structure in structures:
        blocks = STRUCTURES[structure](*W.shape)
        spectra, costs, outside = block_spectra(W, blocks), block_costs(blocks), outside_energy(W, blocks)
        for ranks in itertools.product(*(range(len(s) + 1) for s in spectra)):
            count = sum(r * c for r, c in zip(ranks, costs, strict=True))
            left = outside + sum(float(np.sum(s[r:] ** 2)) for s, r in zip(spectra, ranks, strict=True))
            least[count] = min(left, least.get(count, math.inf))
    return least


def small(seed):
    """Return updates, their weights, and by hand the weighted matrices with what is a candidate for them."""
    rng = np.random.default_rng(seed)
    updates = {
        name: rng.standard_normal(shape) for name, shape in (("v", (4, 3)), ("m", (3, 4)), ("p", (4, 4)))
    }
    g, c, M = rng.uniform(0.1, 5, 4), rng.uniform(0.1, 5, 3), moment(4, seed)
    h = rng.uniform(0.1, 5, 3)
    by_hand = {
        "v": (np.sqrt(g)[:, None] * updates["v"] * np.sqrt(c), list(STRUCTURES)),
        "m": (np.sqrt(h)[:, None] * updates["m"] @ np.linalg.cholesky(M), WHOLE_ROWS),
        "p": (updates["p"], list(STRUCTURES)),
    }
    return updates, {"row_weights": {"v": g, "m": h}, "col_weights": {"v": c, "m": M}}, by_hand


def weights_of_pair(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((300, 128)) * 0.95 ** np.arange(128)
    rows = {B: rng.uniform(0.1, 3, 200)}
    return {"row_weights": rows, "col_weights": {A: lb.Activations(x), B: moment(80, seed)}}


def of(weights, name):
    return [side.get(name) for side in weights.values()]
