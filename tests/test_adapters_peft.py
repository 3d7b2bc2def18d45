"""Adapters in real PEFT: what is loaded and merged is the base plus the approximation, up to rounding."""

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
    matrices,
    model_of,
    peft,
    torch,
    transformers,
    weights,
)

import lowrank_blocks as lb

pytestmark = MARKS

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
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


def test_embeddings(tmp_path):
    name = "embeddings.word_embeddings.weight"
    best = approximations(model_of(bert), [lb.Localized(2)], [matrices(model_of(bert))[0], name])

    check(bert, best, lb.write_adapter(tmp_path, best, embeddings=[name]))
