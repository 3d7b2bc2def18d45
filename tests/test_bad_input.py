"""Every bad matrix, count, structure and operand is refused: the error names argument, rule and value."""

import numpy as np
import pytest
from refusals import refuse

import lowrank_blocks as lb

EYE = np.eye(4)


def with_entry(value):
    W = np.ones((3, 4))
    W[1, 2] = value
    return W


MATRICES = {
    "nan": (with_entry(np.nan), ValueError, ["dW must be finite", "dW[1, 2] = nan"]),
    "inf": (with_entry(np.inf), ValueError, ["dW must be finite", "dW[1, 2] = inf"]),
    "-inf": (np.asfortranarray(with_entry(-np.inf)), ValueError, ["dW must be finite", "dW[1, 2] = -inf"]),
    "float16 nan": (
        with_entry(np.nan).astype(np.float16),
        ValueError,
        ["dW must be finite", "dW[1, 2] = nan"],
    ),
    "two nan": (np.full((2, 2), np.nan), ValueError, ["dW must be finite", "dW[0, 0] = nan"]),
    "0-D": (3.0, ValueError, ["dW must be a nonempty 2-D matrix", "got shape ()"]),
    "1-D": ([1.0, 2.0], ValueError, ["dW must be a nonempty 2-D matrix", "got shape (2,)"]),
    "3-D": (np.ones((2, 3, 4)), ValueError, ["dW must be a nonempty 2-D matrix", "got shape (2, 3, 4)"]),
    "empty": (np.ones((0, 4)), ValueError, ["dW must be a nonempty 2-D matrix", "got shape (0, 4)"]),
    "empty list": ([], ValueError, ["dW must be a nonempty 2-D matrix", "got shape (0,)"]),
    "complex": (EYE + 0j, TypeError, ["dW must be real", "got dtype complex128"]),
    "object": (EYE.astype(object), TypeError, ["dW must be real", "got dtype object"]),
    "none": (None, TypeError, ["dW must be real", "got dtype object"]),
    "strings": (np.array([["a", "b"]]), TypeError, ["dW must be real", "got dtype <U1"]),
    "string": ("dW.npy", TypeError, ["dW must be real", "got dtype <U6"]),
    "dates": (np.zeros((2, 2), "M8[s]"), TypeError, ["dW must be real", "got dtype datetime64[s]"]),
    "records": (np.zeros((2, 2), "f8,f8"), TypeError, ["dW must be real", "got dtype"]),
    "ragged": (
        [[1.0], [1.0, 2.0]],
        ValueError,
        ["dW must be a rectangular array", "rows of different lengths"],
    ),
    "masked": (np.ma.masked_equal(EYE, 0), TypeError, ["dW must not be masked", "masked array", ".filled("]),
    "too large": (np.full((9, 9), 1.7e308), ValueError, ["dW must have a Frobenius norm below", "divide it"]),
}
ENTRIES = {
    "approximate": lambda W: lb.approximate(W, lb.Global(), 8),
    "decompose": lambda W: lb.decompose(W, lb.Global()),
    "compare": lambda W: lb.compare(W, [lb.Global()], 8),
    "error_curve": lambda W: lb.error_curve(W, lb.Global()),
}


@pytest.mark.parametrize(("W", "error", "fragments"), MATRICES.values(), ids=MATRICES)
@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_bad_matrices(entry, W, error, fragments):
    with refuse(error, *fragments):
        entry(W)


def test_long_doubles_are_refused_where_they_are_longer():
    W = EYE.astype(np.longdouble)
    if W.dtype.itemsize == 8:
        lb.approximate(W, lb.Global(), 8)
    else:
        with refuse(TypeError, "dW must be real numbers of at most 64 bits", f"got dtype {W.dtype}"):
            lb.approximate(W, lb.Global(), 8)


COUNTS = {
    "negative": (-1, ValueError, "got -1"),
    "float": (8.0, TypeError, "got 8.0"),
    "nan": (float("nan"), TypeError, "got nan"),
    "bool": (True, TypeError, "got the bool True"),
    "numpy bool": (np.True_, TypeError, "got the bool True"),
    "string": ("8", TypeError, "got '8'"),
    "none": (None, TypeError, "got None"),
    "numpy float": (np.float64(2.5), TypeError, "2.5"),
}
COUNT_ENTRIES = {
    "approximate": ("budget", lambda x: lb.approximate(EYE, lb.Global(), x)),
    "within": ("budget", lambda x: lb.decompose(EYE, lb.Global()).within(x)),
    "choose_ranks": ("budget", lambda x: lb.decompose(EYE, lb.Global()).choose_ranks(x, allocate=lb.uniform)),
    "compare": ("budget", lambda x: lb.compare(EYE, [lb.Global()], x)),
    "uniform": ("budget", lambda x: lb.uniform([[1.0]], [2], x)),
    "adaptive": ("budget", lambda x: lb.adaptive([[1.0]], [2], x)),
    "rank_budget": ("rank", lambda x: lb.rank_budget((4, 4), x)),
    "shape": ("shape[1]", lambda x: lb.rank_budget((4, x), 1)),
    "truncate": ("ranks[1]", lambda x: lb.decompose(EYE, lb.Localized(1, 2)).truncate([1, x])),
    "error": ("ranks[0]", lambda x: lb.decompose(EYE, lb.Global()).error([x])),
    "relative_error": ("ranks[0]", lambda x: lb.decompose(EYE, lb.Global()).relative_error([x])),
    "costs": ("costs[0]", lambda x: lb.adaptive([[1.0]], [x], 5)),
    "seed": ("seed", lambda x: lb.synthetic.gaussian((3, 3), seed=x)),
    "synthetic rank": ("rank", lambda x: lb.synthetic.low_rank((3, 3), rank=x)),
}


@pytest.mark.parametrize(("value", "error", "got"), COUNTS.values(), ids=COUNTS)
@pytest.mark.parametrize(("name", "entry"), COUNT_ENTRIES.values(), ids=COUNT_ENTRIES)
def test_bad_counts(name, entry, value, error, got):
    with refuse(error, f"{name} must be a non-negative integer", got):
        entry(value)


PARTS = {
    "zero": (0, ValueError, ["must be at least 1 part", "got 0"]),
    "negative": (-2, ValueError, ["must be at least 1 part", "got -2"]),
    "float": (2.0, TypeError, ["must be an int (that many parts) or a tuple", "got 2.0"]),
    "bool": (True, TypeError, ["must be an int (that many parts) or a tuple", "got the bool True"]),
    "numpy bool": (
        np.False_,
        TypeError,
        ["must be an int (that many parts) or a tuple", "got the bool False"],
    ),
    "string": ("4", TypeError, ["must be an int (that many parts) or a tuple", "got '4'"]),
    "edges from 1": ((1, 4), ValueError, ["must start at 0", "(1, 4)"]),
    "one edge": ((0,), ValueError, ["must start at 0", "at least two edges", "(0,)"]),
    "no edges": ((), ValueError, ["must start at 0", "at least two edges", "()"]),
    "equal edges": ((0, 2, 2, 4), ValueError, ["must increase", "2 before 2", "(0, 2, 2, 4)"]),
    "falling edges": ((0, 3, 2, 4), ValueError, ["must increase", "3 before 2", "(0, 3, 2, 4)"]),
    "many edges": (
        (*range(20), 5),
        ValueError,
        ["must increase", "19 before 5", "(0, 1, 2, 3, 4, 5, 6, ..., 5)"],
    ),
    "float edge": ((0, 1.5, 4), TypeError, ["[1] must be an int", "got 1.5"]),
    "bool edge": ((0, True, 4), TypeError, ["[1] must be an int", "got the bool True"]),
}
AXES = {
    "diagonal": ("parts", lb.DiagonalLocal),
    "rows": ("rows", lb.Localized),
    "cols": ("cols", lambda axis: lb.Localized(2, axis)),
}


@pytest.mark.parametrize(("value", "error", "fragments"), PARTS.values(), ids=PARTS)
@pytest.mark.parametrize(("name", "make"), AXES.values(), ids=AXES)
def test_bad_axes(name, make, value, error, fragments):
    with refuse(error, name, *fragments):
        make(value)


@pytest.mark.parametrize(
    ("structure", "fragments"),
    [
        (lb.DiagonalLocal(5), ["parts must be at most the length of its axis, 4", "got 5 parts"]),
        (lb.Localized(5, 1), ["rows must be at most the length of its axis, 4", "got 5 parts"]),
        (lb.Localized(1, 7), ["cols must be at most the length of its axis, 6", "got 7 parts"]),
        (lb.Localized((0, 2, 5), 1), ["rows must end at the length of its axis, 4", "(0, 2, 5)"]),
        (lb.Localized(1, (0, 2, 5)), ["cols must end at the length of its axis, 6", "(0, 2, 5)"]),
        (lb.DiagonalLocal((0, 2, 4)), ["parts must end at the length of its axis, 6", "(0, 2, 4)"]),
    ],
)
def test_structures_that_do_not_fit_the_matrix(structure, fragments):
    with refuse(ValueError, *fragments):
        lb.approximate(np.ones((4, 6)), structure, 8)


@pytest.mark.parametrize(
    ("value", "call"),
    [
        ("global", "lb.Global()"),
        ("LoRA", "lb.Global()"),
        ("diagonal", "lb.DiagonalLocal(4)"),
        ("localized", "lb.Localized(4)"),
        ("blocks", "lb.Global(), lb.DiagonalLocal(4) or lb.Localized(4)"),
        (lb.Localized, "lb.Localized(4)"),
        (None, "lb.Global(), lb.DiagonalLocal(4) or lb.Localized(4)"),
        (4, "lb.Global(), lb.DiagonalLocal(4) or lb.Localized(4)"),
    ],
)
def test_a_structure_of_another_kind_shows_the_call_to_make(value, call):
    with refuse(TypeError, "structure must be a structure such as", call, repr(value)):
        lb.approximate(EYE, value, 8)
    with refuse(TypeError, "structures[1] must be a structure such as", call, repr(value)):
        lb.compare(EYE, [lb.Global(), value], 8)


@pytest.mark.parametrize(
    ("shape", "error", "got"),
    [
        ((4,), TypeError, "(4,)"),
        ((4, 4, 4), TypeError, "(4, 4, 4)"),
        (16, TypeError, "16"),
        ("44", TypeError, "'44'"),
        ((0, 4), ValueError, "(0, 4)"),
    ],
)
def test_bad_shapes(shape, error, got):
    for call in (lb.rank_budget, lb.fraction_budget):
        with refuse(error, "shape must be a pair of positive integers", f"got {got}"):
            call(shape, 1)


@pytest.mark.parametrize(
    ("fraction", "error", "got"),
    [
        (-0.1, ValueError, "-0.1"),
        (float("nan"), ValueError, "nan"),
        (float("inf"), ValueError, "inf"),
        (True, TypeError, "True"),
        ("0.5", TypeError, "'0.5'"),
        (None, TypeError, "None"),
    ],
)
def test_bad_fractions(fraction, error, got):
    with refuse(error, "fraction must be a finite number that is not negative", f"got {got}"):
        lb.fraction_budget((4, 4), fraction)


@pytest.mark.parametrize(
    ("structures", "allocate", "name", "got"),
    [
        ([], (lb.adaptive,), "structures", "[]"),
        (lb.Global(), (lb.adaptive,), "structures", "Global()"),
        ("global", (lb.adaptive,), "structures", "'global'"),
        ([lb.Global()], (), "allocate", "()"),
        ([lb.Global()], lb.adaptive, "allocate", "adaptive"),
        ([lb.Global()], "adaptive", "allocate", "'adaptive'"),
    ],
)
def test_compare_needs_sequences(structures, allocate, name, got):
    with refuse(TypeError, f"{name} must be a nonempty sequence such as", f"got {got}"):
        lb.compare(EYE, structures, 8, allocate=allocate)


@pytest.mark.parametrize(
    ("x", "error", "fragments"),
    [
        (np.ones(3), ValueError, ["x must have shape (4,) or (4, k)", "got shape (3,)"]),
        (np.ones((4, 1, 1)), ValueError, ["x must have shape (4,) or (4, k)", "got shape (4, 1, 1)"]),
        (2.0, ValueError, ["x must have shape (4,) or (4, k)", "got shape ()"]),
        (np.ones(4) + 1j, TypeError, ["x must be real", "complex128"]),
    ],
)
def test_bad_operands(x, error, fragments):
    answer = lb.approximate(EYE, lb.Localized(2), 8)
    with refuse(error, *fragments):
        answer @ x


def test_bad_left_operand():
    with refuse(ValueError, "x must have shape (4,) or (k, 4)", "got shape (2, 3)"):
        np.ones((2, 3)) @ lb.approximate(EYE, lb.Localized(2), 8)
