"""Leading vectors by block Lanczos, in both precisions, and the bounds that prove them."""

import numpy as np
import pytest
from kernel_cases import gesvd_tails, hard_matrices, rotated, steady
from registry import examples

import lowrank_blocks as lb
from lowrank_blocks.linalg import krylov, leading, questions
from lowrank_blocks.linalg.sources import Source

RANDOM = examples(60)
SHAPES = [(96, 96), (70, 300), (200, 210)]
PRECISIONS = [np.float64, np.float32]
GESVD = 3e-14  # rounding of the oracle, relative to the norm
UNITS = {np.float64: 2.0**-53, np.float32: 2.0**-24}


def source_of(block):
    return Source(block, float(np.square(block.astype(np.float64)).sum()))


def complement(columns):
    return np.linalg.svd(columns, full_matrices=True)[0][:, columns.shape[1] :]


def largest_beside(block, columns):
    """The largest eigenvalue of the Gram matrix on the complement of some columns."""
    return float(np.linalg.norm(complement(columns).T @ block, 2)) ** 2


@pytest.mark.parametrize("by_rows", [False, True])
@pytest.mark.parametrize("kind", PRECISIONS)
@pytest.mark.parametrize("name", sorted(set(hard_matrices(4, 4)) - {"repeated", "ones", "one entry", "zero"}))
def test_a_krylov_basis_is_orthonormal(name, kind, by_rows, monkeypatch):
    """To rounding at every look, unless the first images span all that the matrix has."""
    monkeypatch.setattr(krylov, "_FLAT", 0)
    block = hard_matrices(200, 220)[name]
    source = source_of((block / np.linalg.norm(block)).astype(kind))
    exact = source.rows.astype(np.float64)
    looks = 0
    for (basis, images), inner in krylov._krylov(source, 8, 96, by_rows=by_rows):
        eye = np.eye(basis.shape[1])
        wide = basis.astype(np.float64)
        np.testing.assert_allclose(wide.T @ wide, eye, rtol=0, atol=100 * UNITS[kind])
        expected = exact @ (exact.T @ wide)
        near = 100 * UNITS[kind] * np.abs(expected).max()
        np.testing.assert_allclose(images, expected, rtol=0, atol=near)
        np.testing.assert_allclose(np.triu(inner), np.triu(wide.T @ expected), rtol=0, atol=near)
        looks += 1
    assert looks >= 2


@pytest.mark.parametrize("by_rows", [False, True])
@pytest.mark.parametrize("powers", [1, 3])
def test_the_first_block_is_of_a_power_of_the_gram_matrix(powers, by_rows):
    """And its image and its part of the product are those of the basis."""
    block = lb.synthetic.power_law((90, 120), exponent=0.5).matrix
    steps = krylov._krylov(source_of(block), 8, 16, by_rows=by_rows, powers=powers)
    (basis, images), inner = next(steps)
    gram = block @ block.T
    expected = np.linalg.matrix_power(gram, powers) @ krylov._start(90, 8)
    projected = basis @ (basis.T @ expected)
    np.testing.assert_allclose(projected, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    np.testing.assert_allclose(images, gram @ basis, rtol=0, atol=1e-12 * np.abs(gram).max())
    np.testing.assert_allclose(inner, basis.T @ gram @ basis, rtol=0, atol=1e-12 * np.abs(gram).max())


@pytest.mark.parametrize("exponent", [0.5, 1.0])
@pytest.mark.parametrize("rank", [48, 60, 64, 68, 76])
def test_residuals_of_leading_vectors_do_not_hide_that_others_converge_later(rank, exponent, monkeypatch):
    """Rounding keeps the norm of all residuals up while the last are above what they come down to."""
    tried = []

    def kept(*arguments, **options):
        tried.append(krylov.leading_ritz(*arguments, **options))
        return tried[-1]

    monkeypatch.setattr(leading, "leading_ritz", kept)
    block = lb.synthetic.power_law((768, 768), exponent=exponent).matrix.astype(np.float32)
    assert lb.approximate(block, lb.Global(), rank=rank).accuracy.methods == ("single",)
    (ritz,) = tried
    assert ritz.converged
    assert min(map(ritz.missed, ritz.ceilings)) <= ritz.spare


@pytest.mark.parametrize("length", [600, 2400])
def test_among_values_of_noise_lanczos_ends_at_the_first_look(length):
    """Some values stand out, but not as many as are asked for; single precision may still tell them apart."""
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((600, 8)) @ rng.standard_normal((8, length))
    noise += rng.standard_normal((600, length))
    first = krylov.Looks(600, 16).at
    for rank, ends in ((6, False), (16, True), (32, True)):
        ritz = krylov.leading_ritz(source_of(noise), rank, 1e-10)
        assert ritz.converged != ends
        assert ritz.stands_out((600, length)) != ends
    ritz = krylov.leading_ritz(source_of(noise), 16, 1e-10)
    assert ritz.space[0].shape[1] == first
    ritz = krylov.leading_ritz(source_of(noise.astype(np.float32)), 16, 1e-10)
    assert ritz.space[0].shape[1] > first


@pytest.mark.parametrize("kind", PRECISIONS)
def test_where_no_value_stands_out_lanczos_is_not_tried(kind):
    for name in ("gaussian", "flat", "zero rows"):
        block = hard_matrices(200, 220)[name].astype(kind)
        assert krylov.leading_ritz(source_of(block), 4, 1e-8) is None, name
    power = lb.synthetic.power_law((200, 220), exponent=0.5).matrix.astype(kind)
    assert krylov.leading_ritz(source_of(power), 4, 1e-8) is not None


@steady
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(96, 96), (300, 70), (256, 280)], ids=str)
@pytest.mark.parametrize("rows_from", [64, 1024])
def test_factors_have_the_least_error(kind, shape, rows_from, monkeypatch):
    """Whether values are apart at the rank or not, the error is the least within what is certified."""
    monkeypatch.setattr(leading, "LANCZOS_FROM", 64)
    monkeypatch.setattr(leading, "SINGLE_FROM", 64)
    monkeypatch.setattr(leading, "ROWS_FROM", rows_from)
    used, promise = set(), 1e-10 if kind is np.float64 else 1e-7
    for name, matrix in hard_matrices(*shape).items():
        with np.errstate(over="ignore"):
            block = matrix.astype(kind)
        if not np.isfinite(block).all() or not block.any():
            continue
        tails, _ = gesvd_tails(block.astype(np.float64))
        for rank in (1, 4, 16, 20):
            best = lb.approximate(block, lb.Global(), rank=rank)
            least, bound = tails[rank] / tails[0], best.accuracy.relative_bound
            assert bound < promise, name
            assert abs(best.relative_error - least) <= bound + GESVD, name
            b, a = (factor.astype(np.float64) for factor in best.factors[0])
            whole = np.linalg.norm(block.astype(np.float64))
            left = np.linalg.norm(block.astype(np.float64) - b @ a) / whole
            assert left - least <= bound + GESVD, name
            used.update(best.accuracy.methods)
    large = min(shape) > 200
    assert {"gram", "single" if kind is not np.float64 else "lanczos" if large else "gram"} <= used


@pytest.mark.parametrize("rows_from", [64, 1024])
@pytest.mark.parametrize("kind", PRECISIONS)
def test_lanczos_ends_when_enough_is_proved(kind, rows_from, monkeypatch):
    """No sooner, or the proof would fail; and where all that is left is rounding."""
    monkeypatch.setattr(leading, "ROWS_FROM", rows_from)
    method = ("lanczos",) if kind is np.float64 else ("single",)
    for exponent in (0.5, 0.75, 1.0):
        matrix = lb.synthetic.power_law((600, 640), exponent=exponent).matrix.astype(kind)
        assert lb.approximate(matrix, lb.Global(), rank=12).accuracy.methods == method
    rng = np.random.default_rng(1)
    low = (rng.integers(-3, 4, (600, 3)) @ rng.integers(-3, 4, (3, 640))).astype(kind)
    assert lb.approximate(low, lb.Global(), rank=5).accuracy.methods == ("lanczos",)


@pytest.mark.parametrize("exponent", [-120, -31, -9, 0, 9, 31, 100])
def test_a_source_is_of_moderate_size(exponent):
    block = np.ldexp(rotated(8, 9, 1 / np.arange(1, 9.0)).astype(np.float32), exponent)
    energy = float(np.square(block.astype(np.float64)).sum())
    source = Source.moderate(block, energy)
    np.testing.assert_array_equal(np.ldexp(source.rows, source.exponent), block)
    assert source.energy == pytest.approx(np.square(source.rows.astype(np.float64)).sum(), rel=1e-14)
    assert source.squares(source.energy) == pytest.approx(energy, rel=1e-14)
    assert 2.0**-21 < source.energy < 2.0**21
    assert (source.exponent == 0) == (abs(exponent) < 10)


@pytest.mark.parametrize("exponent", [-120, -31, -9, 0, 9, 31, 100])
@pytest.mark.parametrize("rank", [3, 14])
@pytest.mark.parametrize("rows_from", [64, 1024])
def test_squares_neither_overflow_nor_vanish(exponent, rank, rows_from, monkeypatch):
    """Of float32, by Lanczos and by a reduction."""
    monkeypatch.setattr(leading, "SINGLE_FROM", 64)
    monkeypatch.setattr(leading, "ROWS_FROM", rows_from)
    block = np.ldexp(rotated(120, 130, 1 / np.arange(1, 121.0)).astype(np.float32), exponent)
    exact = np.linalg.svd(block.astype(np.float64), compute_uv=False)
    best = lb.approximate(block, lb.Global(), rank=rank)
    assert best.accuracy.methods == ("single",)
    left = np.linalg.norm(exact[rank:]) / np.linalg.norm(exact)
    assert best.relative_error == pytest.approx(left, rel=1e-9)


@pytest.mark.parametrize("rows_from", [64, 1024])
def test_values_too_close_for_single_precision(rows_from, monkeypatch):
    """They are told apart in double precision, or their energy is bounded together."""
    monkeypatch.setattr(leading, "LANCZOS_FROM", 64)
    monkeypatch.setattr(leading, "SINGLE_FROM", 64)
    monkeypatch.setattr(leading, "ROWS_FROM", rows_from)
    for gap in (0.0, 1e-9, 1e-6):
        values = 1 / np.arange(1, 201.0)
        values[4] = values[3] * (1 - gap)
        matrix = rotated(200, 210, values)
        least = np.linalg.norm(values[4:]) / np.linalg.norm(values)
        for block in (matrix, matrix.astype(np.float32)):
            best = lb.approximate(block, lb.Global(), rank=4)
            assert abs(best.relative_error - least) <= 1e-8
            (method,) = best.accuracy.methods
            assert method == "lanczos" or (method == "single" and block.dtype == np.float32), gap


@pytest.mark.parametrize(
    ("rest", "steps", "method"),
    [
        (1.0, ["lanczos", "reduced"], "single"),
        (0.05, ["lanczos", "reduced"], "gram"),
        (0.018, ["lanczos"], "gram"),
        (0.002, ["lanczos"], "gram"),
        (0.0, ["lanczos", "proved"], "gram"),
    ],
)
def test_what_single_precision_does_not_resolve_is_soon_left_to_double(rest, steps, method, monkeypatch):
    """Values beyond the rank that hardly differ, at several heights; those of rounding look like none."""
    taken = []
    for name, step in (("leading_ritz", "lanczos"), ("reduced", "reduced"), ("_proved", "proved")):
        call = getattr(leading, name)

        def noted(*given, call=call, step=step, **options):
            if step != "lanczos" or given[0].single:
                taken.append(step)
            return call(*given, **options)

        monkeypatch.setattr(leading, name, noted)
    values = np.append(np.full(16, 1.0), rest * np.linspace(1, 0.5, 284))
    block = rotated(300, 310, values).astype(np.float32)
    exact = np.linalg.svd(block.astype(np.float64), compute_uv=False)
    best = lb.approximate(block, lb.Global(), rank=20)
    assert best.relative_error == pytest.approx(
        np.linalg.norm(exact[20:]) / np.linalg.norm(exact), rel=0, abs=best.accuracy.relative_bound
    )
    assert best.accuracy.methods == (method,)
    assert taken == steps


@pytest.mark.parametrize("kind", PRECISIONS)
@pytest.mark.parametrize("rows_from", [64, 1024])
def test_a_start_block_that_sees_nothing_is_no_harm(kind, rows_from, monkeypatch):
    """If the fixed start block is orthogonal to all leading vectors, they are found nevertheless."""
    monkeypatch.setattr(leading, "LANCZOS_FROM", 150)
    monkeypatch.setattr(leading, "SINGLE_FROM", 150)
    monkeypatch.setattr(leading, "ROWS_FROM", rows_from)
    start = np.linalg.qr(krylov._start(200, 8))[0]
    rest = np.linalg.svd(start.T)[2][8:].T
    spectrum = 1.0 / np.arange(1, 193)
    hidden = ((rest * spectrum) @ rest.T + 0.01 * start @ start.T).astype(kind)
    made = lb.approximate(hidden, lb.Global(), rank=4)
    tails, _ = gesvd_tails(hidden.astype(np.float64))
    assert made.relative_error == pytest.approx(tails[4] / tails[0], rel=0, abs=made.accuracy.relative_bound)


def test_errors_from_energies_are_right():
    """A narrow source is spared the residual where the difference of energies tells the error as well."""
    matrix = rotated(80, 90, 1 / np.arange(1, 81.0))
    values = np.linalg.svd(matrix, compute_uv=False)
    least = np.linalg.norm(values[4:])
    u = np.linalg.svd(matrix)[0]
    for tolerance in (1e-8, 1e-14):
        made = questions.Question(matrix, 4, tolerance, None).project(u[:, :4], "gram")
        assert abs(made.error - least) <= made.excess
        assert (made.excess < 1e-13) == (tolerance == 1e-14)
