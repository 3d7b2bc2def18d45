"""The optima beside a published experiment are optima, and trained matrices are cut as it cuts them."""

import subprocess
import sys

import numpy as np
import pytest
from pages import ROOT, script
from safetensors.numpy import save_file

published = script("tests/benchmarks/published.py")


def test_khatri_rao_optimum_is_the_leading_singular_pair_of_every_column():
    target = np.random.default_rng(5).standard_normal((25, 7))
    tails = [np.linalg.svd(column.reshape(5, 5), compute_uv=False)[1:] for column in target.T]
    best = published.optimum(target, published.KhatriRao(), 2 * 5 * 7)

    assert best.n_parameters == 70
    assert best.relative_error == pytest.approx(
        np.sqrt(np.sum(np.square(tails))) / np.linalg.norm(target), rel=1e-12
    )


@pytest.fixture
def weights(tmp_path):
    """Return a checkpoint with the two tensors of CLIP, small, and others."""
    rng = np.random.default_rng(6)
    tensors = {
        "transformer.resblocks.11.attn.in_proj_weight": rng.standard_normal((144, 48), np.float32),
        "visual.transformer.resblocks.23.attn.in_proj_weight": rng.standard_normal((192, 64), np.float32),
    }
    save_file(tensors | {"logit_scale": np.ones(1)}, tmp_path / "clip.safetensors")
    return tmp_path / "clip.safetensors", list(tensors.values())


def test_trained_matrices_are_the_first_rows_and_columns(weights):
    path, (language, vision) = weights
    found = published.trained(path, 64, 48)

    assert [(name, matrix.dtype) for name, matrix in found.items()] == [
        ("CLIP language", np.float64),
        ("CLIP vision", np.float64),
    ]
    np.testing.assert_array_equal(found["CLIP language"], language[:64, :48])
    np.testing.assert_array_equal(found["CLIP vision"], vision[:64, :48])


def test_queries_and_keys_are_stacked(tmp_path):
    q, k = np.random.default_rng(7).standard_normal((2, 6, 6))
    names = [f"encoder.layer.11.attention.attn.{part}.weight" for part in "qk"]
    save_file(dict(zip(names, (q, k), strict=True)), tmp_path / "mpnet.safetensors")

    (matrix,) = published.trained(tmp_path / "mpnet.safetensors", 8, 5).values()
    np.testing.assert_array_equal(matrix, np.vstack([q, k])[:8, :5])


def test_weights_that_do_not_fit_are_refused(weights, tmp_path):
    with pytest.raises(
        ValueError, match=r"resblocks.11.* at least 64 rows and 49 columns, got shape \(144, 48\)"
    ):
        published.trained(weights[0], 64, 49)
    save_file({"other": np.ones((64, 48))}, tmp_path / "other.safetensors")
    with pytest.raises(
        ValueError, match=r"must have the tensors of one of .*CLIP language.* got none of these"
    ):
        published.trained(tmp_path / "other.safetensors", 64, 48)


@pytest.mark.exhaustive
def test_script_adds_rows_for_weights(weights):
    pytest.importorskip("torch")
    command = [sys.executable, ROOT / "tests/benchmarks/published.py", "--quick", "--weights", weights[0]]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)

    for name in ("CLIP language", "CLIP vision"):
        assert ran.stdout.count(f"| {name} |") == 3
