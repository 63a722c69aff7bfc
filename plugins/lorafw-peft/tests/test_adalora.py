"""AdaLoRA gives up the triplets PEFT's own loop gives up, and a resumed run goes on the same."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from peft import AdaLoraConfig, get_peft_model, get_peft_model_state_dict

from lorafw.adapters.layout.peft_layout import read_adapter
from lorafw.errors import ConfigError
from lorafw.testing.exchange import load_with_peft
from lorafw.testing.toys import toy_bundle, toy_rows
from lorafw.testing.values import distance, equal, logits_of
from lorafw_peft.injector import PeftInjector

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lorafw.contracts import AdaptedModel

OPTIONS: dict[str, Any] = {"init_r": 4, "target_r": 2, "tinit": 1, "tfinal": 2, "deltaT": 2}
STEPS = 8
TOKENS = torch.arange(4, 24).reshape(2, 10)
ROWS = toy_rows(3, seed=4)


def inject() -> AdaptedModel:
    model = PeftInjector(method="adalora", alpha=32.0, method_options=OPTIONS).inject(toy_bundle())
    model.prepare_steps(STEPS, tokens=1)
    return model


def optimizer_of(parameters: Iterable[torch.Tensor]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-2)


def advance(model: AdaptedModel, optimizer: torch.optim.Optimizer, steps: range) -> None:
    module: Any = model.bundle.module
    for step in steps:
        penalty = model.penalty()
        assert penalty is not None
        (module(input_ids=TOKENS, labels=TOKENS).loss + penalty).backward()
        gradients = {n: p.grad for n, p in model.trainable().items() if p.grad is not None}
        model.before_step(step, gradients)
        optimizer.step()
        model.after_step(step)
        optimizer.zero_grad()


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*have invalid shape")  # modules left with no triplet at all
def test_it_ends_where_the_loop_of_peft_ends() -> None:
    model = inject()
    base = toy_bundle().module
    config = AdaLoraConfig(
        lora_alpha=32,
        total_step=STEPS,
        target_modules=list(model.spec.targets),
        task_type="CAUSAL_LM",
        **OPTIONS,
    )
    reference: Any = get_peft_model(base, config)
    for (name, own), parameter in zip(
        model.trainable().items(),
        (p for p in reference.parameters() if p.requires_grad),
        strict=True,
    ):
        assert own.shape == parameter.shape, name
        parameter.data.copy_(own)
    optimizer = optimizer_of([p for p in reference.parameters() if p.requires_grad])
    for step in range(STEPS):
        reference(input_ids=TOKENS, labels=TOKENS).loss.backward()
        optimizer.step()
        reference.base_model.update_and_allocate(step + 1)
        optimizer.zero_grad()
    advance(model, optimizer_of(model.trainable().values()), range(STEPS))

    found, wanted = model.state().tensors, get_peft_model_state_dict(reference)
    assert {f"base_model.model.{name}" for name in found} == wanted.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, wanted[f"base_model.model.{name}"], atol=1e-6, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning")
def test_the_budget_is_met_and_the_export_reads_the_same(tmp_path: Path) -> None:
    model = inject()
    advance(model, optimizer_of(model.trainable().values()), range(STEPS))
    state, adapted = model.state(), logits_of(model.bundle, ROWS)
    ranks = [len(t) for name, t in state.tensors.items() if name.endswith("lora_E")]
    assert sum(ranks) == 2 * len(model.spec.targets)
    assert len(set(ranks)) > 1, "every module kept the same rank"

    plain = toy_bundle()
    load_with_peft(plain, model, tmp_path)
    assert distance(logits_of(plain, ROWS), adapted) < 1e-5
    read = read_adapter(tmp_path)
    heir = PeftInjector().for_spec(read.spec).inject(toy_bundle())
    heir.load_state(read.tensors)
    assert distance(logits_of(heir.bundle, ROWS), adapted) < 1e-5


@pytest.mark.parametrize("stop", [3, 7], ids=["while triplets go", "when the budget is met"])
def test_a_resumed_run_goes_on_bit_for_bit(stop: int) -> None:
    whole = inject()
    optimizer = optimizer_of(whole.trainable().values())
    advance(whole, optimizer, range(stop))
    values = {name: p.detach().clone() for name, p in whole.trainable().items()}
    kept, moments = whole.training_state(), copy.deepcopy(optimizer.state_dict())

    heir = inject()
    later = optimizer_of(heir.trainable().values())
    heir.load_state(values)
    heir.load_training_state({name: tensor.clone() for name, tensor in kept.items()})
    later.load_state_dict(moments)
    for model, its in ((whole, optimizer), (heir, later)):
        advance(model, its, range(stop, STEPS))
    assert equal(heir.state().tensors, whole.state().tensors)
    assert heir.state().spec == whole.state().spec


def test_a_run_too_short_for_the_schedule_is_refused() -> None:
    model = PeftInjector(method="adalora", method_options={"tinit": 5}).inject(toy_bundle())
    with pytest.raises(ConfigError, match="5 steps are too few for tinit 5"):
        model.prepare_steps(5, tokens=1)


def test_a_budget_that_does_not_shrink_is_refused() -> None:
    injector = PeftInjector(method="adalora", r=4, method_options={"target_r": 4})
    with pytest.raises(ConfigError, match=r"target_r \(4\) must be below init_r \(4\)"):
        injector.inject(toy_bundle())
