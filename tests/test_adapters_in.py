"""Adapters as factors: scales by PEFT's rules, files that are refused, approximations from factors alone."""

import json
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from drawn import normal
from safetensors.numpy import save_file
from toy import Checkerboard

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.tensors import CheckpointError
from lowrank_blocks.solver.factored import decompose_product

PREFIX = "base_model.model."


def pair(module, m, n, r, dtype=np.float32, seed=0):
    a, b = normal(r, n, seed=seed).astype(dtype), normal(m, r, seed=seed + 1).astype(dtype)
    return {f"{PREFIX}{module}.lora_A.weight": a, f"{PREFIX}{module}.lora_B.weight": b}


def adapter_in(folder, tensors, **config):
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, **config}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


SCALES = {
    "plain": ({}, 3.0),
    "rslora": ({"use_rslora": True}, 6 / np.sqrt(2)),
    "alpha of the module": ({"alpha_pattern": {"x.q": 5}}, 2.5),
    "alpha of the end of the path": ({"alpha_pattern": {"q": 5}}, 2.5),
    "alpha of another module": ({"alpha_pattern": {"xq": 5, "q.x": 5, "^q": 5}}, 3.0),
    "the first that matches": ({"alpha_pattern": {"^x\\.q": 1, "q": 5}}, 0.5),
    "rank of the module": ({"r": 7, "rank_pattern": {"q": 2}}, 3.0),
    "alpha that PEFT takes by default": ({"lora_alpha": None}, 4.0),
}


@pytest.mark.parametrize(("config", "scale"), SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_factors_and_scales(tmp_path, config, scale, dtype):
    tensors, config = pair("x.q", 6, 5, 2, dtype), dict(config)
    folder = adapter_in(tmp_path, tensors, **config)
    if config.get("lora_alpha", 6) is None:
        text = json.loads((folder / "adapter_config.json").read_text())
        del text["lora_alpha"]
        (folder / "adapter_config.json").write_text(json.dumps(text))

    adapter = lb.load_adapter(folder)

    ((name, (b, a)),) = adapter
    first, second = (t.astype(np.float64) for t in tensors.values())
    assert (name, adapter.names, len(adapter)) == ("x.q.weight", ("x.q.weight",), 1)
    assert (dict(adapter.shapes), dict(adapter.ranks)) == ({name: (6, 5)}, {name: 2})
    assert (b.dtype, a.dtype) == (np.float64, np.float64)
    np.testing.assert_allclose(b @ a, scale * second @ first, rtol=1e-13, atol=1e-13)
    assert repr(adapter) == "Adapter(1 matrix, rank 2)"


def test_what_is_written_is_read_again(tmp_path):
    best = {
        "e.weight": lb.approximate(normal(12, 9), lb.Global(), rank=3),
        "a.q.weight": lb.approximate(normal(8, 10), lb.Localized(2), rank=2),
    }
    rest = {"n.weight": np.arange(3.0), "a.q.bias": np.ones(8, np.float32)}
    lb.write_adapter(
        tmp_path, best, format="lora", rest=rest, flipped=["a.q.weight"], embeddings=["e.weight"]
    )

    adapter = lb.load_adapter(tmp_path)

    assert set(adapter.names) == set(best)
    assert adapter.embeddings == ("e.weight",)
    assert adapter.flipped == adapter.names
    assert set(adapter.whole) == set(rest)
    for name, (b, a) in adapter:
        assert adapter.shapes[name] == best[name].shape
        np.testing.assert_allclose(b @ a, np.asarray(best[name]), atol=1e-5)
    for name, value in adapter.rest.items():
        np.testing.assert_array_equal(value, rest[name])
        assert value.dtype == rest[name].dtype


REFUSED = {
    "DoRA": ({"use_dora": True}, {}, "must be of plain LoRA, got use_dora"),
    "BD-LoRA": ({"use_bdlora": {"nblocks": 2}}, {}, "must be of plain LoRA, got use_bdlora"),
    "LoHa": ({"peft_type": "LOHA"}, {}, "must have the peft_type 'LORA', got 'LOHA'"),
    "no type": ({"peft_type": None}, {}, "must have the peft_type 'LORA', got None"),
    "PiSSA": ({"init_lora_weights": "pissa_niter_4"}, {}, "got init_lora_weights='pissa_niter_4'"),
    "another rank": ({"r": 3}, {}, "'q.weight' the rank of its factors, 2, got 3"),
    "alpha": ({"lora_alpha": "6"}, {}, "'q.weight' a finite alpha, got '6'"),
    "patterns": ({"alpha_pattern": [1]}, {}, r"alpha_pattern must be an object, got \[1\]"),
    "a pattern": ({"rank_pattern": {"(": 1}}, {}, "rank_pattern must have regular expressions as keys"),
    "one factor": ({}, {f"{PREFIX}k.lora_A.weight": np.ones((2, 3))}, "must have a partner '.*k.lora_B"),
    "the other": ({}, {f"{PREFIX}k.lora_B.weight": np.ones((3, 2))}, "k.lora_B.weight' must belong to a"),
    "magnitudes": ({}, {f"{PREFIX}q.lora_magnitude_vector": np.ones(3)}, "must belong to a pair of plain"),
    "a name": ({}, {"q.lora_A.weight": np.ones((2, 3))}, "'q.lora_A.weight' must be named base_model"),
    "shapes": (
        {},
        {f"{PREFIX}k.lora_A.weight": np.ones((2, 3)), f"{PREFIX}k.lora_B.weight": np.ones((3, 3))},
        r"factors of 'k.weight' must be \(r, n\) and \(m, r\) matrices, got shapes \(2, 3\) and \(3, 3\)",
    ),
}


@pytest.mark.parametrize(("config", "tensors", "message"), REFUSED.values(), ids=REFUSED)
def test_adapters_that_are_refused(tmp_path, config, tensors, message):
    adapter_in(tmp_path, pair("q", 6, 5, 2) | tensors, **config)

    with pytest.raises(CheckpointError, match=message):
        lb.load_adapter(tmp_path)


def test_directories_that_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="must be an adapter directory, got no adapter_config"):
        lb.load_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(CheckpointError, match="must hold adapter_model"):
        lb.load_adapter(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(CheckpointError, match="must be an intact"):
        lb.load_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="must be a JSON object"):
        lb.load_adapter(tmp_path)
    adapter_in(tmp_path, {f"{PREFIX}n.bias": np.ones(3)})
    with pytest.raises(CheckpointError, match="must hold factors of LoRA, got none"):
        lb.load_adapter(tmp_path)


def test_factors_that_are_not_finite_are_refused_when_they_are_read(tmp_path):
    tensors = pair("q", 6, 5, 2)
    tensors[f"{PREFIX}q.lora_A.weight"][1, 2] = np.nan
    adapter = lb.load_adapter(adapter_in(tmp_path, tensors))

    with pytest.raises(ValueError, match=r"lora_A.weight must be finite, got .*\[1, 2\] = nan"):
        adapter.read("q.weight")
    with pytest.raises(KeyError, match="name must be one of the 1 names of the adapter, got 'k'"):
        adapter.read("k")


PRODUCTS = {
    "low rank": (normal(40, 5), normal(5, 30, seed=1)),
    "wide rank": (normal(12, 20), normal(20, 10, seed=1)),
    "one": (normal(7, 1), normal(1, 5, seed=1)),
    "falling": (normal(40, 6) * 10.0 ** -np.arange(6), normal(6, 30, seed=1)),
    "deficient": (normal(40, 2) @ normal(2, 6, seed=2), normal(6, 30, seed=1)),
    "huge": (normal(40, 5) * 1e150, normal(5, 30, seed=1) * 1e140),
    "tiny": (normal(40, 5) * 1e-150, normal(5, 30, seed=1) * 1e-140),
    "unbalanced": (normal(40, 5) * 1e250, normal(5, 30, seed=1) * 1e-250),
}
STRUCTURES = [
    lb.Global(),
    lb.Localized(3, 2),
    lb.Localized(5),
    lb.DiagonalLocal(3),
    lb.Blocks([([3, 0, 5], slice(0, 4)), (slice(1, 3), [4]), ([6], [1, 3])]),
]


@pytest.mark.parametrize(("b", "a"), PRODUCTS.values(), ids=PRODUCTS)
@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
@pytest.mark.parametrize("rank", [0, 1, 3])
def test_approximations_from_factors(b, a, structure, rank):
    best = decompose_product(b, a, structure).within(rank=rank)

    direct = lb.approximate(b @ a, structure, rank=rank)
    unit = direct.accuracy.norm
    allowed = best.accuracy.relative_bound + direct.accuracy.relative_bound
    assert abs(best.relative_error - direct.relative_error) <= allowed <= 1e-10
    assert abs(best.accuracy.norm / unit - 1) <= allowed
    assert best.n_parameters <= rank * sum(best.shape)
    left = (b @ a - np.asarray(best)) / unit
    assert abs(np.linalg.norm(left) - best.relative_error) <= allowed
    assert best.guarantee == direct.guarantee
    for factor in [f for factors in best.factors for f in factors]:
        assert factor.dtype == np.float64
        assert not factor.flags.writeable


@pytest.mark.parametrize("structure", STRUCTURES[:4], ids=repr)
def test_spectra_and_curves_from_factors(structure):
    b, a = PRODUCTS["low rank"]

    parts, direct = decompose_product(b, a, structure), lb.decompose(b @ a, structure)

    for mine, theirs in zip(parts.spectra, direct.spectra, strict=True):
        k = min(len(mine), 5)
        np.testing.assert_allclose(mine[:k], theirs[:k], rtol=1e-12)
        assert len(mine) <= max(k, 5)
    budgets = [0, 50, 100, 200]
    curve, other = parts.error_curve(budgets), direct.error_curve(budgets)
    np.testing.assert_allclose(curve.relative_error, other.relative_error, atol=1e-12)
    ranks = [1] * len(parts.spectra)
    np.testing.assert_allclose(parts.error(ranks), direct.error(ranks), rtol=1e-12)
    np.testing.assert_allclose(
        np.asarray(parts.truncate(ranks)), np.asarray(direct.truncate(ranks)), atol=1e-12
    )


@pytest.mark.parametrize("structure", [lb.Global(), lb.Localized(2)], ids=repr)
def test_factors_that_cancel_are_certified(structure):
    """Integers, so that the product is known exactly; it is a billionth of what its factors suggest."""
    rng = np.random.default_rng(0)
    x, moved, z = (
        rng.integers(1, top, size) for top, size in [(1 << 30, (40, 1)), (9, (40, 1)), (9, (1, 30))]
    )
    b, a = np.hstack([x, x + moved]).astype(np.float64), np.vstack([z, -z]).astype(np.float64)
    exact = (-moved * z).astype(np.float64)

    best = decompose_product(b, a, structure).truncate([1] * len(structure.layout((40, 30)).block_shapes))

    left, norm = np.linalg.norm(exact - np.asarray(best)), np.linalg.norm(exact)
    assert 1e-12 * norm < left <= best.error + best.accuracy.bound
    assert abs(best.accuracy.norm - norm) <= best.accuracy.norm_bound
    assert best.accuracy.relative_bound < 1


@pytest.mark.exhaustive
def test_updates_too_large_to_be_formed(tmp_path):
    """The update would take 3 TB; a bound of 1 GB on what is held shows that it never is formed."""
    side = 600_000
    tensors = pair("q", side, side, 2)
    adapter = lb.load_adapter(adapter_in(tmp_path, tensors))
    first, second = (t.astype(np.float64) for t in tensors.values())
    core = np.linalg.qr(second)[1] @ np.linalg.qr(first.T)[1].T
    values = np.linalg.svd(core, compute_uv=False)

    tracemalloc.start()
    try:
        whole = adapter.recompress(lb.Global(), rank=1)["q.weight"]
        grid = adapter.recompress(lb.Localized(2), rank=2)["q.weight"]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 1 << 30
    assert whole.relative_error == pytest.approx(values[1] / np.hypot(*values), rel=1e-9)
    assert grid.relative_error < 1
    b, a = whole.factors[0]
    assert np.linalg.norm(b) * np.linalg.norm(a) == pytest.approx(3 * values[0], rel=1e-9)


def test_one_budget_over_an_adapter(tmp_path):
    tensors = pair("q", 12, 9, 2) | pair("k", 6, 9, 2, seed=5)
    adapter = lb.load_adapter(adapter_in(tmp_path, tensors))

    ranks = lb.allocate_ranks(adapter.decompose(lb.Global()), budget=40)

    dense = {name: b @ a for name, (b, a) in adapter}
    direct = lb.allocate_ranks(dense, budget=40)
    assert ranks.ranks == direct.ranks
    assert ranks.relative_error == pytest.approx(direct.relative_error, abs=1e-12)
    for name, best in ranks.approximations.items():
        np.testing.assert_allclose(np.asarray(best), np.asarray(direct.approximations[name]), atol=1e-12)


def test_layouts_that_do_more_than_pick_entries():
    b, a = normal(6, 2), normal(2, 6, seed=1)

    best = decompose_product(b, a, Checkerboard()).within(rank=1)

    np.testing.assert_allclose(
        np.asarray(best), np.asarray(lb.approximate(b @ a, Checkerboard(), rank=1)), atol=1e-12
    )


@pytest.mark.parametrize(
    ("options", "error"), [({}, TypeError), ({"rank": -1}, ValueError), ({"rank": 1, "budget": 2}, TypeError)]
)
def test_recompress_asks_for_one_budget(tmp_path, options, error):
    adapter = lb.load_adapter(adapter_in(tmp_path, pair("q", 6, 5, 2)))

    with pytest.raises(error, match=r"budget|rank"):
        adapter.recompress(lb.Global(), **options)
    with pytest.raises(TypeError, match="structure must be a structure such as"):
        adapter.recompress("global", rank=1)
