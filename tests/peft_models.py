"""Tiny models with adapters in real PEFT, and what an adapter must do to them.

Models are random and in float64, so that nothing but the rounding of the file comes between. All
warnings of PEFT, such as that of missing keys, are errors.
"""

import copy

import numpy as np
import pytest

import lowrank_blocks as lb

torch = pytest.importorskip("torch", reason="needs pip install -e '.[test,peft]'")
peft = pytest.importorskip("peft", reason="needs pip install -e '.[test,peft]'")
transformers = pytest.importorskip("transformers", reason="needs pip install -e '.[test,peft]'")

MARKS = [
    pytest.mark.exhaustive,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
EXACT = 1e-12  # relative to the norm of the weights: float64 sums of a few dozen products


def bert():
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=36,
        max_position_embeddings=8,
    )  # fmt: skip
    return transformers.BertModel(config)


def llama():
    config = transformers.LlamaConfig(
        vocab_size=40, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=36,
        max_position_embeddings=8, tie_word_embeddings=False,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


def gpt2():
    config = transformers.GPT2Config(vocab_size=40, n_embd=24, n_layer=2, n_head=2, n_positions=8)
    return transformers.GPT2LMHeadModel(config)


MODELS = {}


def model_of(make):
    """Return a model in float64 that may be changed."""
    if make not in MODELS:
        torch.manual_seed(0)
        MODELS[make] = make().double().eval()
    return copy.deepcopy(MODELS[make])


def weights(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def conv1d(model):
    kind = transformers.pytorch_utils.Conv1D
    return {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, kind)}


def matrices(model):
    """Return the names of the weights of linear layers, first of the layers and then of the rest."""
    kinds = torch.nn.Linear, transformers.pytorch_utils.Conv1D
    names = [f"{name}.weight" for name, module in model.named_modules() if isinstance(module, kinds)]
    return [name for name in names if "lm_head" not in name and "pooler" not in name]


def approximations(model, structures, names=None):
    """Return approximations of random updates at ranks 0, 1, 2, 3, 0, ..., with output features first."""
    rng, found, flipped = np.random.default_rng(0), {}, conv1d(model)
    for k, name in enumerate(matrices(model) if names is None else names):
        shape = tuple(model.state_dict()[name].shape)
        dW = rng.standard_normal(shape[::-1] if name in flipped else shape)
        found[name] = lb.approximate(dW, structures[k % len(structures)], rank=k % 4)
    return found


def loaded(model, folder):
    """Load an adapter, and refuse keys that PEFT passes over."""
    adapted = peft.PeftModel.from_pretrained(model, folder)
    result = peft.set_peft_model_state_dict(adapted, peft.utils.load_peft_weights(folder, device="cpu"))
    assert not result.unexpected_keys
    return adapted


def outputs(model):
    ids = torch.arange(6)[None]
    with torch.no_grad():
        return model(input_ids=ids)[0]


def check(make, approximated, written, rest=None):
    """Load and merge an adapter, and compare every tensor with what it must be."""
    base, flipped = model_of(make), conv1d(model_of(make))
    before = weights(base)
    adapted = loaded(base, written.path)
    unmerged = outputs(adapted)
    merged = adapted.merge_and_unload(safe_merge=True)
    after = weights(merged)
    assert torch.allclose(outputs(merged), unmerged, rtol=0, atol=1e-10)
    assert after.keys() == before.keys()
    rounding = {matrix.name: matrix.rounding for matrix in written.matrices}
    assert set(rounding) | set(written.left_out) == set(approximated)
    for name, weight in before.items():
        got, want = after[name].numpy(), weight.numpy()
        if name in rounding:
            X = np.asarray(approximated[name], dtype=np.float64)
            want = want + (X.T if name in flipped else X)
            off = np.linalg.norm(got - want)
            assert off <= rounding[name] * (1 + 1e-6) + EXACT * np.linalg.norm(want)
            assert off >= rounding[name] * (1 - 1e-6) - EXACT * np.linalg.norm(want)
        elif rest and name in rest:
            np.testing.assert_array_equal(got, rest[name])
        else:
            assert np.array_equal(got, want), f"{name} has changed"
    return merged
