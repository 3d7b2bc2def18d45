"""The blocks of structures beyond grids, by the oracle's convention: places, or shared ones."""

import math

import numpy as np
from oracles import Shared, axis_parts, grid, places, whole


def divisor(length):
    """Return the least divisor of a length that is more than 1; 1 of 1."""
    return next((d for d in range(2, length + 1) if length % d == 0), 1)


def monarch(m, n):
    """Return the blocks of every d-th row of a matrix and each half of its columns."""
    d = divisor(m)
    return [
        places([i for i in range(m) if i % d == j], cols, n) for j in range(d) for cols in axis_parts(2, n)
    ]


def kronecker(m, n):
    """Return the one block whose row (i, j) and column (k, s) is entry (i c + k, j d + s)."""
    a, b = divisor(m), divisor(n)
    c, d = m // a, n // b
    inner = [(k, s) for k in range(c) for s in range(d)]
    return [np.array([[(i * c + k) * n + j * d + s for k, s in inner] for i in range(a) for j in range(b)])]


def hodlr(depth, m, n, *, dense=False):
    """Return the blocks beside the diagonal of every level, and then the leaves."""
    off, nodes = [], []
    for level in range(1, depth + 1):
        rows, cols = axis_parts(2**level, m), axis_parts(2**level, n)
        for k in range(0, 2**level, 2):
            off += [places(rows[k], cols[k + 1], n), places(rows[k + 1], cols[k], n)]
        nodes = [places(r, c, n) for r, c in zip(rows, cols, strict=True)]
    return off + [whole(leaf) if dense else leaf for leaf in nodes]


def reordered(m, n):
    """Return the blocks of a 2×2 grid on rows from the last on, even columns before odd ones."""
    rows = list(range(m - 1, -1, -1))
    cols = [*range(0, n, 2), *range(1, n, 2)]
    return [
        places([rows[i] for i in r], [cols[j] for j in c], n)
        for r in axis_parts(2, m)
        for c in axis_parts(2, n)
    ]


def circulant(m, n):
    """Return the cyclic diagonals of every block of the least side above 1 that divides both sides."""
    b = divisor(math.gcd(m, n))
    blocks = []
    for top in range(0, m, b):
        for left in range(0, n, b):
            diagonals = [[(top + (k + j) % b) * n + left + j for j in range(b)] for k in range(b)]
            blocks.append(Shared([diagonals], b))
    return blocks


def rows_tied(m, n):
    """Return the columns of the rows of each remainder of 3, as a row."""
    classes = [[i for i in range(m) if i % 3 == k] for k in range(min(3, m))]
    return [Shared([[[i * n + j for i in members] for j in range(n)]], n) for members in classes]


def columns_tied(m, n):
    """Return the rows of each half of the columns, as a column."""
    return [Shared([[[i * n + j for j in cols]] for i in range(m)], m) for cols in axis_parts(2, n)]


def means(m, n):
    """Return the one block of halves of the rows and pairs of columns."""
    rows, cols = axis_parts(2, m), [list(range(j, min(j + 2, n))) for j in range(0, n, 2)]
    members = [[[i * n + j for i in r for j in c] for c in cols] for r in rows]
    return [Shared(members, len(rows) + len(cols))]


def single(m, n):
    """Return every entry as a block that costs one number."""
    return [whole(block) for block in grid(m, n, m, n)]
