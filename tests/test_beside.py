"""Hashes and norms that are read in threads beside the solver: right, never lost, and never left running."""

import hashlib
import threading

import numpy as np
import pytest
from safetensors.numpy import save_file

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.updates import iter_updates
from lowrank_blocks.models import beside
from lowrank_blocks.models.journal import NAME, Journal


def write_pair(folder, biases=50):
    rng = np.random.default_rng(0)
    for side in ("base", "tuned"):
        tensors = {f"b{k}.bias": rng.standard_normal(9).astype(np.float32) for k in range(biases)}
        save_file(tensors | {"query.weight": rng.standard_normal((8, 6))}, folder / f"{side}.safetensors")
    return folder / "base.safetensors", folder / "tuned.safetensors"


@pytest.fixture(autouse=True, params=[1, 16], ids="{} processors".format)
def processors(request, monkeypatch):
    monkeypatch.setattr(beside, "processors", lambda: request.param)
    return request.param


def readers():
    """Return the threads that read inputs and have not ended."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("lowrank_blocks inputs")]


def test_what_is_recorded_is_what_the_files_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "_PIECE", 100)
    paths = write_pair(tmp_path)
    updates = iter_updates(*paths)
    with beside.inputs_beside(updates) as inputs_found:
        found = inputs_found()
    for side, path in zip(("base", "tuned"), paths, strict=True):
        assert found.hashes[side] == {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    assert found.norms.keys() == updates.skipped.keys()
    for name, norm in found.norms.items():
        before, after = (c.read(name).astype(np.float64) for c in (updates.base, updates.tuned))
        assert norm == pytest.approx(np.linalg.norm(after - before), rel=1e-12)


def test_what_is_found_out_later_has_a_norm_too(tmp_path):
    base = {"query.weight": np.zeros((4, 4)), "bad.weight": np.zeros((4, 4)), "bias": np.zeros(4)}
    tuned = {"query.weight": np.eye(4), "bad.weight": np.full((4, 4), np.nan), "bias": 2 * np.ones(4)}
    made = lb.extract(base, tuned, tmp_path / "out", structure=lb.Global(), rank=1)
    assert made.left_out.norms == {"bad.weight": None, "bias": 4.0}
    assert "finite" in made.failed["bad.weight"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_is_left_early_stops_the_reading(tmp_path, monkeypatch, error):
    begun, left, asked = threading.Event(), threading.Event(), []

    def slow(updates, name):
        asked.append(name)
        assert threading.current_thread() in readers()
        begun.set()
        assert left.wait(60)

    monkeypatch.setattr(beside, "norm_of_difference", slow)
    updates = iter_updates(*write_pair(tmp_path))

    def fails():
        with beside.inputs_beside(updates):
            assert begun.wait(60)
            threading.Timer(0.2, left.set).start()
            raise error("of the solver")

    with pytest.raises(error, match="of the solver"):
        fails()
    assert len(asked) == 1
    assert readers() == []


def test_a_file_is_not_hashed_to_its_end_once_the_block_is_left(tmp_path, monkeypatch, processors):
    pieces, begun, left = [], threading.Event(), threading.Event()

    class Slow:
        def update(self, piece):
            pieces.append(piece)
            begun.set()
            assert left.wait(60)

    monkeypatch.setattr(beside, "_PIECE", 10)
    monkeypatch.setattr(beside.hashlib, "sha256", Slow)
    updates = iter_updates(*write_pair(tmp_path))

    def fails():
        with beside.inputs_beside(updates):
            assert begun.wait(60)
            threading.Timer(0.2, left.set).start()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert 1 <= len(pieces) <= (1 if processors == 1 else 2)  # one of each file that was begun


def test_what_goes_wrong_beside_is_raised_and_finished_work_is_kept(tmp_path, monkeypatch):
    def broken(updates, name):
        raise OSError("the disk is gone")

    monkeypatch.setattr(beside, "norm_of_difference", broken)
    out = tmp_path / "out"
    with pytest.raises(OSError, match="the disk is gone"):
        lb.extract(*write_pair(tmp_path), out, structure=lb.Global(), rank=1)
    assert [path.name for path in out.iterdir()] == [NAME]
    assert len(Journal(out)) == 1
    assert readers() == []


def test_the_solver_is_heard_first(tmp_path, monkeypatch):
    def broken(updates, name):
        raise OSError("the disk is gone")

    monkeypatch.setattr(beside, "norm_of_difference", broken)
    with pytest.raises(ValueError, match="structures must hold one that fits"):
        lb.extract(*write_pair(tmp_path), tmp_path / "out", structure=lb.Localized(7), rank=1)
