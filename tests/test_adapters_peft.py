"""Adapters in real PEFT: what is loaded and merged is the base plus the approximation, to the last rounding.

Models are tiny, random and in float64, so that nothing but the rounding of the file comes between. All
warnings of PEFT, such as that of missing keys, are errors.
"""

import copy
import json

import numpy as np
import pytest

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.tensors import CheckpointError

torch = pytest.importorskip("torch", reason="needs pip install -e '.[test,peft]'")
peft = pytest.importorskip("peft", reason="needs pip install -e '.[test,peft]'")
transformers = pytest.importorskip("transformers", reason="needs pip install -e '.[test,peft]'")
safetensors_numpy = pytest.importorskip("safetensors.numpy")

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

EXACT = 1e-12  # relative to the norm of the weights: float64 sums of a few dozen products
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


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


KINDS = {
    "lora": ([lb.Global()], "lora"),
    "lora of grids": ([lb.Localized(2), lb.Localized(3, 2), lb.Localized(12)], "lora"),
    "lora of a diagonal": ([lb.DiagonalLocal(3)], "lora"),
    "gralora": ([lb.Localized(2)], "gralora"),
    "bdlora of both sides": ([lb.Localized(1, 3), lb.Localized(3, 1)], "bdlora"),
}


@pytest.mark.parametrize(("structures", "kind"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("make", [bert, llama])
def test_merged_weights(tmp_path, make, structures, kind):
    best = approximations(model_of(make), structures)

    written = lb.write_adapter(tmp_path, best, format=kind)

    assert written.format == kind
    assert len(written.left_out) == len([a for a in best.values() if not a.ranks.any()]) > 0
    check(make, best, written)


@pytest.mark.parametrize(("structures", "kind"), [KINDS["lora"], KINDS["lora of grids"], KINDS["gralora"]])
def test_merged_weights_that_are_stored_transposed(tmp_path, structures, kind):
    model = model_of(gpt2)
    best = approximations(model, structures)

    check(gpt2, best, lb.write_adapter(tmp_path, best, format=kind, flipped=conv1d(model)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("structures", "kind"), [KINDS["lora"], KINDS["gralora"], KINDS["bdlora of both sides"]]
)
def test_narrow_files(tmp_path, structures, kind, dtype):
    best = approximations(model_of(llama), structures)

    written = lb.write_adapter(tmp_path, best, format=kind, dtype=dtype)

    stored = peft.utils.load_peft_weights(str(tmp_path), device="cpu")
    assert {value.dtype for value in stored.values()} == {DTYPES[dtype]}
    check(llama, best, written)


def test_transposed_and_other_weights_in_one_adapter(tmp_path):
    config = transformers.GPT2Config(
        vocab_size=40, n_embd=24, n_layer=1, n_head=2, n_positions=8, pad_token_id=0
    )
    torch.manual_seed(0)
    model = transformers.GPT2ForSequenceClassification(config).double().eval()
    before, flipped = weights(model), conv1d(model)
    names = ["transformer.h.0.attn.c_attn.weight", "score.weight", "transformer.h.0.mlp.c_fc.weight"]
    best = {name: approximations(model, [lb.Global()], ["score.weight", name])[name] for name in names[::2]}
    best["score.weight"] = lb.approximate(
        np.random.default_rng(1).standard_normal((2, 24)), lb.Global(), rank=1
    )
    lb.write_adapter(tmp_path, best, flipped=flipped)

    with pytest.warns(UserWarning, match="fan_in_fan_out is set to"):  # PEFT decides module by module
        after = weights(peft.PeftModel.from_pretrained(model, tmp_path).merge_and_unload())

    for name in names:
        X = np.asarray(best[name])
        got = (after[name] - before[name]).numpy()
        np.testing.assert_allclose(got, X.T if name in flipped else X, atol=1e-6)


class Paths(torch.nn.Module):
    """Modules whose paths end alike, or are one pattern for another."""

    def __init__(self):
        super().__init__()
        linear = lambda: torch.nn.Linear(6, 6, bias=False)  # noqa: E731
        self.q, self.xq = linear(), linear()
        self.x = torch.nn.ModuleDict({"q": linear(), "aq": linear()})
        self.y = torch.nn.ModuleDict({"x": torch.nn.ModuleDict({"q": linear()}), "xxq": linear()})

    def forward(self, input_ids):
        return (input_ids,)


@pytest.mark.parametrize("names", [["q", "x.q", "y.x.q"], ["x.q", "y.x.q"], ["y.x.q", "q"], ["x.q"]])
@pytest.mark.parametrize("kind", ["lora", "gralora"])
def test_modules_whose_paths_end_alike(tmp_path, names, kind):
    torch.manual_seed(0)
    model = Paths().double()
    before = weights(model)
    rng = np.random.default_rng(0)
    structure = lb.Global() if kind == "lora" else lb.Localized(2)
    best = {
        f"{name}.weight": lb.approximate(rng.standard_normal((6, 6)), structure, rank=k + 1)
        for k, name in enumerate(names)
    }
    lb.write_adapter(tmp_path, best, format=kind)

    after = weights(loaded(model, tmp_path).merge_and_unload())

    for name, weight in before.items():
        if name in best:
            want = (weight.numpy() + np.asarray(best[name])).astype(np.float64)
            np.testing.assert_allclose(after[name].numpy(), want, atol=1e-6)
        else:
            assert torch.equal(after[name], weight), name


def checkpoint_of(model, folder):
    folder.mkdir()
    tensors = {name: value.numpy() for name, value in weights(model).items()}
    safetensors_numpy.save_file(tensors, folder / "model.safetensors")
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


def test_embeddings(tmp_path):
    name = "embeddings.word_embeddings.weight"
    best = approximations(model_of(bert), [lb.Localized(2)], [matrices(model_of(bert))[0], name])

    check(bert, best, lb.write_adapter(tmp_path, best, embeddings=[name]))


def trained(model, **options):
    """Return a PEFT model with random factors, as if trained."""
    torch.manual_seed(1)
    config = peft.LoraConfig(init_lora_weights=False, **options)
    return peft.get_peft_model(model, config)


LORAS = {
    "plain": {"r": 3, "lora_alpha": 7, "target_modules": ["query", "value"]},
    "rslora": {"r": 3, "lora_alpha": 7, "target_modules": ["query"], "use_rslora": True},
    "patterns": {
        "r": 3, "lora_alpha": 7, "target_modules": ["query", "key", "dense"],
        "rank_pattern": {"query": 2, "layer.1.output.dense": 5}, "alpha_pattern": {"key": 11},
    },
    "embedding": {"r": 3, "lora_alpha": 7, "target_modules": ["word_embeddings", "query"]},
    "biases": {"r": 3, "lora_alpha": 7, "target_modules": ["query"], "bias": "lora_only"},
    "a whole module": {"r": 3, "target_modules": ["query"], "modules_to_save": ["pooler.dense"]},
}  # fmt: skip


@pytest.mark.parametrize("options", LORAS.values(), ids=LORAS)
@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")
def test_adapters_of_peft_are_read(tmp_path, options):
    model = model_of(bert)
    before = weights(model)
    adapted = trained(model, **options)
    adapted.save_pretrained(str(tmp_path), save_embedding_layers=False)

    adapter = lb.load_adapter(tmp_path)

    after = weights(adapted.merge_and_unload())
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == set(adapter.names)
    for name, (b, a) in adapter:
        assert adapter.shapes[name] == (b.shape[0], a.shape[1]) == tuple(before[name].shape)
        assert b.shape[1] == a.shape[0] == adapter.ranks[name]
        np.testing.assert_allclose(b @ a, (after[name] - before[name]).numpy(), atol=1e-13)
    kept = {name: value for name, value in adapter.rest.items() if "word_embeddings" not in name}
    for name, value in kept.items():
        np.testing.assert_array_equal(value, before[name].numpy())


def test_a_trained_adapter_recompressed_and_loaded_again(tmp_path):
    model = model_of(bert)
    trained(model, **LORAS["patterns"]).save_pretrained(str(tmp_path / "first"))
    adapter = lb.load_adapter(tmp_path / "first")

    best = adapter.recompress(lb.Localized(2), rank=2)
    written = lb.write_adapter(tmp_path / "second", best)

    check(bert, best, written)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (peft.LoraConfig(target_modules=["query"], use_dora=True), "use_dora"),
        (peft.IA3Config(target_modules=["query"], feedforward_modules=[]), "IA3"),
        (peft.LoraConfig(target_modules=["query"], init_lora_weights="pissa"), "pissa"),
        (peft.LoraConfig(target_modules=["query"], lora_bias=True), "lora_bias"),
    ],
    ids=["dora", "ia3", "pissa", "bias"],
)
@pytest.mark.filterwarnings("ignore:Adapter .default.. 2 LoRA tensor:peft.utils.warning.PeftWarning")
def test_other_adapters_of_peft_are_refused(tmp_path, config, reason):
    peft.get_peft_model(bert(), config).save_pretrained(str(tmp_path))

    with pytest.raises(CheckpointError, match=f"adapter_config.json must .*{reason}"):
        lb.load_adapter(tmp_path)


def test_tied_embeddings(tmp_path):
    model = model_of(gpt2)
    rest = changed(model, "transformer.wte.weight")
    best = approximations(model, [lb.Global()])

    written = lb.write_adapter(tmp_path / "adapter", best, rest=rest, flipped=conv1d(model))

    merged = check(gpt2, best, written, rest | {"lm_head.weight": rest["transformer.wte.weight"]})
    assert merged.lm_head.weight is merged.transformer.wte.weight
