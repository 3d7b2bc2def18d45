"""What columns miss of the leading eigenvectors: the theorem in 50 digits, and values that are close."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import gesvd_tails, rotated
from registry import examples

import lowrank_blocks as lb
from lowrank_blocks.linalg import bounds, lapack, leading, missed, questions
from lowrank_blocks.linalg.projection import Projection, projected

RANDOM = examples(60)


@RANDOM
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(-12, -0.5), st.sampled_from([0.0, 1e-9, 0.05, 1])
)
def test_what_columns_miss_is_bounded(seed, rank, size, gap):
    """Of columns near the leading vectors, in any direction, with 50 digits; the bound is not much larger."""
    rng = np.random.default_rng(seed)
    values = np.sort(rng.uniform(0.1, 1, 6))[::-1].copy()
    values[:rank] += gap
    if gap < 0.05:
        values[rank - 1 : rank + 1] = values[rank] + gap, values[rank]
    matrix = rotated(6, 8, values, seed)
    u = np.linalg.svd(matrix)[0]
    columns = np.linalg.qr(u[:, :rank] + 10**size * rng.standard_normal((6, rank)))[0]
    part, norm = projected(matrix, columns), float(np.linalg.norm(matrix))
    with mpmath.workdps(50):
        squares = sorted(mpmath.eigsy(exact_gram(matrix), eigvals_only=True), reverse=True)
        span = mpmath.qr(mpmath.matrix(part.basis.tolist()))[0]
        turned = span.T * exact_gram(matrix) * span
        beside = max(mpmath.eigsy(turned[rank:, rank:], eigvals_only=True))
        lost = float(sum(squares[:rank]) - sum(turned[i, i] for i in range(rank)))
        following, beside = float(squares[rank]), float(beside)
    found = missed.missed_beside(matrix, part, norm, beside * (1 + 1e-15))
    of_next = missed.missed_beside(matrix, part, norm, following * (1 + 1e-15), of_next=True)
    assert lost <= found
    assert lost <= of_next
    if 10**size < gap / 100:
        spread = (squares[0] - squares[-1]) / (squares[rank - 1] - squares[rank])
        assert max(found, of_next) <= 2 * float(spread) * lost + 1e-23
    if gap == 0:
        assert of_next == math.inf
        assert found <= 100 * 10**size + 1e-12


def exact_gram(matrix):
    exact = mpmath.matrix(matrix.tolist())
    return exact * exact.T


def test_a_bound_on_what_is_missed_is_attained():
    """Two equal values, one of them turned into the rest: no bound is smaller than what is missed."""
    one, two = np.array([1.0]), np.array([2.0, 1.0])
    assert missed.missed_energy(one, np.zeros(1), 0.5) == 0
    assert missed.missed_energy(one, np.array([0.1]), math.inf) == math.inf
    assert missed.missed_energy(two, np.zeros(2), 1.5) == 0.5
    assert missed.missed_energy(two, np.array([0.0, 0.1]), 0.0) == pytest.approx(0.01)
    assert missed.missed_energy(np.ones(2), np.full(2, 0.1), 1.0) == pytest.approx(0.4)  # 2 sqrt(n) rho
    turned = np.array([[1.0, 0.1], [0.1, 1.0]])
    assert np.linalg.eigvalsh(turned)[-1] - 1 <= missed.missed_energy(one, np.array([0.1]), 1.0)


def test_each_column_misses_by_its_own_distance_from_the_rest():
    """The one farther away misses less; a column beyond the rank counts as one of the rank's last value."""
    squares, coupled = np.array([5.0, 2.0, 1.5]), np.array([1.0, 1e-3, 1e-2])
    assert missed.missed_energy(squares, coupled, 1.0) == pytest.approx(1 / 4 + 1e-6 / 1 + 1e-4 / 0.5)
    assert missed.missed_energy(squares, coupled, 1.0, rank=2) == pytest.approx(1 / 4 + 1e-6 / 1 + 1e-4 / 1)
    exact = np.diag([5.0, 2, 1.5, 1, 1, 1])
    exact[[3, 4, 5], [0, 1, 2]] = exact[[0, 1, 2], [3, 4, 5]] = coupled
    lost = np.linalg.eigvalsh(exact)[::-1].cumsum() - np.diag(exact).cumsum()
    assert 0.9 * (1 / 4) < lost[1] <= missed.missed_energy(squares, coupled, 1.0, rank=2)


def test_what_rounding_may_hide_is_charged():
    """Exact vectors of a diagonal matrix leave no residual in floating point, but may leave some."""
    matrix = np.diag([3.0, 2.0, 1.0])
    part = projected(matrix, np.eye(3)[:, :2])
    norm = float(np.linalg.norm(matrix))
    assert missed.missed_beside(matrix, part, norm, 1.0) >= (4 * 2.0**-53 * norm * 3) ** 2 / 3
    assert missed.missed_beside(matrix, part, norm, 4.0) >= 1e-13  # two squares of values are rounded


@pytest.mark.parametrize("shape", [(40, 50), (40, 3000), (6, 100_000)], ids=str)
@pytest.mark.parametrize("kind", ["normal", "equal", "nearly equal", "few kinds"])
def test_a_product_in_single_precision_hides_nothing(kind, shape):
    """Its rounding is charged: what it shows of the coupling is at least the coupling in double precision."""
    rng = np.random.default_rng(shape[1])
    noise = rng.standard_normal(shape)
    bases = {
        "normal": noise,
        "equal": np.full(shape, 0.7),
        "nearly equal": 0.7 + 1e-6 * noise,
        "few kinds": np.where(np.arange(shape[0])[:, None] % 2, 0.7 * np.sign(noise[:1]), 0.3),
    }
    block = bases[kind].astype(np.float32)
    rows = block.astype(np.float64)
    exact = np.linalg.svd(rows, full_matrices=False)[0][:, :3]
    for apart in (0.0, 1e-6, 1e-3):
        columns = np.linalg.qr(exact + apart * rng.standard_normal(exact.shape))[0]
        part, norm = projected(rows, columns[:, : 1 if "equal" in kind else 2]), float(np.linalg.norm(rows))
        coupled = np.linalg.norm(rows @ part.rows.T - part.basis * part.values, axis=0) * part.values
        beyond = 0.5 * part.values[-1] ** 2
        least = missed.missed_energy(np.square(part.values), coupled, beyond)
        found = missed.missed_beside(block, part, norm, beyond)
        assert least <= found
        lengths = 300 * 2.0**-24 * (norm + (1 + shape[1] / 2**16) * part.values)
        most = missed.missed_energy(np.square(part.values), coupled + lengths * part.values, 1.001 * beyond)
        assert found <= most


def test_vectors_of_another_value_are_refused():
    """The second vector in place of the first couples to nothing: only the next eigenvalue shows it."""
    matrix = rotated(80, 90, np.append([1.0, 0.9], 1e-3 / np.arange(1, 79)))
    u = np.linalg.svd(matrix)[0]
    norm = float(np.linalg.norm(matrix))
    for next_one in (0.81, 1.0):
        part = projected(matrix, u[:, 1:2])
        assert missed.missed_beside(matrix, part, norm, next_one, of_next=True) == math.inf
    part = projected(matrix, u[:, [0, 2]])
    assert missed.missed_beside(matrix, part, norm, part.values[1] ** 2, of_next=True) == math.inf
    assert missed.missed_beside(matrix, projected(matrix, u[:, 1:2]), norm, 1.0) >= 0.19
    assert missed.missed_beside(matrix, projected(matrix, u[:, :1]), norm, 0.81) < 1e-25
    assert missed.missed_beside(matrix, projected(matrix, u[:, :1]), norm, 0.81, of_next=True) < 1e-25


def test_the_best_directions_of_more_columns_miss_no_more_than_is_proved():
    """Against eigenvalues; the columns beyond the rank may be those that are coupled to the rest."""
    rng = np.random.default_rng(8)
    above = 0
    for seed in range(300):
        count, close = 2 + seed % 4, 10.0 ** -rng.integers(2, 9)
        rank, weak = 1 + seed % (count - 1), 10.0 ** -rng.integers(1, 5)
        matrix = np.diag(np.append(2 + close * rng.uniform(size=count), rng.uniform(0, 1, 6)))
        matrix[count:, :count] = weak * rng.standard_normal((6, count)) * rng.integers(0, 2, count)
        matrix[:count, count:] = matrix[count:, :count].T
        values, vectors = np.linalg.eigh(matrix)
        values = np.maximum(values, 0.0)
        rows = (vectors * np.sqrt(values)) @ vectors.T  # its Gram matrix is the matrix
        gram = rows @ rows.T
        columns = np.linalg.qr(rng.standard_normal((count, count)))[0]
        part = projected(rows, np.vstack([columns, np.zeros((6, count))]))
        beyond = float(np.linalg.eigvalsh(gram[count:, count:])[-1])
        found = missed.missed_beside(rows, part, float(np.linalg.norm(rows)), beyond, rank=rank)
        exact = np.linalg.eigvalsh(gram)[::-1][:rank].sum() - np.square(part.values[:rank]).sum()
        assert exact <= found + 1e-14  # rounding of the oracle
        squares = np.square(part.values)
        coupled = np.linalg.norm(gram[count:, :count] @ part.basis[:count], axis=0)
        apart = np.maximum(squares, squares[rank - 1]) - beyond
        assert found <= (1 + 1e-6) * (np.square(coupled) / apart).sum() + 1e-11
        above += exact > 0.3 * found
    assert above >= 30


@pytest.mark.parametrize("cluster", [(28, 33), (29, 31), (29, 45), (10, 31), (29, 60), (10, 150)])
@pytest.mark.parametrize("shape", [(200, 210), (800, 200)], ids=str)
def test_clusters_around_a_rank_of_many_values(shape, cluster):
    """Single precision finds all vectors of a cluster that reaches a few values beyond the rank."""
    values, rank = 1 / np.arange(1, 201.0), 30
    first, end = cluster
    values[first:end] = values[first]
    block = rotated(*shape, values).astype(np.float32)
    tails, _ = gesvd_tails(block.astype(np.float64))
    best = lb.approximate(block, lb.Global(), rank=rank)
    assert best.relative_error == pytest.approx(
        tails[rank] / tails[0], rel=0, abs=best.accuracy.relative_bound
    )
    assert (best.accuracy.methods == ("single",)) == (end - rank < 16)
    ours = best.to_dense().astype(np.float64)
    assert np.linalg.norm(block - ours) <= tails[rank] + 1e-7 * tails[0]
    b, a = (factor.astype(np.float64) for factor in best.factors[0])
    assert b.shape[1] == rank
    for product in (b.T @ b, a @ a.T):
        assert np.abs(product - np.diag(product.diagonal())).max() <= 1e-6 * product[0, 0]


@pytest.mark.parametrize(
    ("gap", "products"),
    [(0.02, [np.float32]), (2e-4, [np.float32, np.float64]), (1e-4, [np.float32, np.float64])],
)
def test_where_the_product_in_single_precision_does_not_suffice_one_in_double_does(
    gap, products, monkeypatch
):
    values, given = np.arange(1, 241.0) ** -0.5, []
    values[16] = values[15] * (1 - gap)
    block = rotated(240, 250, values).astype(np.float32)

    def kept(*arguments, **options):
        given.append(options.get("dtype", np.float64))
        return missed.missed_beside(*arguments, **options)

    monkeypatch.setattr(leading, "missed_beside", kept)
    assert lb.approximate(block, lb.Global(), rank=16).accuracy.methods == ("single",)
    assert given == products


def test_all_vectors_of_a_cluster_take_part_in_the_proof(monkeypatch):
    """What couples them to the rest counts, and so does the rounding of the value that follows them."""
    values, given = 1 / np.arange(1, 201.0), []
    values[28:34] = values[28]
    block = rotated(200, 210, values).astype(np.float32)

    def kept(*arguments, **options):
        given.append((*arguments, options))
        return missed.missed_beside(*arguments, **options)

    monkeypatch.setattr(leading, "missed_beside", kept)
    assert lb.approximate(block, lb.Global(), rank=30).accuracy.methods == ("single",)
    ((_, part, _, beyond, options),) = given
    exact = np.linalg.svd(block.astype(np.float64), compute_uv=False) ** 2
    assert options == {"of_next": True, "rank": 30, "dtype": np.float32}
    assert len(part.values) == 34
    assert 16 * 2.0**-24 * exact[0] <= beyond - exact[34] <= 1e-4 * exact[0]


@pytest.mark.parametrize("shape", [(200, 210), (800, 200)], ids=str)
@pytest.mark.parametrize(("exponent", "method"), [(0.5, "single"), (1.25, "gram")])
def test_vectors_are_computed_where_a_proof_may_suffice(shape, exponent, method, monkeypatch):
    """Not where single precision resolves no gap near the rank."""
    asked, found = [], lapack.orthonormal_again
    monkeypatch.setattr(
        leading, "orthonormal_again", lambda columns: (asked.append(columns), found(columns))[1]
    )
    block = rotated(*shape, np.arange(1, 201.0) ** -exponent).astype(np.float32)
    tails, _ = gesvd_tails(block.astype(np.float64))
    best = lb.approximate(block, lb.Global(), rank=42)
    assert best.relative_error == pytest.approx(tails[42] / tails[0], rel=0, abs=best.accuracy.relative_bound)
    assert best.accuracy.methods == (method,)
    assert bool(asked) == (method == "single")


@pytest.mark.parametrize("energy", [0.0, 1e-9, 0.16, 0.25, 0.3, np.inf])
def test_the_excess_of_an_error_is_what_missed_energy_takes_off_it(energy):
    """That of the root of the energy that is left; no error is below 0."""
    least = np.sqrt(max(0.25 - energy, 0.0))
    expected = np.sqrt(0.25) - least if energy < 0.25 else np.sqrt(energy)
    assert questions._excess(0.25, energy) == pytest.approx(expected, rel=1e-6)
    assert bounds.error_of_root(np.array([0.25]), np.array([energy]))[0] == questions._excess(0.25, energy)


def test_products_that_blas_sums_as_one_are_charged_for_all_their_length():
    """Where entries are equal, the roundings are, too; contiguous ones are added by vectors."""
    value = 0.75 * np.sqrt(64 * 4000)
    part = Projection(np.full((64, 1), 1 / 8), np.array([value]), np.full((1, 4000), 4000**-0.5))
    by_columns, by_rows = (
        missed.missed_beside(
            np.full((64, 4000), 0.75, np.float32, order=order), part, value, 0.0, dtype=np.float32
        )
        for order in "FC"
    )
    assert (0.375 * 256 * 2.0**-24 * value) ** 2 <= by_rows < by_columns
    assert by_columns >= (0.375 * 4000 * 2.0**-24 * value) ** 2
