"""Structures that average or rearrange entries, as LoRA: their rank, without loss, and refusals."""

import numpy as np
import pytest
from registry import KINDS
from safetensors.numpy import load_file

import lowrank_blocks as lb

NAME = "layer.query.weight"
KEY = "base_model.model.layer.query."


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def first(count, of):
    """Return ranks 1 for some blocks, and 0 for all others."""
    return [int(k in count) for k in range(of)]


CASES = {  # structure of a 24×24 matrix, ranks, and the rank of what they stand for
    "kronecker, wide and tall": (lb.Kronecker(2, 6), [1], 8),
    "kronecker, tall and wide": (lb.Kronecker(6, 2), [1], 8),
    "kronecker, row and column": (lb.Kronecker(1, 24), [4], 4),
    "kronecker, two terms": (lb.Kronecker(3, 24), [2], 6),
    "circulant, one block": (lb.BlockCirculant(6), first([7], 16), 6),
    "circulant, a row": (lb.BlockCirculant(6), first([0, 1, 2, 3], 16), 6),
    "circulant, a column": (lb.BlockCirculant(4), first([1, 7, 13, 19], 36), 4),
    "tied rows": (lb.Tied(rows=[i % 5 for i in range(24)]), [1, 0, 1, 1, 1], 4),
    "tied columns": (lb.Tied(cols=7), [1] * 7, 7),
    "tied both": (lb.Tied(rows=4, cols=6), first(range(17), 24), 3),
    "tied, low rank": (lb.Tied(rows=8, cols=6, low_rank=True), [3], 3),
    "hodlr, a leaf": (lb.HODLR(2, dense_leaves=True), [2, 1, 0, 0, 0, 0, 0, 1, 0, 0], 9),
    "reordered": (lb.Reordered(lb.Kronecker(2, 6), rows=normal(24).argsort()), [1], 8),
}


def made(case, dW=None):
    structure, ranks, rank = CASES[case]
    return lb.decompose(normal(24, 24) if dW is None else dW, structure).truncate(ranks), rank


def product(folder):
    tensors = load_file(folder / "adapter_model.safetensors")
    b, a = (tensors[f"{KEY}lora_{side}.weight"].astype(np.float64) for side in "BA")
    return b @ a


@pytest.mark.parametrize("case", CASES)
def test_the_file_holds_the_approximation_at_its_own_rank(tmp_path, case):
    best, rank = made(case)
    dense, dW = best.to_dense(), normal(24, 24)
    assert np.linalg.matrix_rank(dense) == rank

    written = lb.write_adapter(tmp_path, {NAME: best})

    (matrix,) = written.matrices
    assert (written.format, matrix.rank, matrix.stored) == ("lora", rank, 48 * rank)
    moved = np.linalg.norm(product(tmp_path) - dense)
    assert matrix.rounding == pytest.approx(moved, abs=1e-13 * np.linalg.norm(dW))
    assert moved <= 2.0**-22 * np.linalg.norm(dense)
    left = np.linalg.norm(product(tmp_path) - dW)
    certified = best.error + best.accuracy.bound + matrix.rounding
    assert max(left, certified) < matrix.error_bound <= certified + 1e-12  # products that were formed count
    assert matrix.structure == repr(best.structure)


@pytest.mark.parametrize("case", CASES)
def test_sources_of_few_bits_lose_no_more(tmp_path, case):
    best, _ = made(case, normal(24, 24).astype(np.float32))
    wide = [(b.astype(np.float64), a.astype(np.float64)) for b, a in best.factors]
    exact = best.structure.layout((24, 24)).dense(wide)

    (matrix,) = lb.write_adapter(tmp_path, {NAME: best}).matrices

    moved = np.linalg.norm(product(tmp_path) - exact)
    assert matrix.rounding == pytest.approx(moved, abs=1e-13 * np.linalg.norm(exact))


SHAPES = (24, 24), (12, 18), (20, 8)
FITTING = [(kind, shape) for kind in KINDS for shape in SHAPES if kind.fits(shape)]


@pytest.mark.parametrize(("kind", "shape"), FITTING, ids=lambda value: getattr(value, "name", str(value)))
def test_pieces_are_disjoint_and_add_up_to_the_matrix(kind, shape):
    parts = lb.decompose(normal(*shape), kind.make(*shape))
    for ranks in ([1] * len(parts.costs), [k % 2 for k in range(len(parts.costs))]):
        best = parts.truncate(ranks)
        total, covered = np.zeros(shape), np.zeros(shape, dtype=int)
        for cell, (b, a) in best.structure.layout(shape).pieces(best.factors):
            total[cell.index] += b @ a
            covered[cell.index] += 1
        np.testing.assert_allclose(total, best.to_dense(), rtol=0, atol=1e-13)
        assert covered.max(initial=0) <= 1


REFUSED = {
    "kronecker": (lb.Kronecker(4, 6), [1], 16),
    "kronecker, many terms": (lb.Kronecker(2, 6), [2], 16),
    "circulant": (lb.BlockCirculant(12), [1] * 4, 24),
    "tied": (lb.Tied(rows=13), [1] * 13, 13),
}


@pytest.mark.parametrize("name", REFUSED)
def test_more_numbers_than_the_matrix_has_are_refused(tmp_path, name):
    structure, ranks, rank = REFUSED[name]
    best = lb.decompose(normal(24, 24), structure).truncate(ranks)
    with pytest.raises(ValueError, match="must not take more numbers than the 576 of the matrix") as refusal:
        lb.write_adapter(tmp_path / "out", {"other.weight": made("tied rows")[0], NAME: best})
    assert f"{NAME!r}" in str(refusal.value)
    assert f"got {structure!r} of (24, 24) at rank {rank} as LoRA, {48 * rank} numbers" in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_as_many_numbers_as_the_matrix_has_are_written(tmp_path):
    best = lb.decompose(normal(24, 24), lb.Tied(rows=12)).truncate([1] * 12)
    assert lb.write_adapter(tmp_path, {NAME: best}).stored == 576


@pytest.mark.parametrize("kind", ["gralora", "bdlora"])
def test_other_formats_hold_blocks_only(tmp_path, kind):
    with pytest.raises(ValueError, match=f"format='{kind}' does not fit: .*format='lora' holds any"):
        lb.write_adapter(tmp_path, {NAME: made("kronecker, wide and tall")[0]}, format=kind)


def test_checkpoints_are_extracted_in_any_structure(tmp_path):
    rng = np.random.default_rng(0)
    base = {"a.weight": np.zeros((24, 24)), "b.weight": np.zeros((24, 24))}
    planted = {
        "a.weight": np.kron(rng.standard_normal((2, 6)), rng.standard_normal((12, 4))),
        "b.weight": np.repeat(rng.standard_normal((4, 24)), 6, axis=0),
    }
    structures = [lb.Kronecker(2, 6), lb.Tied(rows=4), lb.Global()]
    made = lb.extract(base, planted, tmp_path, structure=structures, budget=60 + 96)
    assert made.plan.structures == {"a.weight": lb.Kronecker(2, 6), "b.weight": lb.Tied(rows=4)}
    assert made.relative_error < 1e-14
    assert made.bound < 1e-6
    for name, (b, a) in lb.load_adapter(tmp_path):
        np.testing.assert_allclose(b @ a, planted[name], rtol=0, atol=1e-5)
