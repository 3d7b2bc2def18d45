"""Other ways to the same answers. Each is a function of no arguments made for a case."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.sparse.linalg

MISSING = []

try:
    import torch

    torch.set_num_threads(1)
except ModuleNotFoundError:
    torch = None
    MISSING.append("torch (torch.linalg.svd, torch.svd_lowrank)")
try:
    from sklearn.utils.extmath import randomized_svd
except ModuleNotFoundError:
    randomized_svd = None
    MISSING.append("scikit-learn (randomized_svd)")


def tiles(matrix, parts):
    """Return the blocks of an even grid as a stack of views."""
    m, n = (length // parts for length in matrix.shape)
    return matrix.reshape(parts, m, parts, n).swapaxes(1, 2)


def values_of(matrix):
    """Return the rivals for all singular values of one matrix."""
    found = {
        "numpy svdvals": lambda: np.linalg.svd(matrix, compute_uv=False),
        "scipy svdvals": lambda: scipy.linalg.svdvals(matrix),
    }
    if torch is not None:
        tensor = torch.from_numpy(matrix)
        found["torch svdvals"] = lambda: torch.linalg.svdvals(tensor).numpy()
    return found


def factors_of(matrix, rank):
    """Return the rivals for (U, s, Vt) of the leading `rank`; exact ones and randomised ones."""

    def cut(u, s, vt):
        return u[:, :rank], s[:rank], vt[:rank]

    exact = {
        "numpy svd": lambda: cut(*np.linalg.svd(matrix, full_matrices=False)),
        "scipy svd": lambda: cut(*scipy.linalg.svd(matrix, full_matrices=False)),
        "scipy svds": lambda: scipy.sparse.linalg.svds(matrix, k=rank, v0=np.ones(min(matrix.shape))),
    }
    chance = {}
    if torch is not None:
        tensor = torch.from_numpy(matrix)
        exact["torch svd"] = lambda: cut(*(t.numpy() for t in torch.linalg.svd(tensor, full_matrices=False)))
        chance["torch svd_lowrank"] = lambda: _torch_lowrank(tensor, rank)
    if randomized_svd is not None:
        chance["sklearn randomized_svd"] = lambda: randomized_svd(matrix, rank, random_state=0)
    return exact, chance


def _torch_lowrank(tensor, rank):
    torch.manual_seed(0)
    u, s, v = torch.svd_lowrank(tensor, q=rank)
    return u.numpy(), s.numpy(), v.T.numpy()


def residual(matrix, factors):
    """Return the relative error of leading factors."""
    u, s, vt = factors
    return float(np.linalg.norm(matrix - (u * s) @ vt) / np.linalg.norm(matrix))
