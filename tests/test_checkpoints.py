"""Updates between checkpoints: what is read, and what is left out and why."""

import json
import pickle

import ml_dtypes
import numpy as np
import pytest
from checkpoint_files import stored
from drawn import normal
from safetensors.numpy import save_file

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.tensors import CheckpointError, widened

KINDS = [
    np.float64,
    np.float32,
    np.float16,
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e5m2,
]


@pytest.fixture(params=["safetensors", "shards", "folder", "npz", "npy", "bin"])
def pair(request, tmp_path):
    """Write a base and a tuned checkpoint in every form; return their places."""

    def write(name, tensors):
        place = tmp_path / name
        match request.param:
            case "safetensors":
                save_file(tensors, tmp_path / f"{name}.safetensors")
                return tmp_path / f"{name}.safetensors"
            case "npz":
                np.savez(tmp_path / f"{name}.npz", **tensors)
                return tmp_path / f"{name}.npz"
            case "bin":
                torch = pytest.importorskip("torch")
                torch.save({k: torch.from_numpy(a) for k, a in tensors.items()}, tmp_path / f"{name}.bin")
                return tmp_path / f"{name}.bin"
            case "npy":
                place.mkdir()
                for key, array in tensors.items():
                    np.save(place / f"{key}.npy", array)
            case "folder":
                place.mkdir()
                save_file(tensors, place / "model.safetensors")
            case "shards":
                place.mkdir()
                files = {key: f"model-{k:05d}.safetensors" for k, key in enumerate(tensors)}
                for key, file in files.items():
                    save_file({key: tensors[key]}, place / file)
                (place / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
        return place

    return write


def test_updates_are_the_differences_one_by_one(pair):
    before = {"a.weight": normal(4, 3), "b.weight": normal(2, 5, seed=1), "b.bias": normal(5)}
    after = {name: array + normal(*array.shape, seed=2) for name, array in before.items()}
    updates = lb.iter_updates(pair("base", before), pair("tuned", after))
    found = dict(updates)
    assert list(found) == list(updates.names) == ["a.weight", "b.weight"]
    for name, update in found.items():
        np.testing.assert_array_equal(update, after[name] - before[name])
        assert updates.shape(name) == update.shape
    assert updates.skipped == {"b.bias": "not 2-D: shape (5,)"}


def test_every_tensor_that_is_left_out_has_a_reason(pair):
    same, vocabulary = normal(3, 3), normal(6, 4)
    before = {"only.base": same, "same": same, "rows": vocabulary, "turned": normal(2, 3),
              "vector": normal(3), "whole": np.arange(6).reshape(2, 3), "x.left": normal(3, 2),
              "kept": normal(3, 2)}  # fmt: skip
    after = before | {
        "only.tuned": same,
        "rows": normal(8, 4),
        "turned": normal(3, 2),
        "kept": normal(3, 2, seed=5),
    }
    del after["only.base"]
    updates = lb.iter_updates(pair("base", before), pair("tuned", after), exclude=r"^x\.")
    assert [name for name, _ in updates] == ["kept"]
    assert updates.skipped == {
        "only.base": "only in the base",
        "only.tuned": "only in the fine-tuned checkpoint",
        "same": "unchanged",
        "rows": "shapes differ along axis 0: (6, 4) and (8, 4); a resized vocabulary?",
        "turned": "shapes differ along axis 0 and 1: (2, 3) and (3, 2); swapped sides?",
        "vector": "not 2-D: shape (3,)",
        "whole": "not of floats: int64",
        "x.left": "excluded",
    }
    assert {*before, *after} == {*updates.names, *updates.skipped}


def test_include_and_exclude_are_searched_in_names(pair):
    before = {f"layers.{k}.{name}": normal(2, 2, seed=k) for k in range(2) for name in ("query", "key")}
    after = {name: array + 1 for name, array in before.items()}
    places = pair("base", before), pair("tuned", after)
    assert lb.iter_updates(*places, include="query$", exclude=r"\.1\.").names == ("layers.0.query",)
    with pytest.raises(ValueError, match="include must be a regular expression"):
        lb.iter_updates(*places, include="(")


def test_tied_weights_come_once(pair):
    shared, tuned = normal(5, 3), normal(5, 3, seed=1)
    base = {"embed.weight": shared, "head.weight": shared.copy(), "other.weight": shared.copy()}
    after = {"embed.weight": tuned, "head.weight": tuned.copy(), "other.weight": normal(5, 3, seed=2)}
    updates = lb.iter_updates(pair("base", base), pair("tuned", after))
    assert updates.names == ("embed.weight", "other.weight")
    assert updates.skipped == {"head.weight": "tied to embed.weight"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: np.dtype(kind).name)
def test_updates_of_narrow_types_are_formed_in_wide_ones(kind, tmp_path):
    """The difference of two numbers of a narrow type is exact in float32, but not in the type."""
    before, after = (normal(6, 7, seed=k).astype(kind) for k in (0, 1))
    stored(tmp_path / "base.safetensors", {"w": before})
    stored(tmp_path / "tuned.safetensors", {"w": after})
    ((_, update),) = lb.iter_updates(tmp_path / "base.safetensors", tmp_path / "tuned.safetensors")
    exact = after.astype(np.float64) - before.astype(np.float64)
    assert update.dtype == (np.float64 if kind is np.float64 else np.float32)
    np.testing.assert_array_equal(update, exact.astype(update.dtype))


@pytest.mark.parametrize("order", "<>")
def test_widening_keeps_values_and_gives_native_order(order):
    for kind, wide in {"f8": np.float64, "f4": np.float32, "f2": np.float32, "i4": np.float64}.items():
        array = np.arange(-3, 3).astype(order + kind)
        assert widened(array).dtype == np.dtype(wide)
        np.testing.assert_array_equal(widened(array), np.arange(-3, 3))


SCALES = {
    "of a tensor": ("weight_scale", (), lambda s: s),
    "of rows": ("weight_scale", (6, 1), lambda s: np.broadcast_to(s, (6, 8))),
    "of blocks": ("weight_scale_inv", (3, 2), lambda s: np.kron(s, np.ones((2, 4)))),
    "of ragged blocks": ("weight_scale_inv", (2, 2), lambda s: np.kron(s, np.ones((4, 4)))[:6, :8]),
}


@pytest.mark.parametrize("name", SCALES)
def test_float8_is_multiplied_by_its_scale(name, tmp_path):
    tensor, shape, spread = SCALES[name]
    values = normal(6, 8).astype(ml_dtypes.float8_e4m3fn)
    scale = np.asarray(2.0 ** np.random.default_rng(1).integers(-3, 3, shape), np.float32)
    stored(tmp_path / "base.safetensors", {"q.weight": np.zeros((6, 8), np.float32)})
    stored(tmp_path / "tuned.safetensors", {"q.weight": values, f"q.{tensor}": scale})
    updates = lb.iter_updates(tmp_path / "base.safetensors", tmp_path / "tuned.safetensors")
    ((_, update),) = updates
    np.testing.assert_array_equal(update, values.astype(np.float32) * spread(scale))
    assert set(updates.skipped) == {f"q.{tensor}"}


def test_layers_of_gpt2_are_turned(tmp_path):
    before = {"h.0.attn.c_attn.weight": normal(3, 9), "wte.weight": normal(5, 3)}
    after = {name: array + normal(*array.shape, seed=4) for name, array in before.items()}
    for name, tensors in (("base", before), ("tuned", after)):
        (tmp_path / name).mkdir()
        save_file(tensors, tmp_path / name / "model.safetensors")
        (tmp_path / name / "config.json").write_text('{"model_type": "gpt2"}')
    places = tmp_path / "base", tmp_path / "tuned"
    found = dict(lb.iter_updates(*places))
    turned = after["h.0.attn.c_attn.weight"] - before["h.0.attn.c_attn.weight"]
    np.testing.assert_array_equal(found["h.0.attn.c_attn.weight"], turned.T)
    assert found["wte.weight"].shape == (5, 3)
    assert lb.iter_updates(*places).shape("h.0.attn.c_attn.weight") == (9, 3)
    assert lb.iter_updates(*places, fan_in_fan_out=False).shape("h.0.attn.c_attn.weight") == (3, 9)


def test_checkpoints_without_a_common_matrix(tmp_path):
    np.savez(tmp_path / "base.npz", a=normal(2, 2))
    np.savez(tmp_path / "tuned.npz", b=normal(2, 2))
    with pytest.raises(CheckpointError, match=r"must have a matrix in common.*a: only in the base"):
        lb.iter_updates(tmp_path / "base.npz", tmp_path / "tuned.npz")


def test_updates_can_be_read_twice_and_leave_the_files_alone(tmp_path):
    for name, shift in (("base", 0.0), ("tuned", 1.0)):
        save_file({"w": normal(3, 2) + shift}, tmp_path / f"{name}.safetensors")
    places = [tmp_path / f"{name}.safetensors" for name in ("base", "tuned")]
    contents = [place.read_bytes() for place in places]
    updates = lb.iter_updates(*places)
    first, second = (dict(updates)["w"] for _ in range(2))
    first[:] = 0.0
    np.testing.assert_allclose(second, 1.0)
    assert [place.read_bytes() for place in places] == contents


def test_files_of_torch_are_loaded_once_in_a_process(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    load, loaded = torch.load, []
    monkeypatch.setattr(
        torch, "load", lambda file, **options: loaded.append(file.name) or load(file, **options)
    )
    for name, shift in (("base", 0), ("tuned", 1)):
        torch.save({f"{k}.weight": torch.eye(4) * k + shift for k in range(5)}, tmp_path / f"{name}.bin")
    made = lb.plan(tmp_path / "base.bin", tmp_path / "tuned.bin", [lb.Global()], rank=1)
    assert len(made.ranks) == 5
    assert loaded == ["base.bin", "tuned.bin"]


def test_another_process_gets_the_place_of_one_update_and_reads_it(pair):
    before = {f"{k}.weight": normal(40, 30, seed=k) for k in range(20)}
    after = {name: array + 1 for name, array in before.items()}
    sent = pickle.dumps(lb.iter_updates(pair("base", before), pair("tuned", after)).only("7.weight"))
    assert len(sent) < 2000
    np.testing.assert_array_equal(pickle.loads(sent).read("7.weight"), after["7.weight"] - before["7.weight"])
