"""Structures and layouts that users write: what the package checks before it uses them."""

from dataclasses import dataclass

import numpy as np
import pytest
from toy import CheckerboardLayout

import lowrank_blocks as lb


class Windows(lb.Layout):
    """Blocks given as places in the flattened matrix; nothing is checked."""

    def __init__(self, shape, blocks, **changed):
        super().__init__(shape, [np.shape(block) for block in blocks])
        self._blocks = [np.asarray(block) for block in blocks]
        for name, value in changed.items():
            setattr(self, name, value)

    def split(self, matrix):
        return [matrix.reshape(-1)[block] for block in self._blocks]

    def join(self, blocks):
        joined = np.zeros(self.shape)
        for place, block in zip(self._blocks, blocks, strict=True):
            joined.reshape(-1)[place] = block
        return joined

    def cells(self):
        return [lb.Block(slice(0, self.shape[0]), slice(0, self.shape[1]))] * len(self._blocks)


@dataclass(frozen=True)
class Made(lb.Structure):
    """A structure with whatever layout a function returns."""

    make: object

    def layout(self, shape):
        return self.make(shape)

    def transposed(self):
        raise NotImplementedError


PLACES = np.arange(16).reshape(4, 4)
TOP, BOTTOM, LEFT = PLACES[:2], PLACES[2:], PLACES[:, :2]


class WrongJoin(Windows):
    def join(self, blocks):
        return super().join([2 * block for block in blocks])


class WrongOutside(Windows):
    def outside(self, matrix):
        yield matrix


class Adding(Windows):
    def join(self, blocks):
        joined = np.zeros(self.shape)
        for place, block in zip(self._blocks, blocks, strict=True):
            joined.reshape(-1)[place] += block
        return joined


CASES = {
    "overlap": (lambda s: Windows(s, [TOP, LEFT]), "block 0, which overlaps block 1"),
    "overlap, added": (lambda s: Adding(s, [BOTTOM, TOP, LEFT]), "must be disjoint, got block 0"),
    "duplicate": (lambda s: Windows(s, [TOP, BOTTOM, TOP]), "block 0, which overlaps block 2"),
    "repeated entry": (
        lambda s: Windows(s, [[[0, 1], [0, 2]]]),
        "block 0, which overlaps another block or itself",
    ),
    "none": (lambda s: Windows(s, []), "must have at least one block"),
    "empty": (
        lambda s: Windows(s, [TOP, np.zeros((0, 2), dtype=int)]),
        "block 1 .* positive height and width",
    ),
    "other shape": (lambda s: Windows((5, 4), [TOP]), r"must be for the shape \(4, 4\), got \(5, 4\)"),
    "no layout": (lambda s: [TOP], "must return a Layout"),
    "wrong shapes": (lambda s: Windows(s, [TOP], block_shapes=((1, 4),)), "blocks of shapes block_shapes"),
    "cost 0": (lambda s: Windows(s, [TOP], rank_costs=np.array([0])), "one positive integer a block"),
    "cost of another": (
        lambda s: Windows(s, [TOP], rank_costs=np.array([6, 6])),
        "one positive integer a block",
    ),
    "rank too large": (lambda s: Windows(s, [TOP], max_ranks=np.array([3])), "smaller side of every block"),
    "scaled": (lambda s: WrongJoin(s, [TOP]), r"split\(join\(blocks\)\) must give the blocks back"),
    "outside": (lambda s: WrongOutside(s, [TOP]), "outside of .* must yield"),
}


@pytest.mark.parametrize(("make", "message"), CASES.values(), ids=CASES)
def test_a_layout_that_is_none_is_refused_by_name(make, message):
    structure = Made(make)
    for call in (lb.approximate, lambda W, s, b: lb.error_curve(W, s), lambda W, s, b: lb.compare(W, [s], b)):
        with pytest.raises((TypeError, ValueError), match=message):
            call(np.eye(4), structure, 8)


def test_places_beyond_the_matrix_are_refused():
    with pytest.raises(IndexError, match="out of bounds"):
        lb.approximate(np.eye(4), Made(lambda s: Windows(s, [TOP + 9])), 8)


def test_disjoint_windows_are_believed():
    W = np.arange(16.0).reshape(4, 4)
    best = lb.approximate(W, Made(lambda s: Windows(s, [TOP, BOTTOM])), 100)
    np.testing.assert_allclose(best.to_dense(), W, atol=1e-13)


def test_a_layout_multiplies_by_joining_if_it_knows_no_better():
    W = np.random.default_rng(0).standard_normal((6, 8))
    best = lb.approximate(W, Made(CheckerboardLayout), 20)
    x, y = np.random.default_rng(1).standard_normal((2, 8, 3))
    np.testing.assert_allclose(best @ x, best.to_dense() @ x, atol=1e-13)
    np.testing.assert_allclose(y[:6].T @ best, y[:6].T @ best.to_dense(), atol=1e-13)
