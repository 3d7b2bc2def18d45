"""Synthetic targets: seeded, and made as their spectra say."""

import numpy as np
import pytest
from oracles import block_spectra, grid, tolerance

import lowrank_blocks as lb
from lowrank_blocks.datasets import synthetic

MAKERS = {
    "low_rank": lambda seed: synthetic.low_rank((9, 7), 3, seed=seed),
    "power_law": lambda seed: synthetic.power_law((9, 7), seed=seed),
    "block_diagonal": lambda seed: synthetic.block_diagonal((9, 7), 3, 2, seed=seed),
    "block_grid": lambda seed: synthetic.block_grid((9, 7), 3, 2, seed=seed),
    "unequal_blocks": lambda seed: synthetic.unequal_blocks((9, 7), 3, seed=seed),
    "gaussian": lambda seed: synthetic.gaussian((9, 7), seed=seed),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_targets_are_seeded(make):
    assert make(0).matrix.shape == (9, 7)
    assert (make(0).matrix == make(0).matrix).all()
    assert (make(0).matrix != make(1).matrix).any()


@pytest.mark.parametrize("make", [m for name, m in MAKERS.items() if name != "gaussian"])
def test_spectra_are_those_of_the_blocks(make):
    target = make(5)
    parts = lb.decompose(target.matrix, target.structure)
    for known, computed in zip(target.spectra, parts.spectra, strict=True):
        padded = np.pad(known, (0, len(computed) - len(known)))
        np.testing.assert_allclose(computed, padded, rtol=0, atol=tolerance(target.matrix))


def test_spectra_as_documented():
    assert synthetic.low_rank((9, 7), 3).spectra[0].tolist() == [3, 2, 1]
    assert synthetic.power_law((4, 3), 2).spectra[0] == pytest.approx([1, 1 / 4, 1 / 9])
    assert [s.tolist() for s in synthetic.block_diagonal((6, 6), 3, 2).spectra] == [[2, 1]] * 3
    assert [s.tolist() for s in synthetic.block_grid((6, 6), 2, 1).spectra] == [[1]] * 4
    scales = sorted(float(s[0]) for s in synthetic.unequal_blocks((6, 6), 2, 0.5).spectra)
    assert scales == [1 / 8, 1 / 4, 1 / 2, 1]


def test_a_block_diagonal_matrix_is_zero_outside_its_blocks():
    target = synthetic.block_diagonal((8, 8), 4, 2)

    assert not any(
        part.any() for part in lb.DiagonalLocal(4).layout(target.matrix.shape).outside(target.matrix)
    )
    assert target.matrix.any()


def test_every_block_of_a_grid_has_its_rank():
    target = synthetic.block_grid((13, 11), 3, 2)

    for spectrum in block_spectra(target.matrix, grid(3, 3, 13, 11)):
        assert spectrum[:2] == pytest.approx([2, 1], rel=1e-13)
        assert (spectrum[2:] < tolerance(target.matrix)).all()


def test_kernels_as_documented():
    inverse, log = synthetic.inverse_distance((2, 4)).matrix, synthetic.log_distance((2, 4)).matrix
    distances = np.abs(np.array([[1 / 4], [3 / 4]]) - np.array([1, 3, 5, 7]) / 8)  # all at least 1/8

    np.testing.assert_allclose(inverse, 1 / distances, rtol=1e-15)
    np.testing.assert_allclose(log, np.log(distances), rtol=1e-15)
    assert synthetic.inverse_distance((4, 4)).matrix[2, 2] == 8  # half a step of 1/4


def test_best_errors():
    target = synthetic.block_grid((6, 6), 2, 3)

    assert target.best_error([3, 3, 3, 3]) == 0
    assert target.best_error([2, 1, 0, 99]) == pytest.approx((1 + 5 + 14) ** 0.5, rel=1e-15)


def test_unknown_best_errors_are_refused():
    with pytest.raises(
        ValueError, match=r"best_error must be asked of a target with known spectra.*Gaussian"
    ):
        synthetic.gaussian((3, 3)).best_error([1])
    with pytest.raises(ValueError, match="ranks must be 1 ranks, one a block, got 2"):
        synthetic.low_rank((3, 3), 1).best_error([1, 1])
    with pytest.raises(ValueError, match="rank must be a non-negative integer, got -1"):
        synthetic.low_rank((3, 3), 1).best_error([-1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: synthetic.low_rank((3, 5), 4), r"rank must be at most 3 .*\(3, 5\), got 4"),
        (lambda: synthetic.block_grid((4, 4), 2, 3), r"rank must be at most 2 .*\(2, 2\), got 3"),
        (lambda: synthetic.block_diagonal((4, 4), 5, 1), "parts must be at most .* 4, got 5 parts"),
        (lambda: synthetic.power_law((4, 4), -1), "exponent must be .* not negative, got -1"),
        (lambda: synthetic.unequal_blocks((4, 4), 2, -1), "ratio must be .* not negative, got -1"),
        (lambda: synthetic.gaussian((4, 0)), r"shape must be a pair of positive integers, got \(4, 0\)"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_example_is_the_update_of_one_layer():
    example = lb.load_example()

    assert {name: dW.shape for name, dW in example.items()} == {
        "query": (256, 256),
        "key": (256, 256),
        "value": (256, 256),
        "attention_output": (256, 256),
        "intermediate": (512, 256),
        "output": (256, 512),
    }
    assert all(dW.dtype == np.float32 and np.isfinite(dW).all() and dW.any() for dW in example.values())
    assert all((dW == dW.astype(np.float16)).all() for dW in example.values())


def test_the_example_is_new_at_every_call():
    lb.load_example()["query"][:] = 0

    assert lb.load_example()["query"].any()
