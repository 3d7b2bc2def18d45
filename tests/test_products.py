"""Products with an approximation, each in its own convention, its transpose, and its dense array."""

import re

import numpy as np
import pytest
from oracles import pick, put, tolerance
from registry import GENERIC, KINDS, VIEWS, built, each

import lowrank_blocks as lb

RAGGED = {name: GENERIC[name] for name in ("ragged", "wide", "square")}
SQUARE = lb.approximate(GENERIC["square"], lb.Localized(2), 90)
WIDE = lb.approximate(GENERIC["wide"], lb.Localized(2), 90)  # 8×20


def dense(answer, blocks):
    """Return the matrix of an answer from its factors and the oracle's blocks."""
    X = np.zeros(answer.shape)
    for (B, A), block in zip(answer.factors, blocks, strict=True):
        put(X, block, B @ A)
    return X


@each(targets=RAGGED)
def test_apply_is_a_linear_layer_and_matmul_is_not(kind, W):
    structure, blocks = built(kind, W)
    answer = lb.approximate(W, structure, 100)
    X, rng = dense(answer, blocks), np.random.default_rng(0)
    m, n = W.shape

    for lead in [(), (1,), (5,), (2, 3), (2, 0, 3), (0,)]:
        x = rng.standard_normal((*lead, n))
        y = answer.apply(x)
        assert y.shape == (*lead, m)
        np.testing.assert_allclose(y, x @ X.T, rtol=0, atol=100 * tolerance(W))
        z = rng.standard_normal((*lead, m))
        np.testing.assert_allclose(answer.T.apply(z), z @ X, rtol=0, atol=100 * tolerance(W))
    x, z = rng.standard_normal((n, 4)), rng.standard_normal((3, m))
    np.testing.assert_allclose(answer @ x, X @ x, rtol=0, atol=100 * tolerance(W))
    np.testing.assert_allclose(z @ answer, z @ X, rtol=0, atol=100 * tolerance(W))


def test_on_square_layers_the_conventions_differ():
    x = np.random.default_rng(1).standard_normal((12, 12))
    X = SQUARE.to_dense()

    assert not np.allclose(x @ SQUARE, SQUARE.apply(x))
    np.testing.assert_allclose(SQUARE.apply(x), x @ X.T, rtol=0, atol=1e-12)
    np.testing.assert_allclose(x @ SQUARE, x @ X, rtol=0, atol=1e-12)
    np.testing.assert_allclose(SQUARE @ x, X @ x, rtol=0, atol=1e-12)


def indices(block):
    """Return the rows and the columns of a block, one by one."""
    return tuple(tuple(np.arange(99)[part].tolist()) for part in block)


@each(targets=RAGGED)
def test_the_transpose_is_the_approximation_of_the_transposed_matrix(kind, W):
    structure, blocks = built(kind, W)
    answer = lb.decompose(W, structure).within(100)
    turned = answer.T

    assert isinstance(turned, lb.Approximation)
    assert turned.structure == structure.transposed()
    assert turned.shape == W.shape[::-1]
    X = dense(answer, blocks).T
    if kind in VIEWS:
        np.testing.assert_array_equal(turned.to_dense(), answer.to_dense().T)
    np.testing.assert_allclose(turned.to_dense(), X, rtol=0, atol=1e-13)
    places = [indices(block) for block in answer.blocks]
    for k, block in enumerate(turned.blocks):
        old = places.index(indices(block)[::-1])
        places[old] = None
        assert turned.ranks[k] == answer.ranks[old]
        assert turned.accuracy.methods[k] == answer.accuracy.methods[old]
        assert turned.accuracy.bounds[k] == answer.accuracy.bounds[old]
        if kind in VIEWS:
            np.testing.assert_array_equal(turned.factors[k][0], answer.factors[old][1].T)
    same = ("error", "relative_error", "guarantee", "lower_bound", "n_parameters", "nbytes")
    assert all(getattr(turned, name) == getattr(answer, name) for name in same)
    np.testing.assert_array_equal(turned.T.to_dense(), answer.to_dense())
    assert (turned.T.ranks == answer.ranks).all()
    arrays = [turned.ranks, *(f for pair in turned.factors for f in pair)]
    assert not any(array.flags.writeable for array in arrays)


@each(targets=RAGGED)
def test_as_an_array_it_is_the_dense_matrix(kind, W):
    structure, blocks = built(kind, W)
    answer = lb.approximate(W, structure, 100)
    np.testing.assert_array_equal(np.asarray(answer), answer.to_dense())
    for part, block in zip(answer.factors, blocks, strict=True):
        np.testing.assert_allclose(
            pick(np.asarray(answer), block), part[0] @ part[1], rtol=0, atol=tolerance(W)
        )


def test_arrays_obey_the_protocol_of_numpy_2():
    X = SQUARE.to_dense()

    assert np.asarray(SQUARE, dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(np.array(SQUARE, dtype=np.float32), X.astype(np.float32))
    np.testing.assert_array_equal(np.array(SQUARE, copy=True), X)
    assert np.asarray(SQUARE).flags.writeable  # the caller's own
    with pytest.raises(ValueError, match=r"copy must not be False: .*np\.asarray\(best\)"):
        np.array(SQUARE, copy=False)
    assert np.linalg.norm(SQUARE) == np.linalg.norm(X)
    with pytest.raises(TypeError):
        X - SQUARE  # a sum would make the dense matrix in silence


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_nbytes_counts_all_factors(dtype):
    answer = lb.approximate(GENERIC["ragged"].astype(dtype), lb.Localized(2), 100)

    assert answer.nbytes == sum(f.nbytes for pair in answer.factors for f in pair)
    assert answer.nbytes == answer.n_parameters * np.dtype(dtype).itemsize


def test_results_keep_the_width_of_factors_and_operand():
    answer = lb.approximate(GENERIC["wide"].astype(np.float32), lb.Localized(2), 90)

    assert answer.apply(np.ones((3, 20), np.float32)).dtype == np.float32
    assert answer.apply(np.ones((3, 20))).dtype == np.float64
    assert answer.apply(np.ones((3, 20), int)).dtype == np.float64
    assert answer.apply(np.ones((3, 20), np.float16)).dtype == np.float32


@pytest.mark.parametrize(
    ("call", "fragments"),
    [
        (lambda: WIDE @ np.ones((5, 20)), ["x must have shape (20,) or (20, k)", "(5, 20)", "best.apply(x)"]),
        (lambda: WIDE @ np.ones((2, 5, 20)), ["x must have", "(2, 5, 20)", "best.apply(x)"]),
        (lambda: WIDE @ np.ones((5, 8)), ["x must have", "(5, 8)", "x @ best"]),
        (lambda: WIDE @ np.ones(8), ["x must have", "(8,)", "x @ best"]),
        (lambda: np.ones((5, 20)) @ WIDE, ["x must have shape (8,) or (k, 8)", "(5, 20)", "best.apply(x)"]),
        (lambda: np.ones((2, 5, 8)) @ WIDE, ["x must have", "(2, 5, 8)", "best.T.apply(x)"]),
        (lambda: np.ones((20, 5)) @ WIDE, ["x must have", "(20, 5)", "best @ x"]),
        (lambda: WIDE.apply(np.ones((20, 5))), ["x must have shape (..., 20)", "(20, 5)", "best @ x"]),
        (lambda: WIDE.apply(np.ones((5, 8))), ["x must have shape (..., 20)", "(5, 8)", "x @ best"]),
        (lambda: WIDE.apply(1.0), ["x must have shape (..., 20)", "got shape ()"]),
    ],
)
def test_an_operand_that_does_not_fit_is_shown_the_call_that_does(call, fragments):
    with pytest.raises(ValueError, match=".*".join(map(re.escape, fragments))):
        call()


@pytest.mark.parametrize("call", [lambda x: WIDE @ x, lambda x: x @ WIDE, lambda x: WIDE.apply(x)])
def test_an_operand_that_fits_no_call_is_shown_none(call):
    with pytest.raises(ValueError, match=r"got shape \(3, 7\)\.$"):
        call(np.ones((3, 7)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_operands_are_not_written_to(kind):
    answer = lb.approximate(np.random.default_rng(0).standard_normal((10, 10)), kind.make(10, 10), 60)
    x = np.ones((3, 10))
    x.flags.writeable = False
    answer.apply(x), answer @ x.T, x @ answer
