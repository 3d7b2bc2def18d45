"""The structures and targets that every law is tried on. A new one is one line here."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from oracles import diagonal, grid, held, places
from structured import (
    circulant,
    columns_tied,
    divisor,
    hodlr,
    kronecker,
    means,
    monarch,
    reordered,
    rows_tied,
    single,
)
from toy import Checkerboard, checkers

import lowrank_blocks as lb


@dataclass(frozen=True)
class Kind:
    """A structure for a shape, its blocks by the oracle, and the least shape it fits."""

    name: str
    make: Callable[[int, int], lb.Structure]
    blocks: Callable[[int, int], list]
    least: tuple[int, int] = (1, 1)
    square: bool = False
    even: bool = False
    by_entry: bool = False  # whether the oracle takes numbers one by one: slow for large matrices

    def fits(self, shape):
        m, n = shape
        large = m >= self.least[0] and n >= self.least[1]
        return large and (m == n or not self.square) and not (self.even and (m % 2 or n % 2))


KINDS = [
    Kind("global", lambda m, n: lb.Global(), lambda m, n: grid(1, 1, m, n)),
    Kind("diagonal 1", lambda m, n: lb.DiagonalLocal(1), lambda m, n: diagonal(1, m, n)),
    Kind("diagonal 3", lambda m, n: lb.DiagonalLocal(3), lambda m, n: diagonal(3, m, n), (3, 3)),
    Kind("diagonal 4", lambda m, n: lb.DiagonalLocal(4), lambda m, n: diagonal(4, m, n), (4, 4)),
    Kind(
        "diagonal edges",
        lambda m, n: lb.DiagonalLocal((0, 1, 4, n)),
        lambda m, n: diagonal((0, 1, 4, n), m, n),
        (5, 5),
        square=True,
    ),
    Kind("grid 2", lambda m, n: lb.Localized(2), lambda m, n: grid(2, 2, m, n), (2, 2)),
    Kind("grid 4", lambda m, n: lb.Localized(4), lambda m, n: grid(4, 4, m, n), (4, 4)),
    Kind("grid 3×2", lambda m, n: lb.Localized(3, 2), lambda m, n: grid(3, 2, m, n), (3, 2)),
    Kind("row stripes", lambda m, n: lb.Localized(3, 1), lambda m, n: grid(3, 1, m, n), (3, 1)),
    Kind("column stripes", lambda m, n: lb.Localized(1, 3), lambda m, n: grid(1, 3, m, n), (1, 3)),
    Kind("rows", lambda m, n: lb.Localized(m, 1), lambda m, n: grid(m, 1, m, n)),
    Kind(
        "mixed axes",
        lambda m, n: lb.Localized((0, 2, m), 2),
        lambda m, n: grid((0, 2, m), 2, m, n),
        (3, 2),
    ),
    Kind(
        "many costs",
        lambda m, n: lb.Localized((0, 1, 3, m), (0, 1, 5, n)),
        lambda m, n: grid((0, 1, 3, m), (0, 1, 5, n), m, n),
        (4, 6),
    ),
    Kind(
        "rectangles",
        lambda m, n: lb.Blocks([(slice(0, 2), slice(0, n)), (range(2, m), [0]), (range(3, m), range(2, n))]),
        lambda m, n: [
            places([0, 1], range(n), n),
            places(range(2, m), [0], n),
            places(range(3, m), range(2, n), n),
        ],
        (5, 4),
    ),
    Kind(
        "rows × columns",
        lambda m, n: lb.Blocks([(range(0, m, 2), (n - 1, 0, 2)), ([3, 1], slice(0, n))]),
        lambda m, n: [places(range(0, m, 2), [n - 1, 0, 2], n), places([3, 1], range(n), n)],
        (4, 4),
    ),
    Kind("checkerboard", lambda m, n: Checkerboard(), checkers, (2, 2), even=True),
    Kind("monarch", lambda m, n: lb.Monarch(divisor(m), 2), monarch, (1, 2)),
    Kind("kronecker", lambda m, n: lb.Kronecker(divisor(m), divisor(n)), kronecker),
    Kind("hodlr", lambda m, n: lb.HODLR(2), lambda m, n: hodlr(2, m, n), (4, 4)),
    Kind(
        "hodlr, dense leaves",
        lambda m, n: lb.HODLR(1, dense_leaves=True),
        lambda m, n: hodlr(1, m, n, dense=True),
        (2, 2),
        by_entry=True,
    ),
    Kind(
        "reordered",
        lambda m, n: lb.Reordered(lb.Localized(2), rows=range(m)[::-1], cols=lb.stride_order(2)),
        reordered,
        (2, 2),
    ),
    Kind("circulant", lambda m, n: lb.BlockCirculant(divisor(math.gcd(m, n))), circulant, by_entry=True),
    Kind("tied rows", lambda m, n: lb.Tied(rows=[i % 3 for i in range(m)]), rows_tied),
    Kind("tied columns", lambda m, n: lb.Tied(cols=2), columns_tied, (1, 2)),
    Kind(
        "tied, low rank",
        lambda m, n: lb.Tied(rows=2, cols=[j // 2 for j in range(n)], low_rank=True),
        means,
        (2, 1),
    ),
    Kind("sparse", lambda m, n: lb.Sparse(), single, by_entry=True),
]
VIEWS = KINDS[: [kind.name for kind in KINDS].index("rows × columns")]
_SAMPLE = np.random.default_rng(0).integers(1, 99, (24, 24)).astype(np.float64)
COVERING = [kind for kind in KINDS if (held(_SAMPLE, kind.blocks(24, 24)) == _SAMPLE).all()]


def with_spectrum(shape, spectrum, seed=0):
    """Return a matrix with these singular values and seeded singular vectors."""
    rng = np.random.default_rng(seed)
    u, v = (np.linalg.qr(rng.standard_normal((length, len(spectrum))))[0] for length in shape)
    return (u * np.asarray(spectrum, dtype=np.float64)) @ v.T


def _normal(*shape):
    return np.random.default_rng(shape).standard_normal(shape)


def _one_entry():
    W = np.zeros((9, 7))
    W[4, 5] = -2.5
    return W


def _spike():
    W = _normal(10, 12)
    W[7, 3] = 1e6
    return W


def _small_integers(*shape):
    return np.random.default_rng(7).integers(-2, 3, shape).astype(np.float64)


def _locked(W):
    """Return a read-only copy: code that writes to a target fails the test."""
    W = np.array(W)
    W.flags.writeable = False
    return W


GENERIC = {  # no repeated singular values, no ties: the answer is unique
    "square": _normal(12, 12),
    "wide": _normal(8, 20),
    "tall": _normal(20, 8),
    "ragged": _normal(13, 11),
    "power law": with_spectrum((11, 14), np.arange(1.0, 12) ** -1.5),
}
SPECIAL = {
    "low rank": _small_integers(13, 3) @ _small_integers(3, 11),
    "geometric": with_spectrum((18, 17), 10.0 ** -np.arange(17)),
    "repeated": with_spectrum((12, 10), [3.0] * 5 + [1.0] * 5),
    "spike": _spike(),
    "one entry": _one_entry(),
    "zeros": np.zeros((9, 7)),
    "ones": np.ones((8, 8)),
    "identity": np.eye(12),
    "permutation": np.eye(12)[np.random.default_rng(3).permutation(12)],
    "integers": _small_integers(10, 9),
    "1×1": np.array([[-3.0]]),
    "1×7": _normal(1, 7),
    "7×1": _normal(7, 1),
}
SYNTHETIC = {
    target.name: target
    for target in [
        lb.synthetic.low_rank((13, 11), rank=4),
        lb.synthetic.power_law((12, 15), 2.0),
        lb.synthetic.block_diagonal((13, 12), parts=4, rank=2),
        lb.synthetic.block_grid((12, 13), parts=3, rank=2),
        lb.synthetic.unequal_blocks((14, 12), parts=3, ratio=0.25),
        lb.synthetic.gaussian((9, 16)),
        lb.synthetic.inverse_distance((13, 16)),
        lb.synthetic.log_distance((16, 9)),
    ]
}
GENUINE = {
    name: dW.astype(np.float64) for name, dW in lb.load_example().items() if name in {"query", "output"}
}

SMALL = {
    name: _locked(W)
    for name, W in (GENERIC | SPECIAL | {name: target.matrix for name, target in SYNTHETIC.items()}).items()
}
TELLING = (
    "wide",
    "ragged",
    "geometric",
    "repeated",
    "one entry",
    "zeros",
    "1×1",
)
all_telling = False  # whether tests run on all telling targets by default; see `each`
TARGETS = SMALL | {name: _locked(W) for name, W in GENUINE.items()}
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def each(kinds=KINDS, targets=SMALL, *, alternate=False):
    """Parametrize a test over every structure × target that fits: arguments `kind` and `W`.

    Of many targets, all but the telling ones are for ``-m exhaustive`` only, and so is every second of the
    telling ones, which alternate from structure to structure; `conftest` runs them all with small crossovers.
    Few targets are all telling, and run all unless they are to `alternate`.
    """
    few = len(targets) <= len(TELLING)
    pairs = []
    for number, kind in enumerate(kinds):
        fitting = [name for name, W in targets.items() if kind.fits(W.shape)]
        telling = fitting if few else [name for name in fitting if name in TELLING]
        every = all_telling or (few and not alternate)
        default = telling if every else telling[number % 2 :: 2] or telling
        pairs += [
            pytest.param(
                kind,
                _locked(targets[name]),
                id=f"{kind.name}-{name}",
                marks=() if name in default and not slow(kind, targets[name]) else pytest.mark.exhaustive,
            )
            for name in fitting
        ]
    return pytest.mark.parametrize(("kind", "W"), pairs)


def slow(kind, W):
    return kind.by_entry and W.size > 10_000


def examples(most):
    """Return settings of hypothesis with so many examples for ``-m exhaustive``, and a quarter by default."""
    return settings(max_examples=share(most))


def share(most):
    """Return so many for ``-m exhaustive``, and a quarter by default: of what a test tries in a loop."""
    return math.ceil(most * settings.default.max_examples / 100)


def built(kind, W):
    """Return the structure for a matrix and its blocks by the oracle."""
    return kind.make(*W.shape), kind.blocks(*W.shape)


def budgets(W):
    """Return budgets from nothing to more than everything."""
    m, n = W.shape
    return [0, 1, m + n - 1, m + n, m * n // 3, 2 * (m + n) + 1, m * n, 2 * m * n + 3]


@st.composite
def purchases(draw, max_blocks=4, max_rank=4, max_value=9):
    """Draw spectra of small integers, unit costs 1–9, and a budget that cannot buy everything."""
    values = st.lists(st.integers(0, max_value), min_size=1, max_size=max_rank)
    spectra = [sorted(s, reverse=True) for s in draw(st.lists(values, min_size=1, max_size=max_blocks))]
    costs = draw(st.lists(st.integers(1, 9), min_size=len(spectra), max_size=len(spectra)))
    everything = sum(len(s) * c for s, c in zip(spectra, costs, strict=True))
    budget = draw(st.integers(0, everything - 1))
    return [np.array(s, dtype=np.float64) for s in spectra], np.array(costs), budget


@st.composite
def integer_matrices(draw, rows, cols, largest=3):
    """Draw a matrix of small integers; many are singular, repeat values or hold blocks of zeros."""
    entries = st.lists(st.integers(-largest, largest), min_size=rows * cols, max_size=rows * cols)
    return np.array(draw(entries), dtype=np.float64).reshape(rows, cols)
