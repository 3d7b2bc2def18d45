"""Sizes and ranks one below, at and one above every place where the method changes."""

from fractions import Fraction

import numpy as np
import pytest
from kernel_cases import DOUBLE, each_block, gesvd_tails, rotated, true_residual

import lowrank_blocks as lb
from lowrank_blocks.linalg import factors, gram, leading, levels, slabs, values
from lowrank_blocks.linalg.bounds import added

pytestmark = pytest.mark.exhaustive

AROUND = (-1, 0, 1)


def check(matrix, ranks):
    tails, exponent = gesvd_tails(matrix)
    parts = lb.decompose(matrix, lb.Global())
    for rank in ranks:
        assert parts.relative_error([rank]) == pytest.approx(tails[rank] / tails[0], rel=0, abs=DOUBLE)
        made = lb.approximate(matrix, lb.Global(), lb.rank_budget(matrix.shape, rank))
        assert made.ranks.tolist() == [rank]
        assert made.relative_error == pytest.approx(tails[rank] / tails[0], rel=0, abs=DOUBLE)
        assert true_residual(matrix, made, exponent) <= tails[rank] + DOUBLE * tails[0]


def decaying(m, n):
    return rotated(m, n, 1.0 / np.arange(1, min(m, n) + 1))


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("at", [levels.GRAM_WIDE, leading.SVD_BELOW])
def test_small_sides(at, around):
    check(decaying(at + around, at + 400), [1, 7, at // 2, at - 2])


@pytest.mark.parametrize(
    ("shape", "method"),
    [
        ((111, 113), "lapack"),
        ((111, 221), "lapack"),
        ((111, 222), "gram"),
        ((112, 112), "gram"),
        ((113, 114), "gram"),
        ((56, 114), "lapack"),
        ((57, 113), "lapack"),
        ((57, 114), "gram"),
        ((115, 57), "gram"),
        ((15, 430), "lapack"),
        ((16, 399), "lapack"),
        ((16, 400), "gram"),
        ((17, 400), "gram"),
    ],
)
def test_spectra_from_gram_matrices(shape, method, monkeypatch):
    for name, value in {"GRAM_SQUARE": 112, "GRAM_WIDE": 16, "GRAM_FROM": 6400}.items():
        monkeypatch.setattr(levels, name, value)
    matrix = decaying(*shape)
    check(matrix, [1, 7, min(shape) // 2])
    if min(shape) < 100:  # of square power laws the least values may need more than a Gram matrix
        assert lb.decompose(matrix, lb.Global()).accuracy.methods == (method,)
    flat = np.random.default_rng(0).standard_normal(shape)
    assert lb.decompose(flat, lb.Global()).accuracy.methods == (method,)


@pytest.mark.parametrize("around", AROUND)
def test_stacks_of_gram_matrices(around):
    """From one call for many small blocks to one block after another, some of them too fine for either."""
    side = values.LEVELS_FROM + around
    steep, fair = (rotated(side, side + 3, s) for s in (10.0 ** (-np.arange(side) / 8), np.ones(side)))
    matrix = np.block([[fair, 1e-3 * steep, steep], [2.0**300 * fair, steep, 0 * fair]]).astype(np.float64)
    structure = lb.Localized(2, 3)
    parts = lb.decompose(matrix, structure)
    shares = parts.accuracy.bounds
    assert np.hypot.reduce(shares) <= DOUBLE * parts.norm
    for block, spectrum, bound in zip(
        structure.layout(matrix.shape).split(matrix), parts.spectra, shares, strict=True
    ):
        tails, exponent = gesvd_tails(block + (not block.any()))
        ours = np.linalg.norm(np.ldexp(spectrum, -exponent)[side // 2 :])
        expected = tails[side // 2] if block.any() else 0.0
        assert ours == pytest.approx(expected, rel=0, abs=np.ldexp(bound, -exponent) + 1e-14)
    alone = lb.decompose(np.hstack([steep, fair]), lb.Localized(1, 2))
    assert alone.accuracy.methods == ("lapack", "gram")


@pytest.mark.parametrize("around", AROUND)
def test_large_sides(around, monkeypatch):
    """Lanczos, lone blocks and panels of a Gram matrix begin here."""
    monkeypatch.setattr(values, "_ALONE_FROM", leading.LANCZOS_FROM)
    monkeypatch.setattr(gram, "_PANEL", leading.LANCZOS_FROM)
    side = leading.LANCZOS_FROM + around
    share = side // leading.LANCZOS_SHARE
    matrix = decaying(side, side)
    check(matrix, [8])
    for rank in (share - 1, share, share + 1):
        made = lb.approximate(matrix, lb.Global(), lb.rank_budget(matrix.shape, rank))
        optimum = np.sqrt(sum(i**-2.0 for i in range(rank + 1, side + 1)))
        assert made.error == pytest.approx(optimum, rel=1e-12)
        assert made.accuracy.methods == ("lanczos" if around >= 0 and rank <= share else "gram",)


@pytest.mark.parametrize("around", AROUND)
def test_large_sides_in_single_precision(around, monkeypatch):
    asked, solve = [], leading.leading_ritz
    monkeypatch.setattr(
        leading,
        "leading_ritz",
        lambda *given, **options: (asked.append(given[1]), solve(*given, **options))[1],
    )
    side = leading.SINGLE_FROM + around
    share = side // leading.SINGLE_SHARE
    matrix = decaying(side, side).astype(np.float32)
    for rank in (8, share - 1, share, share + 1):
        made = lb.approximate(matrix, lb.Global(), rank=rank)
        optimum = np.linalg.norm(np.linalg.svd(matrix.astype(np.float64), compute_uv=False)[rank:])
        assert made.error == pytest.approx(optimum, rel=1e-7)
        assert made.accuracy.methods == ("single",)
    assert asked == ([8, share - 1, share] if around >= 0 else [])


@pytest.mark.parametrize("around", AROUND)
def test_shares_of_a_side(around):
    """From some eigenvectors to all, from no spectra to spectra, up to all ranks."""
    side = 96
    check(
        decaying(side, 100), [side // leading.SUBSET_SHARE + around, side // 4 + around, side // 2 + around]
    )
    check(decaying(side, 100), [side - 1 + min(around, 0)])


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("turned", [False, True])
def test_stacks_of_blocks(around, turned, monkeypatch):
    """From stacks of Gram matrices to blocks one by one, some of them zero or of another scale."""
    monkeypatch.setattr(factors, "STACKED_BELOW", 0)
    monkeypatch.setattr(factors, "GRAM_BELOW", 90 * 100)
    wide = 100 + around
    matrix = np.kron([[1.0, 0.0], [1e-3, 2.0**300]], decaying(90, wide))
    structure = lb.Localized((0, 90, 180), (0, wide, 2 * wide))
    if turned:
        matrix, structure = matrix.T, lb.Localized((0, wide, 2 * wide), (0, 90, 180))
    made = lb.approximate(matrix, structure, 4 * 3 * (90 + wide), allocate=lb.uniform)
    few = ("gram", "gram", "zero", "gram") if turned else ("gram", "zero", "gram", "gram")
    assert made.accuracy.methods == few
    for block, (b, a) in zip(structure.layout(matrix.shape).split(matrix), made.factors, strict=True):
        tails, exponent = gesvd_tails(block)
        half = exponent // 2
        left = np.ldexp(block, -exponent) - np.ldexp(b, -half) @ np.ldexp(a, half - exponent)
        assert np.linalg.norm(left) == pytest.approx(tails[3], rel=1e-10, abs=1e-300)
        assert b.shape[1] == a.shape[0] == 3
    for block, found in zip(
        structure.layout(matrix.shape).split(matrix),
        each_block(
            factors.leading_factors(structure.layout(matrix.shape).split(matrix), [3] * 4, exponent=298)
        ),
        strict=True,
    ):
        s = np.linalg.svd(np.ldexp(block, -298), compute_uv=False)
        assert found.error == pytest.approx(np.linalg.norm(s[3:]), rel=1e-10)
        b, a = (np.ldexp(f, -149) for f in found.factors)
        assert np.linalg.norm(b @ a) == pytest.approx(np.linalg.norm(s[:3]), rel=1e-10)
        assert bool(found.excess) == block.any()
        assert found.excess <= 1e-10 * np.linalg.norm(s)


@pytest.mark.parametrize("around", AROUND)
def test_slabs(around, monkeypatch):
    """Stacks are cut one block before, at and one after the end; blocks of several shapes mixed."""
    monkeypatch.setattr(slabs, "_LARGEST", 40 * 33 * 4)
    structure = lb.Localized(tuple(range(0, 40 * (4 + around) + 1, 40)), (0, 33, 66, 110))
    matrix = np.random.default_rng(2).standard_normal((40 * (4 + around), 110))
    parts = lb.decompose(matrix, structure)
    for block, spectrum in zip(structure.layout(matrix.shape).split(matrix), parts.spectra, strict=True):
        np.testing.assert_allclose(spectrum, np.linalg.svd(block, compute_uv=False), rtol=0, atol=1e-11)
    ranks = np.arange(3 * (4 + around)) % 7
    for block, rank, found in zip(
        structure.layout(matrix.shape).split(matrix),
        ranks,
        each_block(factors.leading_factors(structure.layout(matrix.shape).split(matrix), ranks)),
        strict=True,
    ):
        u, s, vt = np.linalg.svd(block, full_matrices=False)
        np.testing.assert_allclose(
            np.matmul(*found.factors), (u[:, :rank] * s[:rank]) @ vt[:rank], rtol=0, atol=1e-11
        )
        assert found.error == pytest.approx(np.linalg.norm(s[rank:]), rel=1e-12)


@pytest.mark.parametrize("around", AROUND)
def test_panels(around, monkeypatch):
    """Products cut into panels are the products."""
    monkeypatch.setattr(gram, "_PANEL", 20)
    monkeypatch.setattr(gram, "_TALL_PANEL", 20)
    monkeypatch.setattr(gram, "_SLAB", 20 * 70)
    rows = np.random.default_rng(4).standard_normal((40 + around, 70))
    square = rows @ rows.T
    np.testing.assert_allclose(gram.gram(rows, both_halves=True), square, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        np.triu(gram.gram(rows, both_halves=False)), np.triu(square), rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(gram.times(square, rows), square @ rows, rtol=0, atol=1e-10)
    left = gram.residual_norm(rows, rows[:, :3], np.ones((3, 70)))
    assert left == pytest.approx(np.linalg.norm(rows - rows[:, :3] @ np.ones((3, 70))), rel=1e-13)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 3, 16])
def test_products_piece_by_piece(count, dtype, turned, symmetric, monkeypatch):
    """Where parts of a matrix are multiplied as they lie in memory, also across the panels of threads."""
    rng = np.random.default_rng(5)
    matrix = rng.integers(-9, 9, (50, 50 if symmetric else 33)).astype(dtype)
    matrix = matrix + matrix.T if symmetric else matrix
    matrix = np.asfortranarray(matrix) if turned else matrix
    columns = rng.integers(-9, 9, (matrix.shape[1], count)).astype(dtype)
    monkeypatch.setattr(gram, "_TALL_PANEL", 20)
    monkeypatch.setattr(gram, "_LEAST", 1)
    for uncopied, entries in ((7 * columns.size, 10**9), (10**9, 3 * count), (0, 0)):
        monkeypatch.setattr(gram, "_UNCOPIED", uncopied)
        monkeypatch.setattr(gram, "_ENTRIES", entries)
        found = gram.Product(matrix, columns, symmetric=symmetric)(columns)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, matrix @ columns)  # integers: exact in either precision


LONG = [(2, 31_000), (4, 15_000), (8, 7_800), (16, 3_900), (8, 2_048), (1, 15_600), (2, 900), (16, 970)]


@pytest.mark.parametrize("dtypes", [(np.float32, np.float32), (np.float64,) * 2, (np.float32, np.float64)])
@pytest.mark.parametrize("orders", ["CC", "CF", "FC", "FF"])
@pytest.mark.parametrize(("count", "length"), LONG)
@pytest.mark.parametrize("side", [20, 64, 341, 1030])
def test_sums_of_equal_products_are_no_longer_than_is_charged(side, count, length, orders, dtypes):
    """All their roundings go one way, so that what is summed as one must be known."""
    matrix = np.full((side, length), 0.7, dtypes[0], order=orders[0])
    columns = np.full((length, count), 0.7, dtypes[1], order=orders[1])
    exact = Fraction(length) * Fraction(float(matrix[0, 0])) * Fraction(float(columns[0, 0]))
    products = gram.times(matrix, columns)
    assert products.dtype == dtypes[1]
    off = max(abs(Fraction(float(value)) - exact) for value in np.unique(products)) / exact
    assert off <= added(length, gram.longest_sum(matrix, columns)) * np.finfo(dtypes[1]).epsneg


def test_uncovered_and_finite_slabs(monkeypatch):
    """Energies outside the blocks and bad entries are found in whatever slab they are."""
    monkeypatch.setattr("lowrank_blocks.structures.picked._SLAB", 64)
    monkeypatch.setattr("lowrank_blocks._validation._SLAB", 64)
    matrix = np.random.default_rng(8).standard_normal((30, 20))
    structure = lb.DiagonalLocal(3)
    rest = matrix.copy()
    for block in structure.layout(matrix.shape).cells():
        rest[block] = 0
    np.testing.assert_array_equal(np.concatenate(list(structure.layout(matrix.shape).outside(matrix))), rest)
    matrix[17, 5] = np.nan
    with pytest.raises(ValueError, match=r"got dW\[17, 5\] = nan"):
        lb.decompose(matrix, structure)
