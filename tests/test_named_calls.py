"""A predictable mistake is answered with the call to make."""

import copy
import dataclasses
import inspect
import pickle
import re

import numpy as np
import pytest

import lowrank_blocks as lb

W = np.random.default_rng(0).standard_normal((12, 20))
BEST = lb.approximate(W, lb.Localized(2), 64)
REPORT = lb.compare(W, [lb.Global()], 64)


def refuse(error, *fragments):
    return pytest.raises(error, match=".*".join(map(re.escape, fragments)))


# Structures.


@pytest.mark.parametrize(
    ("call", "fragments"),
    [
        (lambda: lb.Localized(K=4), ["Localized", "K", "write lb.Localized(4)"]),
        (lambda: lb.Localized(), ["Localized", "rows", "write lb.Localized(4)"]),
        (lambda: lb.Localized(2, 3, 4), ["Localized", "write lb.Localized(4)"]),
        (lambda: lb.Localized(4, K=4), ["Localized", "K", "write lb.Localized(4)"]),
        (lambda: lb.Localized(n_blocks=8), ["Localized", "n_blocks", "write lb.Localized(4)"]),
        (lambda: lb.DiagonalLocal(K=4), ["DiagonalLocal", "K", "write lb.DiagonalLocal(4)"]),
        (lambda: lb.DiagonalLocal(), ["DiagonalLocal", "parts", "write lb.DiagonalLocal(4)"]),
        (lambda: lb.DiagonalLocal(2, 2), ["DiagonalLocal", "write lb.DiagonalLocal(4)"]),
        (lambda: lb.Global(8), ["Global", "write lb.Global()", "rank=8"]),
        (lambda: lb.Global(rank=8), ["Global", "rank", "write lb.Global()", "rank=8"]),
        (lambda: lb.Blocks(), ["Blocks", "write lb.Blocks([(slice(0, 4), [0, 3]), (range(0, 4), [1, 2])])"]),
        (lambda: lb.Blocks(rectangles=[(0, 1, 0, 1)]), ["Blocks", "rectangles", "write lb.Blocks("]),
    ],
)
def test_a_structure_called_wrongly_shows_its_call(call, fragments):
    with refuse(TypeError, *fragments):
        call()


@pytest.mark.parametrize(
    "structure", [lb.Global(), lb.DiagonalLocal(parts=3), lb.Localized(rows=2, cols=(0, 1, 20))]
)
def test_structures_are_still_dataclasses(structure):
    cls = type(structure)
    values = {f.name: getattr(structure, f.name) for f in dataclasses.fields(structure)}

    assert dataclasses.is_dataclass(structure)
    assert cls(**values) == dataclasses.replace(structure) == structure
    assert list(inspect.signature(cls).parameters) == list(values) == list(cls.__match_args__)
    for again in (pickle.loads(pickle.dumps(structure)), copy.copy(structure), copy.deepcopy(structure)):
        assert again == structure
        assert hash(again) == hash(structure)
    with pytest.raises(dataclasses.FrozenInstanceError):
        structure.parts = 5


@pytest.mark.parametrize(
    ("value", "call"),
    [
        (BEST, "pass its .structure"),
        (BEST.T, "pass its .structure"),
        (lb.decompose(W, lb.Global()), "pass its .structure"),
        ([lb.Global(), lb.Localized(2)], "lb.compare"),
        ((lb.Global(),), "lb.compare"),
    ],
)
def test_what_holds_a_structure_is_no_structure(value, call):
    with refuse(TypeError, "structure must be", "structure", type(value).__name__, call):
        lb.approximate(W, value, 64)
    with refuse(TypeError, "structures[0] must be", "structure", type(value).__name__, call):
        lb.compare(W, [value], 64)


# Matrices.

ONE_MATRIX = {
    "approximate": lambda x: lb.approximate(x, lb.Global(), 64),
    "decompose": lambda x: lb.decompose(x, lb.Global()),
    "compare": lambda x: lb.compare(x, [lb.Global()], 64),
    "error_curve": lambda x: lb.error_curve(x, lb.Global()),
    "best_partition": lambda x: lb.best_partition(x, 64),
    "partition_curve": lambda x: lb.partition_curve(x),
    "plot_residual": lambda x: lb.plot_residual(x, BEST),
}


@pytest.mark.parametrize("call", ONE_MATRIX.values(), ids=ONE_MATRIX)
@pytest.mark.parametrize(
    ("value", "fragments"),
    [
        ({"q": W, "k": W}, ["one matrix", "dict of 2", "for name, dW in matrices.items()"]),
        ({}, ["one matrix", "dict of 0"]),
        ([W, W], ["one matrix", "list of 2 matrices", "for dW in matrices"]),
        ((W, W[:3]), ["one matrix", "tuple of 2 matrices", "for dW in matrices"]),
        ([W.tolist(), W[:3]], ["one matrix", "list of 2 matrices"]),
        (lb.Global(), ["got dtype object", "a Global"]),
    ],
)
def test_many_matrices_where_one_belongs(call, value, fragments):
    with refuse(TypeError, "dW must be", *fragments):
        call(value)


def test_an_archive_is_a_dict_of_matrices(tmp_path):
    np.savez(tmp_path / "all.npz", q=W, k=W)
    with np.load(tmp_path / "all.npz") as archive, refuse(TypeError, "one matrix", "NpzFile of 2", "items()"):
        lb.compare(archive, [lb.Global()], 64)


def test_a_stack_of_matrices_is_shown_the_loop():
    with refuse(ValueError, "dW must be a nonempty 2-D matrix", "(2, 12, 20)", "for dW in matrices"):
        lb.approximate(np.stack([W, W]), lb.Global(), 64)


def test_an_approximation_may_be_approximated():
    again = lb.approximate(BEST, lb.Localized(2), 64)

    np.testing.assert_allclose(again.to_dense(), BEST.to_dense(), rtol=0, atol=1e-13)


# Shapes and reports.


@pytest.mark.parametrize("value", [W, W[:2], BEST, lb.decompose(W, lb.Global()).within(64).T])
@pytest.mark.parametrize("call", [lb.rank_budget, lb.fraction_budget])
def test_a_matrix_where_its_shape_belongs(call, value):
    m, n = value.shape
    with refuse(TypeError, "shape must be a pair", f"got a matrix of shape ({m}, {n})", "dW.shape") as caught:
        call(value, 1)
    assert len(str(caught.value)) < 200


def test_a_nested_list_where_a_shape_belongs():
    with refuse(TypeError, "shape", "[0]", "[1.0, 2.0]"):
        lb.rank_budget([[1.0, 2.0], [3.0, 4.0]], 8)


@pytest.mark.parametrize(
    ("value", "fragments"),
    [
        ([REPORT], ["got a list", "lb.Report({name: lb.compare(", "for name, dW in matrices.items()})"]),
        ((REPORT, REPORT), ["got a tuple", "lb.Report({"]),
        (REPORT, ["got a Comparison", "lb.Report({"]),
        (None, ["got a NoneType", "lb.Report({"]),
    ],
)
def test_a_report_of_something_else_than_a_dict(value, fragments):
    with refuse(TypeError, "comparisons must be a dict", *fragments):
        lb.Report(value)
