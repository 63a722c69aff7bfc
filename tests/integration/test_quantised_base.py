"""LoRA on a base whose weights are held in 4 or 8 bits, on the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

import lorafw
from lorafw.assembly.compose import compose
from lorafw.assembly.config import read_config
from lorafw.assembly.registry import Registry
from lorafw.builtin.auto import Auto
from lorafw.contracts import ModelBundle, ModelRequest
from lorafw.errors import AdapterError, CompositionError
from lorafw.models.names import checkpoint_names
from lorafw.testing.toys import toy_folder, toy_llama, toy_rows, toy_tokenizer
from lorafw.testing.values import as_if_trained, distance, logits_of
from lorafw.types import Capability, Layout, Task

pytest.importorskip("bitsandbytes")

SIZES = {"hidden_size": 64, "intermediate_size": 128, "initializer_range": 0.05}
ROWS = toy_rows(3, seed=4)
INJECTORS = ["peft", "custom"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("base"), **SIZES)


def built(base: Path, **options: Any) -> ModelBundle:
    builder = Auto.from_mapping({"path": str(base), **options}, where="model")
    builder.preflight()
    return builder.build(ModelRequest(Task.CAUSAL_LM, torch.device("cpu")), builder.tokenizer())


def injector(name: str, **options: Any) -> Any:
    return Registry().load("injector", name).from_mapping({"r": 4, **options}, where="injector")


def dense_copy(bundle: ModelBundle) -> ModelBundle:
    """A toy Llama whose plain weights are those that the quantised layers stand for."""
    from bitsandbytes.functional import dequantize_4bit

    from lorafw.models.transformers_bundle import TransformersBundle

    plain = toy_llama(**SIZES)
    for name, layer in bundle.module.named_modules():
        if name in bundle.lora_targets:
            weight: Any = layer.weight
            dense = dequantize_4bit(weight.data, weight.quant_state)
            plain.get_parameter(f"{name}.weight").data.copy_(dense)
    return TransformersBundle(plain, toy_tokenizer(), base="dense")


def learned(model: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits of some rows, and the gradients that a loss on them gives the adapter."""
    logits = logits_with_gradient(model.bundle)
    logits.log_softmax(-1).square().mean().backward()
    return logits.detach(), {name: p.grad for name, p in model.trainable().items()}


def logits_with_gradient(bundle: ModelBundle) -> Tensor:
    from lorafw.testing.toys import ToyEncoder

    batch = ToyEncoder().collate(ROWS, Layout.PADDED, bundle.pad_id)
    rows = bundle.hidden(batch.inputs).rows[batch.inputs["attention_mask"].bool()]
    return bundle.logits(rows).float()


def bytes_of_layers(bundle: ModelBundle) -> int:
    layers = (bundle.module.get_submodule(name) for name in bundle.lora_targets)
    return sum(p.numel() * p.element_size() for layer in layers for p in layer.parameters())


@pytest.mark.parametrize("options", [{}, {"double_quant": True}], ids=["nf4", "nf4 double"])
@pytest.mark.parametrize("name", INJECTORS)
def test_4_bits_compute_and_learn_as_the_weights_they_stand_for(
    base: Path, name: str, options: dict[str, Any]
) -> None:
    """Both ways through: a layer repacked for inference would pass no gradient to its input."""
    bundle = built(base, quantize="nf4", **options)
    plain = dense_copy(bundle)
    found, wanted = (injector(name).inject(each) for each in (bundle, plain))
    for model in (found, wanted):
        as_if_trained(model)
    (logits, gradients), (true_logits, true_gradients) = learned(found), learned(wanted)
    assert distance(logits, true_logits) < 1e-4
    for key, gradient in true_gradients.items():
        assert distance(gradients[key], gradient) < 1e-3, key


@pytest.mark.parametrize("name", INJECTORS)
def test_8_bits_compute_and_learn_nearly_as_the_whole_weights(base: Path, name: str) -> None:
    models = [injector(name).inject(built(base, **o)) for o in ({"quantize": "int8"}, {})]
    for model in models:
        as_if_trained(model)
    (logits, gradients), (true_logits, true_gradients) = map(learned, models)
    assert 0 < distance(logits, true_logits) < 0.05
    for key, gradient in true_gradients.items():
        assert distance(gradients[key], gradient) < 0.15, key


@pytest.mark.parametrize(
    ("kind", "double", "bits"), [("nf4", False, 4), ("nf4", True, 4), ("int8", False, 8)]
)
def test_layers_shrink_and_head_and_embeddings_stay(
    base: Path, kind: Literal["nf4", "int8"], double: bool, bits: int
) -> None:
    whole = built(base)
    small = built(base, quantize=kind, double_quant=double)
    assert bytes_of_layers(small) == bytes_of_layers(whole) * bits // 32
    assert small.head_weight is not None
    assert whole.head_weight is not None
    assert torch.equal(small.head_weight, whole.head_weight)
    module: Any = small.module
    assert type(module.get_input_embeddings()) is nn.Embedding
    assert small.base == whole.base, "the base is what its files hold, however it is held"


@pytest.mark.parametrize("name", INJECTORS)
@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_a_fresh_adapter_and_a_disabled_one_are_the_base(base: Path, kind: str, name: str) -> None:
    bundle = built(base, quantize=kind)
    before = logits_of(bundle, ROWS)
    model = injector(name).inject(bundle)
    assert torch.equal(logits_of(bundle, ROWS), before)
    as_if_trained(model)
    assert not torch.equal(logits_of(bundle, ROWS), before)
    with model.disabled():
        assert torch.equal(logits_of(bundle, ROWS), before)


@pytest.mark.parametrize("name", INJECTORS)
@pytest.mark.parametrize("options", [{}, {"use_dora": True}], ids=["lora", "dora"])
@pytest.mark.parametrize(("kind", "limit"), [("nf4", 1e-4), ("int8", 0.05)])
def test_merged_is_the_numbers_of_the_bits_with_the_update(
    base: Path, kind: str, limit: float, options: dict[str, Any], name: str
) -> None:
    bundle, plain = built(base, quantize=kind), built(base)
    if (kind, name, *options) == ("int8", "peft", "use_dora"):
        with pytest.raises(AdapterError, match="PEFT cannot make DoRA on int8"):
            injector(name, **options).inject(bundle)
        return
    model = injector(name, **options).inject(bundle)
    as_if_trained(model)
    merged = dict(model.merged_state())
    assert merged.keys() == set(checkpoint_names(plain.module))
    plain.module.load_state_dict(merged, strict=False)
    assert distance(logits_of(plain, ROWS), logits_of(model.bundle, ROWS)) < limit


def test_in_4_bits_segments_are_padded_rows(base: Path) -> None:
    bundle = built(base, quantize="nf4")
    assert Capability.SEGMENTS in bundle.capabilities
    laid, padded = (logits_of(bundle, ROWS, layout) for layout in Layout)
    torch.testing.assert_close(laid, padded, rtol=1e-5, atol=1e-5)


def rows_file(path: Path, prompts: list[str]) -> str:
    rows = [{"prompt": prompt, "response": "sat on a mat"} for prompt in prompts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def config(base: Path, folder: Path, **sections: Any) -> Path:
    prompts = [f"{which} {what}" for which in ("the", "a", "seven") for what in ("cat", "birds")]
    train, held_out = (
        rows_file(folder / name, part)
        for name, part in (("train.jsonl", prompts * 2), ("eval.jsonl", ["an old cat"]))
    )
    values = {
        "run": {"name": "q", "output": str(folder / "run")},
        "dataset": {"use": "jsonl", "path": train, "eval_path": held_out},
        "model": {"use": "auto", "path": str(base), "quantize": "nf4", "double_quant": True},
        "injector": {"use": "peft", "r": 4},
        "trainer": "ddp",
        "plan": {"epochs": 4, "global_batch_size": 2, "learning_rate": 1e-2},
        "listeners": [],
        **sections,
    }
    file = folder / "run.yaml"
    file.write_text(json.dumps(values))
    return file


@pytest.mark.parametrize("name", INJECTORS)
def test_a_run_learns_and_its_adapter_reloads(base: Path, tmp_path: Path, name: str) -> None:
    result = lorafw.run(config(base, tmp_path, injector={"use": name, "r": 4}))
    assert result.evaluation["loss"] < 0.5 * result.evaluation_before["loss"]
    assert result.adapter is not None
    recipe = json.loads((result.adapter / "lorafw.json").read_text())
    assert (recipe["model"]["quantize"], recipe["model"]["double_quant"]) == ("nf4", True)
    answers = {lorafw.load(result.adapter).generate("the cat", max_new_tokens=4) for _ in range(2)}
    assert answers == {"sat on a mat"}
    with pytest.raises(AdapterError, match="lorafw adapter merge"):
        lorafw.load(result.adapter, adapter_merged=True)


def test_a_quantised_base_and_a_merged_export_do_not_fit(base: Path, tmp_path: Path) -> None:
    registry = Registry()
    chosen = read_config(registry, path=config(base, tmp_path, exporters=["merged"]))
    with pytest.raises(CompositionError, match=r"'merged' requires mergeable.*model\.quantize"):
        compose(chosen, registry)


def test_sharded_training_and_a_quantised_base_do_not_fit(base: Path, tmp_path: Path) -> None:
    registry = Registry()
    trainer = {"use": "deepspeed", "zero_stage": 3}
    chosen = read_config(registry, path=config(base, tmp_path, trainer=trainer))
    with pytest.raises(CompositionError, match="partitions parameters over ranks, which model"):
        compose(chosen, registry)


def test_linears_that_store_their_weights_transposed_are_held_the_usual_way(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=64, n_embd=64, n_layer=2, n_head=4, n_positions=64)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    toy_tokenizer().save_pretrained(tmp_path)
    small, whole = built(tmp_path, quantize="nf4"), built(tmp_path)
    assert small.lora_targets == whole.lora_targets
    assert 0 < distance(logits_of(small, ROWS), logits_of(whole, ROWS)) < 0.2
    logits, gradients = learned(injector("peft").inject(small))
    assert logits.isfinite().all()
    assert all(g.any() for name, g in gradients.items() if name.endswith(".lora_B.weight"))


def test_the_head_of_a_classifier_stays_whole(tmp_path: Path) -> None:
    from transformers import RobertaConfig, RobertaForMaskedLM

    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    config = RobertaConfig(
        vocab_size=64, num_attention_heads=4, type_vocab_size=1, pad_token_id=3, **sizes
    )
    RobertaForMaskedLM(config).save_pretrained(tmp_path)
    toy_tokenizer().save_pretrained(tmp_path)
    builder = Auto.from_mapping({"path": str(tmp_path), "quantize": "nf4"}, where="model")
    request = ModelRequest(Task.CLASSIFICATION, torch.device("cpu"), labels=("no", "yes"))
    bundle = builder.build(request, builder.tokenizer())
    layers = [bundle.module.get_submodule(name) for name in bundle.lora_targets]
    assert {type(layer).__name__ for layer in layers} == {"Linear4bit"}
    [head] = (bundle.module.get_submodule(name) for name in bundle.head_modules)
    assert {p.dtype for p in head.parameters()} == {torch.float32}
    assert not [layer for layer in head.modules() if type(layer).__name__ == "Linear4bit"]


@pytest.mark.parametrize(("kind", "layer"), [("nf4", "Linear4bit"), ("int8", "Linear8bitLt")])
def test_quantised_layers_keep_to_the_ordinary_path_and_it_is_said(
    base: Path, kind: str, layer: str
) -> None:
    model = injector("custom").inject(built(base, quantize=kind))
    model.prepare_steps(1, tokens=100)
    told = " ".join(model.remarks)
    assert told.startswith("0 of 2 layers take the fast path; 2 do not: its self_attn.q_proj is a ")
    assert told.endswith(f"{layer}.")
