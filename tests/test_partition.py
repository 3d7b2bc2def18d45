"""Where axes are cut, and what an axis may be."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lowrank_blocks as lb


@st.composite
def axes(draw, longest=300):
    length = draw(st.integers(1, longest))
    return length, draw(st.integers(1, length))


def row_edges(structure, length):
    blocks = structure.layout((length, 1)).cells()
    return [blocks[0].rows.start, *(block.rows.stop for block in blocks)]


@given(axes())
def test_an_int_cuts_at_i_n_over_parts(axis):
    length, parts = axis

    assert row_edges(lb.Localized(parts, 1), length) == [i * length // parts for i in range(parts + 1)]


@given(axes())
def test_parts_differ_by_at_most_one(axis):
    length, parts = axis
    edges = row_edges(lb.Localized(parts, 1), length)
    lengths = np.diff(edges)

    assert len(lengths) == parts
    assert lengths.min() == length // parts
    assert lengths.max() - lengths.min() <= 1
    assert (edges[0], edges[-1]) == (0, length)


@given(st.integers(1, 100), st.integers(0, 100))
def test_twice_the_parts_refine(parts, more):
    length = 2 * parts + more

    coarse, fine = (row_edges(lb.Localized(k, 1), length) for k in (parts, 2 * parts))

    assert set(coarse) <= set(fine)


@given(axes(30), axes(30))
def test_a_grid_of_numbers_of_parts_has_at_most_three_costs(rows, cols):
    shapes = lb.Localized(rows[1], cols[1]).layout((rows[0], cols[0])).block_shapes

    assert len({p + q for p, q in shapes}) <= 3


def test_blocks_come_row_by_row_with_explicit_ends():
    blocks = lb.Localized(2, (0, 1, 5)).layout((3, 5)).cells()

    assert list(blocks) == [
        lb.Block(slice(0, 1), slice(0, 1)),
        lb.Block(slice(0, 1), slice(1, 5)),
        lb.Block(slice(1, 3), slice(0, 1)),
        lb.Block(slice(1, 3), slice(1, 5)),
    ]
    assert [block.shape for block in blocks] == [(1, 1), (1, 4), (2, 1), (2, 4)]


@pytest.mark.parametrize("edges", [(0, 2, 5), [0, 2, 5], np.array([0, 2, 5]), (np.int8(0), np.int64(2), 5)])
def test_edges_may_be_any_sequence_of_ints(edges):
    structure = lb.Localized(edges, 1)

    assert structure == lb.Localized((0, 2, 5), 1)
    assert all(type(edge) is int for edge in structure.rows)


def test_numpy_ints_count_parts():
    assert lb.DiagonalLocal(np.int64(3)) == lb.DiagonalLocal(3)
    assert type(lb.DiagonalLocal(np.int64(3)).parts) is int


def test_columns_default_to_rows():
    assert lb.Localized(4) == lb.Localized(4, 4)
    assert lb.Localized((0, 1, 3)) == lb.Localized((0, 1, 3), (0, 1, 3))
    assert lb.Localized(2, 3) != lb.Localized(3, 2)
    assert lb.Localized(2, 3).transposed() == lb.Localized(3, 2)


@pytest.mark.parametrize(
    ("structure", "text"),
    [
        (lb.Global(), "Global()"),
        (lb.DiagonalLocal(4), "DiagonalLocal(4)"),
        (lb.DiagonalLocal((0, 1, 3)), "DiagonalLocal((0, 1, 3))"),
        (lb.Localized(4), "Localized(4)"),
        (lb.Localized(4, 1), "Localized(4, 1)"),
        (lb.Localized((0, 3), 2), "Localized((0, 3), 2)"),
    ],
)
def test_representations(structure, text):
    assert repr(structure) == text
    assert pickle.loads(pickle.dumps(structure)) == structure


def test_every_entry_may_be_a_block():
    W = np.arange(12.0).reshape(3, 4)

    answer = lb.approximate(W, lb.Localized(3, 4), 6)  # three entries at 2 numbers each

    assert answer.error == pytest.approx(np.sqrt(np.square(np.arange(9)).sum()), rel=1e-15)
    assert answer.ranks.tolist() == [0] * 9 + [1] * 3


def test_edges_serve_both_axes_of_a_square_diagonal():
    assert lb.DiagonalLocal((0, 1, 5)).layout((5, 5)).block_shapes == ((1, 1), (4, 4))
