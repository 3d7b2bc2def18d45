"""A matrix is its numbers: the order of their bytes in memory changes no bit of any answer."""

import ml_dtypes
import numpy as np
import pytest

import lowrank_blocks as lb
from lowrank_blocks._validation import as_matrix, as_operand, is_narrow
from lowrank_blocks.files import find_matrices

KINDS = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float32": np.float32,
    "float64": np.float64,
    "int16": np.int16,
}


def swapped(native):
    """Return an array of the same numbers with its bytes in the other order."""
    return native.byteswap().view(native.dtype.newbyteorder("S"))


def sample(kind):
    return (4 * np.random.default_rng(3).standard_normal((12, 10))).astype(kind)


def result(matrix):
    """Return all results for a matrix, as bytes and texts."""
    best = lb.approximate(matrix, lb.Localized(2), 60)
    parts = lb.decompose(matrix, lb.DiagonalLocal(2))
    arrays = [f for pair in (*best.factors, *parts.truncate([2, 1]).factors) for f in pair]
    arrays += [*parts.spectra, lb.error_curve(matrix, lb.Global()).relative_error, best @ np.eye(10)]
    found = lb.best_partition(matrix, 80, max_depth=2)
    others = [best.error, best.accuracy, parts.accuracy, found, lb.compare(matrix, [lb.Global()], 60)]
    return [(a.dtype.name, a.dtype.isnative, a.tobytes()) for a in arrays], list(map(repr, others))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_swapped_bytes_change_no_bit(kind):
    native = sample(kind)
    other = swapped(native)
    before = other.tobytes()
    assert not other.dtype.isnative
    assert result(other) == result(native)
    assert other.tobytes() == before


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_arrays_are_native_behind_the_door(kind):
    native = sample(kind)
    for judged in (as_matrix(swapped(native)), as_operand(swapped(native))):
        assert judged.dtype.isnative
        np.testing.assert_array_equal(judged.astype(float), native.astype(float))
    if kind is not np.int16:
        assert as_matrix(native) is native  # no copy of what needs none


@pytest.mark.parametrize("scale", [1.0, 1e90, 1e300, 1e-90, 5e-324], ids=str)
def test_swapped_float64_keeps_the_accuracy_of_float64(scale):
    """It is no narrow source, whatever the size of its entries."""
    native = np.random.default_rng(4).integers(-9, 10, (7, 9)) * scale
    best = lb.approximate(swapped(native), lb.Global(), lb.rank_budget((7, 9), 7))
    assert best.factors[0][0].dtype == np.float64
    underflow = 4 * 5e-324  # seven products to an entry, each off by half of the least number
    limit = 1e-14 * np.abs(native).max() + underflow
    np.testing.assert_allclose(best.to_dense(), native, rtol=0, atol=limit)


def test_products_with_swapped_vectors():
    best, x = lb.approximate(np.eye(6), lb.Global(), 24), np.arange(6.0)
    assert (best @ swapped(x)).tobytes() == (best @ x).tobytes()
    assert (swapped(x) @ best).tobytes() == (x @ best).tobytes()


def test_files_of_either_byte_order(tmp_path):
    for order in "<>":
        np.save(tmp_path / "dW.npy", sample(np.float64).astype(f"{order}f8"))
        (stored,), _ = find_matrices(tmp_path / "dW.npy")
        matrix = stored.read()
        assert matrix.dtype.isnative
        assert not is_narrow(matrix.dtype)
        assert matrix.tobytes() == sample(np.float64).tobytes()


@pytest.mark.parametrize("kind", [">c8", ">c16", ">M8[s]", ml_dtypes.float8_e5m2, ml_dtypes.float8_e4m3fn])
def test_other_kinds_are_refused_in_any_order(kind):
    with pytest.raises(TypeError, match="dW must be real numbers of at most 64 bits"):
        lb.approximate(np.zeros((4, 4), dtype=kind), lb.Global(), 8)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long doubles are float64 here")
def test_swapped_long_doubles_are_refused():
    with pytest.raises(TypeError, match="dW must be real numbers of at most 64 bits"):
        lb.approximate(swapped(np.eye(4, dtype=np.longdouble)), lb.Global(), 8)


def test_which_floats_are_narrow():
    for kind in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64):
        dtype = np.dtype(kind)
        assert is_narrow(dtype) == is_narrow(dtype.newbyteorder("S")) == (dtype.itemsize < 8)
