"""Biases of the base that are trained beside LoRA mean here what they mean to PEFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from lorafw.adapters.layout.peft_layout import read_adapter
from lorafw.errors import AdapterError
from lorafw.testing.exchange import load_with_peft
from lorafw.testing.toys import ToyEncoder, toy_bundle, toy_gpt2_bundle, toy_rows
from lorafw.testing.values import as_if_trained, distance, logits_of
from lorafw.types import Layout
from lorafw_peft.injector import PeftInjector

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.contracts import AdaptedModel, ModelBundle

ROWS = toy_rows(3, seed=4)
SOME = ("ln_f", "attn.c_proj")
COUNTS = {"all": 13, "lora_only": 8, SOME: 3}
"""Of a GPT-2 of two layers, whose linears and norms all have one."""


def injected(bundle: ModelBundle | None = None, **options: Any) -> AdaptedModel:
    part = PeftInjector.from_mapping({"r": 4, **options}, where="injector")
    return part.inject(bundle or toy_gpt2_bundle())


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("bias", ["all", "lora_only"])
def test_what_peft_wrote_answers_here_as_it_did_there(bias: Any, tmp_path: Path) -> None:
    bundle = toy_gpt2_bundle()
    config = LoraConfig(
        r=4,
        target_modules=["c_attn", "c_fc"],
        bias=bias,
        fan_in_fan_out=True,
        task_type="CAUSAL_LM",
    )
    theirs = get_peft_model(bundle.module, config).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in (p for p in theirs.parameters() if p.requires_grad):
        parameter.data += torch.randn(parameter.shape, generator=generator) / 5
    wanted = logits_of(bundle, ROWS)
    theirs.save_pretrained(tmp_path)
    state = read_adapter(tmp_path)
    assert len(state.spec.biases) == {"all": 13, "lora_only": 4}[bias]
    heir = PeftInjector().for_spec(state.spec).inject(toy_gpt2_bundle())
    heir.load_state(state.tensors)
    assert distance(logits_of(heir.bundle, ROWS), wanted) < 1e-5


@pytest.mark.parametrize("bias", list(COUNTS), ids=["all", "lora_only", "some"])
def test_what_was_trained_here_answers_the_same_in_peft(bias: Any, tmp_path: Path) -> None:
    model = injected(bias=bias)
    assert len(model.spec.biases) == COUNTS[bias]
    as_if_trained(model)
    plain = toy_gpt2_bundle()
    load_with_peft(plain, model, tmp_path)
    assert distance(logits_of(plain, ROWS), logits_of(model.bundle, ROWS)) < 1e-5


def test_it_learns_what_peft_learns() -> None:
    """Every bias has the gradient that PEFT gives it."""
    model, reference = injected(bias="all"), toy_gpt2_bundle()
    for name, parameter in reference.module.named_parameters():
        parameter.requires_grad = name.endswith(".bias")
    for bundle in (model.bundle, reference):
        batch = ToyEncoder().collate(ROWS, Layout.PADDED, bundle.pad_id)
        torch.autograd.backward(bundle.logits(bundle.hidden(batch.inputs).rows).square().mean())
    for name in (f"{module}.bias" for module in model.spec.biases):
        ours, theirs = model.trainable()[name].grad, reference.module.get_parameter(name).grad
        assert ours is not None
        assert theirs is not None
        assert distance(ours, theirs) < 1e-5, name


def test_biases_within_a_module_that_is_trained_whole_are_trained_there() -> None:
    model = injected(bias="all", modules_to_save=["ln_f"])
    assert "transformer.ln_f" not in model.spec.biases
    assert "transformer.ln_f.bias" in model.trainable()


@pytest.mark.parametrize(
    ("bias", "fault"),
    [
        ("all", "the model has no bias"),
        ("lora_only", "what is adapted has no bias"),
        (["q_proj", "x"], "no module with a bias matches 'q_proj'"),
    ],
)
def test_a_bias_that_is_not_there_is_an_error(bias: Any, fault: str) -> None:
    with pytest.raises(AdapterError, match=rf"injector\.bias: {fault}"):
        injected(toy_bundle(), bias=bias)
