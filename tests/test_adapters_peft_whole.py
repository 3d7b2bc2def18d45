"""Whole tensors in real PEFT: biases, norms and embeddings are loaded as they are given, and no others."""

import json

import numpy as np
import pytest
from peft_models import (
    MARKS,
    approximations,
    bert,
    check,
    conv1d,
    gpt2,
    llama,
    loaded,
    model_of,
    outputs,
    torch,
    weights,
)
from safetensors.numpy import save_file

import lowrank_blocks as lb

pytestmark = MARKS


def checkpoint_of(model, folder):
    folder.mkdir()
    tensors = {name: value.numpy() for name, value in weights(model).items()}
    save_file(tensors, folder / "model.safetensors")
    return lb.open_checkpoint(folder)


def changed(model, *names):
    return {name: model.state_dict()[name].numpy() + 1 for name in names}


@pytest.mark.parametrize("kind", ["lora", "gralora"])
def test_whole_tensors(tmp_path, kind):
    model, layer = model_of(bert), "encoder.layer.1"
    rest = changed(
        model,
        f"{layer}.attention.self.query.bias",
        f"{layer}.attention.output.LayerNorm.weight",
        f"{layer}.output.LayerNorm.bias",
        "embeddings.word_embeddings.weight",
        "pooler.dense.weight",
        "pooler.dense.bias",
    )
    best = approximations(model, [lb.Localized(2)])
    assert best[f"{layer}.attention.self.query.weight"].ranks.any()

    base = checkpoint_of(model, tmp_path / "base")
    written = lb.write_adapter(tmp_path / "adapter", best, format=kind, rest=rest, base=base)

    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    norms = [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    assert config["modules_to_save"] == norms
    assert set(written.rest) - set(rest) == {f"{norms[0]}.bias", f"{norms[1]}.weight"}
    check(bert, best, written, rest)


@pytest.mark.parametrize("kind", ["lora", "gralora"])
def test_whole_tensors_without_the_base(tmp_path, kind):
    model = model_of(bert)
    rest = changed(model, "encoder.layer.1.output.LayerNorm.bias", "encoder.layer.0.attention.self.key.bias")
    best = approximations(model, [lb.Localized(2)])

    written = lb.write_adapter(tmp_path, best, format=kind, rest=rest)

    assert set(written.rest) == set(rest)
    check(bert, best, written, rest)


def test_norms_are_switched_off_with_the_adapter(tmp_path):
    model = model_of(bert)
    rest = changed(model, "encoder.layer.1.output.LayerNorm.bias")
    best = approximations(model, [lb.Global()])
    base = checkpoint_of(model, tmp_path / "base")
    lb.write_adapter(tmp_path / "adapter", best, rest=rest, base=base)
    want = outputs(model)

    adapted = loaded(model, tmp_path / "adapter")

    assert not torch.allclose(outputs(adapted), want)
    with adapted.disable_adapter():
        assert torch.equal(outputs(adapted), want)


def test_norms_whose_paths_end_alike(tmp_path):
    def make():
        return llama().model

    model = model_of(make)
    rest, best = changed(model, "norm.weight"), approximations(model, [lb.Global()])
    assert "layers.0.input_layernorm.weight" in weights(model)

    base = checkpoint_of(model, tmp_path / "base")
    written = lb.write_adapter(tmp_path / "adapter", best, rest=rest, base=base)

    assert "layers.0.input_layernorm.weight" in written.rest
    check(make, best, written, rest)


def test_parameters_of_no_layer(tmp_path):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(3))
            self.linear = torch.nn.Linear(3, 3)

        def forward(self, input_ids):
            return (self.scale * self.linear(input_ids.double()[:, :3]),)

    rest = {"scale": np.full(3, 7.0)}
    best = {"linear.weight": lb.approximate(np.eye(3), lb.Global(), rank=1)}

    check(Net, best, lb.write_adapter(tmp_path, best, rest=rest), rest)


def test_tied_embeddings(tmp_path):
    model = model_of(gpt2)
    rest = changed(model, "transformer.wte.weight")
    best = approximations(model, [lb.Global()])

    written = lb.write_adapter(tmp_path / "adapter", best, rest=rest, flipped=conv1d(model))

    merged = check(gpt2, best, written, rest | {"lm_head.weight": rest["transformer.wte.weight"]})
    assert merged.lm_head.weight is merged.transformer.wte.weight
