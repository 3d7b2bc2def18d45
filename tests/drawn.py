"""Matrices that are drawn by a seed."""

import numpy as np


def normal(*shape, seed=0):
    """Return an array of normal entries."""
    return np.random.default_rng(seed).standard_normal(shape)
