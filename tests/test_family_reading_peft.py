"""Files that PEFT itself has written, and weights stored as (in, out), with PEFT as the judge."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file
from test_families_peft import MARKS, NAMES, SHAPES, WRITTEN, fitted, loaded, net

import lowrank_blocks as lb

torch = pytest.importorskip("torch", reason="needs pip install -e '.[test,peft]'")
peft = pytest.importorskip("peft", reason="needs pip install -e '.[test,peft]'")
transformers = pytest.importorskip("transformers", reason="needs pip install -e '.[test,peft]'")

pytestmark = MARKS

P = lb.peft


def products(folder):
    """Return the products of the factors of a LoRA, by module."""
    stored = load_file(folder / "adapter_model.safetensors")
    keys = {name: f"base_model.model.{name}.lora_" for name in NAMES}
    return {name: stored[key + "B.weight"] @ stored[key + "A.weight"] for name, key in keys.items()}


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        pytest.param(kind, shape, id=f"{kind.name}-{shape[0]}x{shape[1]}")
        for kind in WRITTEN
        for shape in SHAPES
        if kind.fits(*shape)
    ],
)
def test_what_peft_saves_is_converted_to_what_it_merges(tmp_path, kind, shape):
    """Trained tensors are moved at random, saved by PEFT, and converted to LoRA of full rank."""
    model = net(*shape)
    weights, fits = fitted(kind, model, shape)
    P.write(tmp_path / "a", fits, dtype="float64")
    adapted = peft.PeftModel.from_pretrained(model, tmp_path / "a", is_trainable=True)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if p.requires_grad and p.is_floating_point() and "ranknum" not in name:
                noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
                p.add_(0.1 * noise.to(p.dtype))
    adapted.save_pretrained(tmp_path / "b")
    base = {f"{name}.weight": W for name, W in weights.items()}

    made = lb.convert(tmp_path / "b", tmp_path / "c", P.LoRA(min(shape)), base=base, dtype="float64")

    assert (made.failed, made.left_out.rows) == ({}, ())
    merged = adapted.merge_and_unload(safe_merge=True)
    for name, dW in products(tmp_path / "c").items():
        got = merged.get_submodule(name).weight.detach().numpy()
        limit = kind.exact * (np.linalg.norm(weights[name]) + np.linalg.norm(got))
        assert np.linalg.norm(got - weights[name] - dW) <= limit


class Turned(torch.nn.Module):
    """Two adapted layers as GPT-2 has them, with weights of (in, out)."""

    def __init__(self, m, n):
        super().__init__()
        conv1d = transformers.pytorch_utils.Conv1D
        self.first = torch.nn.ModuleDict({"lin": conv1d(m, n)})
        self.second = conv1d(m, n)

    def forward(self, x):
        return torch.stack([self.first["lin"](x), self.second(x)])


def turned(m, n):
    torch.manual_seed(m * 100 + n)
    model = Turned(m, n).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


CONV1D = [
    pytest.param(kind, shape, id=f"{kind.name}-{shape[0]}x{shape[1]}")
    for kind in WRITTEN
    for shape in [(12, 12), (8, 24), (24, 8)]
    if kind.fits(*shape) and kind.make(*shape).conv1d
]
SCALES_THE_BIAS = ("ia3 rows",)


@pytest.mark.parametrize(("kind", "shape"), CONV1D)
def test_weights_stored_the_other_way_round(tmp_path, kind, shape):
    model, family = turned(*shape), kind.make(*shape)
    base = {f"{name}.weight": model.get_submodule(name).weight.detach().numpy().copy() for name in NAMES}
    rng = np.random.default_rng(shape)
    new = {name: W + 0.3 * rng.standard_normal(W.shape) for name, W in base.items()}
    x = torch.randn(5, shape[1], dtype=torch.float64)

    made = lb.extract_family(base, new, tmp_path / "a", family, dtype="float64", fan_in_fan_out=True)

    assert made.failed == {}
    assert json.loads((tmp_path / "a" / "adapter_config.json").read_text())["fan_in_fan_out"] is True
    biases = {name: model.get_submodule(name).bias.detach().numpy().copy() for name in NAMES}
    adapted = loaded(model, tmp_path / "a")
    with torch.no_grad():
        before = adapted(x).numpy()
    if kind.name not in ("fourierft", "fourierft whole", "waveft"):  # which PEFT cannot merge there
        merged = adapted.merge_and_unload(safe_merge=True)
        after = {name: merged.get_submodule(name).weight.detach().numpy() for name in NAMES}
    lb.convert(tmp_path / "a", tmp_path / "b", P.LoRA(min(shape)), base=base, dtype="float64")
    found = products(tmp_path / "b")
    for k, name in enumerate(NAMES):
        W, target = base[f"{name}.weight"], new[f"{name}.weight"]
        fit = family.nearest((target - W).T, base=W.T)
        want, limit = W + fit.to_dense().T, kind.exact * np.linalg.norm(W)
        bias = biases[name] * (fit.tensors()["ia3_l"][:, 0] if kind.name in SCALES_THE_BIAS else 1)
        assert np.abs(before[k] - x.numpy() @ want - bias).max() <= 10 * limit
        assert "fourier" in kind.name or "wave" in kind.name or np.linalg.norm(after[name] - want) <= limit
        assert np.linalg.norm(W + found[name].T - want) <= 1e-12 * np.linalg.norm(W)


@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False")
def test_families_that_peft_has_not_for_such_weights_are_refused_there(tmp_path):
    """If PEFT learns one, its `conv1d` may say so."""
    refused = []
    for kind in (k for k in WRITTEN if k.fits(12, 12) and not k.make(12, 12).conv1d):
        model = turned(12, 12)
        fits = {
            f"{name}.weight": kind.make(12, 12).nearest(
                np.eye(12), base=model.get_submodule(name).weight.detach().numpy().T
            )
            for name in NAMES
        }
        P.write(tmp_path / kind.name, fits, dtype="float64")
        try:
            loaded(model, tmp_path / kind.name)
        except (ValueError, TypeError, NotImplementedError, AttributeError, RuntimeError, AssertionError):
            refused.append(kind.name)
    assert refused == [k.name for k in WRITTEN if k.fits(12, 12) and not k.make(12, 12).conv1d]
