"""An adapter that does not belong to its base, or does nothing, is one clear error."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import lorafw
from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.assembly.registry import Registry
from lorafw.errors import AdapterError
from lorafw.inference.applying import apply_adapter
from lorafw.inference.loading import part, request_for
from lorafw.inference.place import find
from lorafw.inference.provenance import provenance
from lorafw.testing.toys import toy_folder, toy_tokenizer
from lorafw.types import AdapterSpec, AdapterState

if TYPE_CHECKING:
    from pathlib import Path

CONFIG, TENSORS, RECIPE = "adapter_config.json", "adapter_model.safetensors", "lorafw.json"
IDS = [1, 5, 9, 7]


def edit(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def put(adapter: Path, state: AdapterState) -> Path:
    """Another adapter in the place of the one that is there, with the same recipe."""
    recipe = {k: v for k, v in json.loads((adapter / RECIPE).read_text()).items() if "sha" not in k}
    write_adapter(adapter, state, base_path=recipe["model"]["path"], recipe=recipe)
    return adapter


def refused(adapter: Path, fault: str, **options: Any) -> None:
    with pytest.raises(AdapterError, match=fault) as caught:
        lorafw.load(adapter, device="cpu", **options)
    assert str(adapter) in str(caught.value)
    assert caught.value.mend
    assert "\n" not in str(caught.value)


def test_a_base_of_other_sizes(adapter: Path, tmp_path: Path) -> None:
    narrow = toy_folder(tmp_path / "narrow", hidden_size=16, intermediate_size=24)
    refused(adapter, "was trained on the base model sha256", base=narrow)
    where = r"q_proj as one of sizes \[32, 32\], but it is \[16, 16\] in the base"
    refused(adapter, where, base=narrow, strict=False)


def test_a_base_with_fewer_layers(adapter: Path, tmp_path: Path) -> None:
    short = toy_folder(tmp_path / "short", num_hidden_layers=1)
    refused(adapter, "layers.1.mlp.up_proj, which the base does not have", base=short, strict=False)


def test_another_base_of_the_same_sizes_is_taken_when_told_to(
    adapter: Path, tmp_path: Path
) -> None:
    other = toy_folder(tmp_path / "other", seed=1)
    refused(adapter, "strict=False", base=other)
    loaded = lorafw.load(adapter, device="cpu", base=other, strict=False)
    assert not loaded.logits(IDS).equal(loaded.logits(IDS, adapter=False))


def test_another_tokenizer_and_another_template(adapter: Path, toy: Path) -> None:
    from lorafw.builtin.prompt import Prompt

    edit(adapter / RECIPE, **provenance(toy_tokenizer(), Prompt(separator=" ")))
    lorafw.load(adapter, device="cpu")
    for key, fault in (("tokenizer", "another tokenizer"), ("template", "another template")):
        recipe = (adapter / RECIPE).read_text()
        edit(adapter / RECIPE, **{key: "sha256:0"})
        refused(adapter, fault)
        lorafw.load(adapter, device="cpu", strict=False)
        (adapter / RECIPE).write_text(recipe)


def test_a_module_that_was_lost_on_the_way(adapter: Path) -> None:
    edit(adapter / CONFIG, target_modules=["q_proj", "up_proj"])
    refused(adapter, "holds nothing for model.layers.0.mlp.up_proj, which adapter_config.json says")


def test_a_module_that_the_config_does_not_choose(adapter: Path, state: AdapterState) -> None:
    edit(adapter / CONFIG, target_modules=[state.spec.targets[0]])
    fault = f"holds factors for {state.spec.targets[1]}, which adapter_config.json does not choose"
    refused(adapter, fault)


def test_a_choice_of_modules_that_is_no_regular_expression(adapter: Path) -> None:
    edit(adapter / CONFIG, target_modules="q_proj(")
    refused(adapter, "a choice of modules cannot be understood: missing")


def test_numbers_that_overflow(adapter: Path, state: AdapterState) -> None:
    values = {name: tensor * 1e30 for name, tensor in state.tensors.items()}
    refused(put(adapter, AdapterState(state.spec, values)), "logits that are NaN or infinite")


def test_an_option_that_the_method_does_not_have_is_no_fault_of_usage(adapter: Path) -> None:
    pytest.importorskip("lorafw_peft")
    targets = tuple(f"model.layers.{layer}.self_attn.q_proj" for layer in (0, 1))
    options = {"target_modules": ["q_proj"], "feedforward_modules": [], "frobnicate": 1}
    spec = AdapterSpec(1, 1.0, targets, method="IA3", options=options)
    values = {f"{target}.ia3_l": torch.full((32, 1), 2.0) for target in targets}
    refused(put(adapter, AdapterState(spec, values)), "frobnicate: unknown option")


def test_every_b_is_zero(adapter: Path, state: AdapterState) -> None:
    values = {n: t * 0 if "lora_B" in n else t for n, t in state.tensors.items()}
    refused(put(adapter, AdapterState(state.spec, values)), "has no effect: every B is zero")


def test_no_logit_moves(adapter: Path, state: AdapterState, toy: Path) -> None:
    """Only beside the base can be told that magnitudes of DoRA are those of the base itself."""
    target = state.spec.targets[0]
    spec = AdapterSpec(rank=4, alpha=8.0, targets=(target,), use_dora=True)
    weight = load_file(toy / "model.safetensors")[f"{target}.weight"]
    down, up, magnitude = spec.names_of(target)
    values = {down: state.tensors[down], up: state.tensors[up] * 0, magnitude: weight.norm(dim=1)}
    edit(adapter / RECIPE, injector={"use": "peft"})
    put(adapter, AdapterState(spec, values))
    pytest.importorskip("lorafw_peft")
    refused(adapter, "the base alone gives the same logits")
    put(adapter, AdapterState(spec, {**values, magnitude: values[magnitude] * 2}))
    lorafw.load(adapter, device="cpu")


def test_a_copy_of_another_bases_embedding(adapter: Path, toy: Path) -> None:
    weight = load_file(toy / "model.safetensors")["model.embed_tokens.weight"]
    stored, name = load_file(adapter / TENSORS), "model.embed_tokens.base_layer.weight"
    save_file({**stored, f"base_model.model.{name}": weight}, adapter / TENSORS)
    lorafw.load(adapter, device="cpu")
    save_file({**stored, f"base_model.model.{name}": weight + 1}, adapter / TENSORS)
    refused(adapter, "was made over another model.embed_tokens.weight than the base has")


def test_a_head_of_other_sizes(adapter: Path, state: AdapterState) -> None:
    spec = replace(state.spec, trained=("lm_head",))
    values = {**state.tensors, "lm_head.weight": torch.ones(3, 32)}
    refused(put(adapter, AdapterState(spec, values)), r"lm_head\.weight has shape \[3, 32\]")


class Unable:
    """An injector that makes no adapter at all."""

    def for_spec(self, _spec: AdapterSpec) -> Any:
        raise AdapterError("custom makes no such adapter.")


class WithoutCustom(Registry):
    """Knows the installed injectors, but one that cannot in the place of `custom`."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def load(self, kind: str, name: str) -> Any:
        self.asked.append(name)
        return Unable if name == "custom" else super().load(kind, name)


def test_an_injector_that_cannot_leaves_it_to_the_next(adapter: Path) -> None:
    pytest.importorskip("lorafw_peft")
    place, registry = replace(find(adapter), injector="custom"), WithoutCustom()
    builder: Any = part(Registry(), "model", place.model)
    bundle = builder.build(request_for("cpu", place), builder.tokenizer())
    apply_adapter(registry, place, bundle)
    assert registry.asked == ["custom", "peft"]
