"""Adapters that cannot be written: the error names the argument, the rule and the value."""

import numpy as np
import pytest
from adapter_files import NAME
from drawn import normal
from toy import Checkerboard

import lowrank_blocks as lb

BEST = lb.approximate(normal(6, 8), lb.Localized(2), rank=1)
BAD = {
    "list": ([BEST], {}, TypeError, "approximations must be a dict by the names of tensors, got a list"),
    "nothing": ({}, {}, ValueError, "approximations must hold at least one matrix, got none"),
    "number": ({1: BEST}, {}, TypeError, "approximations must have names of tensors as keys, got 1"),
    "array": (
        {NAME: np.eye(2)},
        {},
        TypeError,
        r"approximations\['.*'\] must be an Approximation, got a ndarray",
    ),
    "too many numbers": (
        {NAME: lb.approximate(normal(4, 4), Checkerboard(), rank=2)},
        {},
        ValueError,
        r"must not take more numbers than the 16 .*Checkerboard\(\) of .* at rank 4 as LoRA, 32 numbers",
    ),
    "no module": ({"weight": BEST}, {}, ValueError, "must hold names that end in .weight.*, got 'weight'"),
    "bias": ({"a.bias": BEST}, {}, ValueError, "must hold names that end in .weight.*, got 'a.bias'"),
    "format": (
        {NAME: BEST},
        {"format": "dora"},
        ValueError,
        "format must be None or one of lora, .*got 'dora'",
    ),
    "no stripes": (
        {NAME: BEST},
        {"format": "bdlora"},
        ValueError,
        "'bdlora' does not fit: 'encoder.*format='lora'",
    ),
    "uneven": (
        {NAME: lb.approximate(normal(6, 7), lb.Localized(2), rank=1)},
        {"format": "gralora"},
        ValueError,
        r"K must divide both sides, got Localized\(2\) of \(6, 7\)",
    ),
    "two grids": (
        {"a.weight": BEST, "b.weight": lb.approximate(normal(6, 6), lb.Localized(3), rank=1)},
        {"format": "gralora"},
        ValueError,
        "'b.weight' must be .* with 2 parts of each axis, as others have",
    ),
    "stripes of Conv1D": (
        {NAME: lb.approximate(normal(6, 8), lb.Localized(1, 2), rank=1)},
        {"format": "bdlora", "flipped": [NAME]},
        ValueError,
        r"PEFT has no bdlora for weights stored as \(in, out\)",
    ),
    "stripes of paths that are part of others": (
        {
            "a.q.weight": lb.approximate(normal(6, 8), lb.Localized(1, 2), rank=1),
            "a.q_proj.weight": lb.approximate(normal(6, 8), lb.Localized(2, 1), rank=1),
        },
        {"format": "bdlora"},
        ValueError,
        "'a.q' and 'a.q_proj' must lie in one direction",
    ),
    "embedding": (
        {NAME: BEST},
        {"format": "gralora", "embeddings": [NAME]},
        ValueError,
        "PEFT has no gralora for embeddings",
    ),
    "dtype": (
        {NAME: BEST},
        {"dtype": "float64"},
        ValueError,
        "dtype must be one of float32, .*got 'float64'",
    ),
    "flipped": (
        {NAME: BEST},
        {"flipped": NAME},
        TypeError,
        "flipped must be a collection of names of tensors",
    ),
    "embeddings": ({NAME: BEST}, {"embeddings": 1}, TypeError, "embeddings must be a collection of names"),
    "base model": ({NAME: BEST}, {"base_model": 1}, TypeError, "base_model must be text, got 1"),
    "metadata": ({NAME: BEST}, {"metadata": {"a": {1, 2}}}, ValueError, "metadata must be ready for JSON"),
    "metadata nan": (
        {NAME: BEST},
        {"metadata": {"a": np.nan}},
        ValueError,
        "metadata must be ready for JSON",
    ),
    "metadata list": ({NAME: BEST}, {"metadata": [1]}, TypeError, "metadata must be a dict, got a list"),
    "rest list": ({NAME: BEST}, {"rest": [1]}, TypeError, "rest must be a dict of arrays"),
    "rest text": (
        {NAME: BEST},
        {"rest": {"a.bias": ["x"]}},
        TypeError,
        r"rest\['a.bias'\] must be an array of floats",
    ),
    "rest nan": (
        {NAME: BEST},
        {"rest": {"a.bias": [np.nan]}},
        ValueError,
        r"rest\['a.bias'\] must be finite",
    ),
    "rest twice": (
        {NAME: BEST},
        {"rest": {NAME: np.eye(2)}},
        ValueError,
        "rest must hold no tensor that has factors",
    ),
    "zeros": (
        {NAME: lb.approximate(np.zeros((3, 3)), lb.Global(), rank=1)},
        {},
        ValueError,
        "must have a rank above 0 in at least one matrix",
    ),
    "too large": (
        {"a.weight": BEST, "b.weight": lb.approximate(np.diag([1e10, 1.0]), lb.Global(), rank=1)},
        {"dtype": "float16"},
        ValueError,
        "'b.weight' must be finite in float16, got the entry 100000; float16 cannot",
    ),
}


@pytest.mark.parametrize(("best", "options", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input_writes_nothing(tmp_path, best, options, error, message):
    with pytest.raises(error, match=message):
        lb.write_adapter(tmp_path / "out", best, **options)

    assert not (tmp_path / "out").exists()


def test_a_folder_in_the_way(tmp_path):
    (tmp_path / "adapter_config.json").mkdir()

    with pytest.raises(OSError, match="is a folder"):
        lb.write_adapter(tmp_path, {NAME: BEST})
