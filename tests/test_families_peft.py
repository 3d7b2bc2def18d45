"""Fits of all families in real PEFT: what is loaded adds what the fit says, before merging and after."""

import json

import numpy as np
import pytest
from families import KINDS

import lowrank_blocks as lb

torch = pytest.importorskip("torch", reason="needs pip install -e '.[test,peft]'")
peft = pytest.importorskip("peft", reason="needs pip install -e '.[test,peft]'")
pytest.importorskip("safetensors.numpy")

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Failed to load the CUDA extension"),
    pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled"),
    pytest.mark.filterwarnings("ignore:Setting boft_n_butterfly_factor to 1"),
]

SHAPES = [(12, 12), (8, 24), (24, 8), (9, 7), (10, 13)]
WRITTEN = [kind for kind in KINDS if not kind.make(12, 12).unwritten]
NAMES = ["first.lin", "second"]


class Net(torch.nn.Module):
    """Two adapted layers of one shape and one that is left alone."""

    def __init__(self, m, n, *, bias):
        super().__init__()
        self.first = torch.nn.ModuleDict({"lin": torch.nn.Linear(n, m, bias=bias)})
        self.second = torch.nn.Linear(n, m, bias=bias)
        self.rest = torch.nn.Linear(n, m)

    def forward(self, x):
        return torch.stack([self.first["lin"](x), self.second(x), self.rest(x)])


def net(m, n, *, bias=False):
    torch.manual_seed(m * 100 + n)
    return Net(m, n, bias=bias).double().eval()


def fitted(kind, model, shape):
    """Return a fit of a random update to each of the two layers."""
    rng = np.random.default_rng(shape)
    weights = {name: model.get_submodule(name).weight.detach().numpy().copy() for name in NAMES}
    family = kind.make(*shape)
    return weights, {
        f"{name}.weight": family.nearest(0.3 * rng.standard_normal(shape), base=W)
        for name, W in weights.items()
    }


def loaded(model, folder):
    """Load an adapter; missing and unexpected keys are errors."""
    adapted = peft.PeftModel.from_pretrained(model, folder)
    result = peft.set_peft_model_state_dict(adapted, peft.utils.load_peft_weights(folder, device="cpu"))
    assert not result.unexpected_keys
    return adapted


def cases():
    return [
        pytest.param(kind, shape, id=f"{kind.name}-{shape[0]}x{shape[1]}")
        for kind in WRITTEN
        for shape in SHAPES
        if kind.fits(*shape)
    ]


@pytest.mark.parametrize(("kind", "shape"), cases())
def test_peft_adds_what_the_fit_says(tmp_path, kind, shape):
    model = net(*shape)
    weights, fits = fitted(kind, model, shape)
    lb.peft.write(tmp_path, fits, dtype="float64")
    x = torch.randn(5, shape[1], dtype=torch.float64)

    adapted = loaded(model, tmp_path)

    with torch.no_grad():
        before = adapted(x).numpy()
    merged = adapted.merge_and_unload(safe_merge=True)
    for k, (name, W) in enumerate(weights.items()):
        want = W + fits[f"{name}.weight"].to_dense()
        limit = kind.exact * np.linalg.norm(W)
        got = merged.get_submodule(name).weight.detach().numpy()
        assert np.abs(before[k] - x.numpy() @ want.T).max() <= 10 * limit
        assert np.linalg.norm(got - want) <= limit
    assert "first.lin" in str(
        json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]
    ).replace("\\", "")


@pytest.mark.parametrize(("kind", "shape"), cases())
def test_numbers_are_those_that_peft_trains(tmp_path, kind, shape):
    model = net(*shape)
    _, fits = fitted(kind, model, shape)
    lb.peft.write(tmp_path, fits, dtype="float64")

    adapted = peft.PeftModel.from_pretrained(model, tmp_path, is_trainable=True)

    trained = sum(  # AdaLoRA marks a counter of ranks as trainable, which no file holds
        p.numel() for name, p in adapted.named_parameters() if p.requires_grad and "ranknum" not in name
    )
    stored = sum(fit.n_parameters for fit in fits.values())
    family = kind.make(*shape)
    if family.packed:
        assert trained >= stored
    else:
        assert trained == stored
