"""Files that are damaged, unsafe or no checkpoint are refused by their names."""

import json
import pickle
import struct

import numpy as np
import pytest
from checkpoint_files import raw_safetensors
from drawn import normal
from safetensors.numpy import save_file

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.tensors import CheckpointError

ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
BAD_HEADERS = {
    "more data than there is": ({"w": ENTRY | {"shape": [200, 2], "data_offsets": [0, 1600]}}, bytes(16)),
    "overlap": ({"v": ENTRY, "w": ENTRY}, bytes(16)),
    "no JSON": (b"{flipped", bytes(16)),
    "absurd shape": ({"w": ENTRY | {"shape": [2, 3]}}, bytes(16)),
    "twice": (b'{"w": %s, "w": %s}' % (2 * (json.dumps(ENTRY).encode(),)), bytes(16)),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_damaged_headers_are_refused_by_name(name, tmp_path):
    path = tmp_path / "bad.safetensors"
    raw_safetensors(path, *BAD_HEADERS[name])
    with pytest.raises(CheckpointError, match=r"bad\.safetensors"):
        lb.open_checkpoint(path)


def test_an_absurd_length_of_the_header_is_refused(tmp_path):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    with pytest.raises(CheckpointError, match=r"bad\.safetensors must be an intact"):
        lb.open_checkpoint(path)


@pytest.mark.parametrize("suffix", ["safetensors", "npz", "npy"])
def test_truncated_files_are_refused(suffix, tmp_path):
    """At every tenth of the length, at the latest when the tensor is read."""
    whole = tmp_path / f"whole.{suffix}"
    tensors = {"w": normal(20, 30)}
    if suffix == "safetensors":
        save_file(tensors, whole)
    elif suffix == "npz":
        np.savez(whole, **tensors)
    else:
        np.save(whole, tensors["w"])
    content = whole.read_bytes()
    for tenth in range(10):
        folder = tmp_path / str(tenth)
        folder.mkdir()
        (folder / f"w.{suffix}").write_bytes(content[: len(content) * tenth // 10])
        place = folder if suffix == "npy" else folder / f"w.{suffix}"
        with pytest.raises(CheckpointError, match=rf"w\.{suffix}"):
            lb.open_checkpoint(place).read("w")


def test_pickles_with_code_are_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is no requirement of the tests")

    class Code:
        def __reduce__(self):
            return (print, ("run",))

    path = tmp_path / "model.bin"
    with path.open("wb") as stream:
        pickle.dump({"w": Code()}, stream)
    with pytest.raises(CheckpointError, match=r"model\.bin must be a state dict .* without running code"):
        lb.open_checkpoint(path)
    for name, shift in (("base", 0), ("tuned", 1)):
        torch.save({"w": torch.ones(3, 2, dtype=torch.bfloat16) + shift}, tmp_path / f"{name}.pt")
    ((_, update),) = lb.iter_updates(tmp_path / "base.pt", tmp_path / "tuned.pt")
    np.testing.assert_array_equal(update, np.ones((3, 2)))


def index_of(folder, weight_map):
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": weight_map}))
    return path


@pytest.mark.parametrize("name", ["../outside.safetensors", "missing.safetensors", "/etc/passwd", 3])
def test_an_index_names_existing_files_beside_it(name, tmp_path):
    (tmp_path / "model").mkdir()
    save_file({"w": normal(2, 2)}, tmp_path / "outside.safetensors")
    with pytest.raises(CheckpointError, match=r"index\.json must name files"):
        lb.open_checkpoint(index_of(tmp_path / "model", {"w": name}))


def test_places_that_are_no_checkpoint(tmp_path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    (tmp_path / "table.csv").write_text("1,2")
    for name, message in {
        "nothing": "got nothing there",
        "adapter": "adapter directory, not a checkpoint",
        "empty": "got a folder with none of them",
        "table.csv": "must be one of .safetensors",
    }.items():
        with pytest.raises(CheckpointError, match=message):
            lb.open_checkpoint(tmp_path / name)
