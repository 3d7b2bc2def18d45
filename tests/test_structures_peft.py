"""Structures that average or rearrange entries, as LoRA in real PEFT: merged is base plus approximation."""

import numpy as np
import pytest
from test_adapters_peft import bert, check, conv1d, gpt2, llama, matrices, model_of

import lowrank_blocks as lb

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

STRUCTURES = {
    "kronecker": (lb.Kronecker(1, 12), 1),
    "circulant": (lb.BlockCirculant(6), 2),
    "tied rows": (lb.Tied(rows=5), 5),
    "tied columns": (lb.Tied(cols=7), 7),
    "tied, low rank": (lb.Tied(rows=8, cols=6, low_rank=True), 1),
    "hodlr": (lb.HODLR(2, dense_leaves=True), 3),
    "reordered": (lb.Reordered(lb.Tied(rows=4), rows=lb.stride_order(4)), 4),
}


@pytest.mark.parametrize(("structure", "count"), STRUCTURES.values(), ids=STRUCTURES)
@pytest.mark.parametrize("make", [bert, llama, gpt2])
def test_merged_weights(tmp_path, make, structure, count):
    model = model_of(make)
    rng, flipped, best = np.random.default_rng(0), conv1d(model), {}
    for name in matrices(model):
        shape = tuple(model.state_dict()[name].shape)
        dW = rng.standard_normal(shape[::-1] if name in flipped else shape)
        parts = lb.decompose(dW, structure)
        best[name] = parts.truncate([int(k < count) for k in range(len(parts.costs))])

    written = lb.write_adapter(tmp_path, best, flipped=flipped)

    assert written.format == "lora"
    assert all(matrix.stored <= matrix.shape[0] * matrix.shape[1] for matrix in written.matrices)
    check(make, best, written)
