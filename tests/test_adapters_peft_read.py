"""Adapters that PEFT saved: what is read is what PEFT merges, and other kinds are refused."""

import numpy as np
import pytest
from peft_models import MARKS, bert, check, model_of, peft, torch, weights

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.tensors import CheckpointError

pytestmark = MARKS


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
