"""Oracles: the same answers by other means. Nothing here may come from the package under test."""

import math
from fractions import Fraction
from itertools import product

import numpy as np

EPS = 2.0**-52


promised = 0.0  # of the norm: what fast paths may be off; small matrices take them only if conftest lets them
promised_narrow = 0.0  # the same of data narrower than float64, before factors are rounded


def tolerance(data, safety=256.0, eps=EPS):
    """Return safety × eps × norm of the data: what rounding may change in a norm or an error."""
    data = np.asarray(data)
    narrow = data.dtype.itemsize < 8 and data.dtype.kind not in "biu"
    share = promised_narrow if narrow else promised
    return max(safety * eps, share) * math.hypot(*data.astype(np.float64).ravel().tolist())


# Geometry: a block is an array that holds, for each of its entries, the place in `W.ravel()`.


def axis_parts(axis, length):
    """Cut an axis: an int cuts at the floors of i/axis of its length, a tuple holds the edges."""
    if isinstance(axis, int):
        axis = [math.floor(Fraction(i, axis) * length) for i in range(axis + 1)]
    return [list(range(axis[k], axis[k + 1])) for k in range(len(axis) - 1)]


def places(rows, cols, n):
    """Return the block of some rows and some columns of a matrix with n columns."""
    return np.asarray(rows)[:, None] * n + np.asarray(cols)


def grid(rows, cols, m, n):
    """Return all blocks of a grid, row by row."""
    return [places(r, c, n) for r in axis_parts(rows, m) for c in axis_parts(cols, n)]


def diagonal(parts, m, n):
    """Return the diagonal blocks of a grid."""
    row_parts, col_parts = axis_parts(parts, m), axis_parts(parts, n)
    return [places(row_parts[k], col_parts[k], n) for k in range(len(row_parts))]


class Shared:
    """A block each of whose numbers is shared by some places: their sum over the root of how many.

    It is stored for `cost` numbers in one, whatever its shape.
    """

    def __init__(self, members, cost):
        self.members, self.cost = members, cost  # rows of lists of places
        self.shape = len(members), len(members[0])

    def entries(self):
        return [((i, j), places) for i, row in enumerate(self.members) for j, places in enumerate(row)]


def whole(block):
    """Return a block as one row that is stored whole or not at all."""
    entries = block.ravel().tolist()
    return Shared([[[place] for place in entries]], len(entries))


def pick(W, block):
    """Return the numbers of one block in float64."""
    entries = np.asarray(W, dtype=np.float64).ravel()
    if not isinstance(block, Shared):
        return entries[block]
    found = np.zeros(block.shape)
    for at, members in block.entries():
        found[at] = math.fsum(entries[members].tolist()) / math.sqrt(len(members))
    return found


def put(X, block, numbers):
    """Write the numbers of one block into a matrix."""
    if not isinstance(block, Shared):
        X.ravel()[block] = numbers
        return
    for at, members in block.entries():
        X.ravel()[members] = numbers[at] / math.sqrt(len(members))


def coverage(blocks, shape):
    """Return how many blocks hold each entry."""
    count = np.zeros(shape, dtype=int)
    for block in blocks:
        for places in [members for _, members in block.entries()] if isinstance(block, Shared) else [block]:
            count.ravel()[places] += 1
    return count


def held(W, blocks):
    """Return the part of a matrix that blocks hold at full rank."""
    X = np.zeros(np.shape(W))
    for block in blocks:
        put(X, block, pick(W, block))
    return X


def block_spectra(W, blocks):
    """Return the singular values of every block."""
    return [np.linalg.svd(pick(W, block), compute_uv=False) for block in blocks]


def block_costs(blocks):
    """Return what one unit of rank costs in each block: a column of B and a row of A."""
    return [block.cost if isinstance(block, Shared) else sum(block.shape) for block in blocks]


# Errors.


def outside_energy(W, blocks):
    """Return the sum of squares of what blocks of full rank leave."""
    rest = np.asarray(W, dtype=np.float64) - held(W, blocks)
    return math.fsum(float(x) ** 2 for x in rest.ravel())


def best_error(W, blocks, ranks):
    """Return the least Frobenius error with one rank a block."""
    squares = [outside_energy(W, blocks)]
    for spectrum, rank in zip(block_spectra(W, blocks), ranks, strict=True):
        squares += [float(x) ** 2 for x in spectrum[rank:]]
    return math.sqrt(math.fsum(squares))


def least_error(W, blocks, budget):
    """Return the least Frobenius error over all ranks within the budget."""
    costs, spectra = block_costs(blocks), block_spectra(W, blocks)
    budget = min(budget, sum(c * len(s) for c, s in zip(costs, spectra, strict=True)))
    return math.sqrt(outside_energy(W, blocks) + float(least_discarded(spectra, costs, budget)[budget]))


def residual(W, X):
    """Return ‖W − X‖, entry by entry in float64."""
    return float(np.linalg.norm(np.asarray(W, dtype=np.float64) - np.asarray(X, dtype=np.float64)))


def alternating_error(W, rank, rng, sweeps=60):
    """Return the error that alternating least squares reaches from a random start: no SVD is involved."""
    A = rng.standard_normal((rank, W.shape[1]))
    for _ in range(sweeps):
        B = np.linalg.lstsq(A.T, W.T, rcond=None)[0].T
        A = np.linalg.lstsq(B, W, rcond=None)[0]
    return residual(W, B @ A)


# Ranks.


def kept_energy(spectra, ranks):
    """Return the energy that ranks keep; exact for integer spectra."""
    return sum(sum(float(x) ** 2 for x in s[:r]) for s, r in zip(spectra, ranks, strict=True))


def spent(costs, ranks):
    """Return what ranks cost."""
    return sum(int(c) * int(r) for c, r in zip(costs, ranks, strict=True))


def all_ranks(spectra):
    """Return every choice of ranks."""
    return product(*(range(len(s) + 1) for s in spectra))


def most_energy(spectra, costs, budget):
    """Return the most energy that any ranks within the budget keep, by trying them all."""
    return max(kept_energy(spectra, r) for r in all_ranks(spectra) if spent(costs, r) <= budget)


def least_discarded(spectra, costs, budget):
    """Return the least energy discarded within each budget 0, ..., `budget`, by dynamic programming."""
    least = np.zeros(budget + 1)
    for spectrum, cost in zip(spectra, costs, strict=True):
        here = np.full(budget + 1, np.inf)
        for rank in range(min(len(spectrum), budget // cost) + 1):
            tail = math.fsum(float(x) ** 2 for x in spectrum[rank:])
            paid = rank * cost
            here[paid:] = np.minimum(here[paid:], least[: budget + 1 - paid] + tail)
        least = here
    return least


def greedy_energy(spectra, costs, budget):
    """Return the energy kept by buying in order of energy/cost until one value does not fit, and its cost."""
    offers = [
        (Fraction(float(x)) ** 2 / int(c), int(c), b)
        for b, (s, c) in enumerate(zip(spectra, costs, strict=True))
        for x in s
    ]
    kept, paid = Fraction(0), 0
    for density, cost, _ in sorted(offers, key=lambda offer: -offer[0]):
        if paid + cost > budget:
            break
        kept, paid = kept + density * cost, paid + cost
    return float(kept), paid


def uniform_ranks(spectra, costs, budget):
    """Return the largest common rank that fits, capped at the length of each spectrum."""
    ranks = [0] * len(spectra)
    for common in range(1, max(map(len, spectra)) + 1):
        raised = [min(common, len(s)) for s in spectra]
        if spent(costs, raised) > budget:
            break
        ranks = raised
    return ranks


# Partitions.


def least_energies(W, rows, cols, depth, budget):
    """Return the least energy of W[rows, cols] within 0, ..., budget numbers, over all dyadic partitions."""
    (t, b), (lo, hi) = rows, cols
    spectrum = np.linalg.svd(W[t:b, lo:hi], compute_uv=False)
    least = np.full(budget + 1, np.inf)
    for rank in range(len(spectrum) + 1):
        cost = rank * (b - t + hi - lo)
        if cost <= budget:
            least[cost:] = np.minimum(least[cost:], np.sum(spectrum[rank:] ** 2))
    down, across = depth
    if down and b - t > 1:
        half = (t + b) // 2
        parts = [least_energies(W, r, cols, (down - 1, across), budget) for r in ((t, half), (half, b))]
        least = np.minimum(least, _together(*parts))
    if across and hi - lo > 1:
        half = (lo + hi) // 2
        parts = [least_energies(W, rows, c, (down, across - 1), budget) for c in ((lo, half), (half, hi))]
        least = np.minimum(least, _together(*parts))
    return least


def _together(first, second):
    """Return the least energy of two parts within each budget."""
    return np.array([min(first[k] + second[n - k] for k in range(n + 1)) for n in range(len(first))])
