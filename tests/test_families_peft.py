"""Fits of all families in real PEFT: what is loaded adds what the fit says, before merging and after."""

import json

import numpy as np
import pytest
from families import KINDS

import lowrank_blocks as lb

torch = pytest.importorskip("torch", reason="needs pip install -e '.[test,peft]'")
peft = pytest.importorskip("peft", reason="needs pip install -e '.[test,peft]'")
pytest.importorskip("safetensors.numpy")

MARKS = [
    pytest.mark.exhaustive,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Failed to load the CUDA extension"),
    pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled"),
    pytest.mark.filterwarnings("ignore:Setting boft_n_butterfly_factor to 1"),
]
pytestmark = MARKS

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


TURNED = {"ia3 rows", "road 1", "road 2", "road 4"}  # PEFT scales and turns the bias with the rows


@pytest.mark.parametrize("kind", [kind for kind in WRITTEN if kind.fits(12, 12)], ids=lambda kind: kind.name)
def test_the_bias_stays_where_only_the_weight_is_adapted(tmp_path, kind):
    model = net(12, 12, bias=True)
    weights, fits = fitted(kind, model, (12, 12))
    bias = {name: model.get_submodule(name).bias.detach().numpy().copy() for name in NAMES}
    lb.peft.write(tmp_path, fits, dtype="float64")
    x = torch.randn(5, 12, dtype=torch.float64)

    adapted = loaded(model, tmp_path)

    with torch.no_grad():
        before = adapted(x).numpy()
    merged = adapted.merge_and_unload(safe_merge=True)
    for k, (name, W) in enumerate(weights.items()):
        layer = merged.get_submodule(name)
        new, moved = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        assert np.linalg.norm(new - W - fits[f"{name}.weight"].to_dense()) <= kind.exact * np.linalg.norm(W)
        assert np.array_equal(moved, bias[name]) == (kind.name not in TURNED)
        assert np.abs(before[k] - x.numpy() @ new.T - moved).max() <= 10 * kind.exact * np.linalg.norm(W)


SINGLE = {"deft", "para", "kasa", "osf", "c3a", "fourierft", "fourierft whole"}  # PEFT works in float32
HALVES = {"vera": "vera_lambda_b", "randlora": "randlora_gamma", "boft": "boft_R"}  # what the claim is about
DESCENDED = [
    k for k in WRITTEN if k.make(8, 12).nearest(np.eye(8, 12), np.eye(8, 12)).guarantee != "upper bound"
]


def descended(layer, trained, target, start, steps=25):
    """Return the least error that L-BFGS reaches on PEFT's own layer from random numbers."""
    generator = torch.Generator().manual_seed(start)
    with torch.no_grad():
        for parameter in trained:
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    identity, least = torch.eye(target.shape[1], dtype=torch.float64), np.inf
    optimizer = torch.optim.LBFGS(trained, max_iter=steps, history_size=20, line_search_fn="strong_wolfe")

    def loss():
        nonlocal least
        optimizer.zero_grad()
        squared = (layer(identity).T - target).square().sum()
        squared.backward()
        least = min(least, float(squared.detach()))
        return squared

    optimizer.step(loss)
    return np.sqrt(least)


@pytest.mark.parametrize("kind", DESCENDED, ids=lambda kind: kind.name)
def test_gradient_descent_on_peft_is_never_nearer(tmp_path, kind):
    """From 20 random starts on PEFT's own module; where it works in float32 only as far as that resolves."""
    shape = (8, 12)
    if not kind.fits(*shape) or kind.make(*shape).packed:
        pytest.skip("no file of its own for the shape")
    model = net(*shape)
    weights, fits = fitted(kind, model, shape)
    lb.peft.write(tmp_path, fits, dtype="float64")
    base, fit = weights["second"], fits["second.weight"]
    dW = 0.3 * np.random.default_rng(shape).standard_normal((2, *shape))[1]  # as `fitted` draws them
    adapted = peft.PeftModel.from_pretrained(model, tmp_path, is_trainable=True).eval()
    layer = adapted.base_model.model.second
    half = HALVES.get(kind.name, "")
    trained = [
        p
        for name, p in layer.named_parameters()
        if p.requires_grad and half in name and p.is_floating_point()
    ]
    trained = [p for p in trained if p.dtype == torch.float64 or kind.name in SINGLE]

    ends = [descended(layer, trained, torch.tensor(base + dW), start) for start in range(20)]

    assert fit.error == pytest.approx(np.linalg.norm(dW - fit.to_dense()), rel=1e-12)
    assert min(ends) <= 2 * fit.error or fit.error <= 1e-9 * np.linalg.norm(dW)  # it does descend
    assert min(ends) >= fit.error * (1 - (1e-5 if kind.name in SINGLE else 1e-9))


transformers = pytest.importorskip("transformers", reason="needs pip install -e '.[test,peft]'")


@pytest.mark.parametrize("kind", [k for k in WRITTEN if k.fits(24, 24)], ids=lambda kind: kind.name)
def test_a_model_of_transformers(tmp_path, kind):
    """Two projections of both layers of a tiny Llama, in float64."""
    config = transformers.LlamaConfig(
        vocab_size=40, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=36,
        max_position_embeddings=8, tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).double().eval()
    names = [f"model.layers.{k}.self_attn.{p}_proj.weight" for k in range(2) for p in "qv"]
    rng, before = np.random.default_rng(0), {n: w.detach().clone() for n, w in model.state_dict().items()}
    fits = {
        n: kind.make(24, 24).nearest(0.01 * rng.standard_normal((24, 24)), base=before[n].numpy())
        for n in names
    }
    lb.peft.write(tmp_path, fits, dtype="float64")

    adapted = loaded(model, tmp_path)

    ids = torch.arange(6)[None]
    with torch.no_grad():
        unmerged = adapted(input_ids=ids).logits
        merged = adapted.merge_and_unload(safe_merge=True)
        after = merged.state_dict()
        for name, weight in before.items():
            want = weight.numpy() + (fits[name].to_dense() if name in fits else 0)
            limit = kind.exact * np.linalg.norm(weight.numpy()) if name in fits else 0
            assert np.linalg.norm(after[name].numpy() - want) <= limit, name
        assert torch.allclose(merged(input_ids=ids).logits, unmerged, rtol=0, atol=1e3 * kind.exact)
