"""Every method of PEFT that puts layers into a model can be named, trained, saved and read back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import torch
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

from lorafw.adapters.layout.peft_layout import read_adapter
from lorafw.errors import AdapterError, ConfigError
from lorafw.testing.exchange import load_with_peft
from lorafw.testing.toys import toy_bundle, toy_rows
from lorafw.testing.values import distance, equal, logits_of
from lorafw.types import Capability, Layout
from lorafw_peft._prompt_methods import PROMPT_METHODS
from lorafw_peft.injector import PeftInjector
from lorafw_peft.methods import ELSEWHERE, LORA, REFUSED

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.contracts import AdaptedModel, ModelBundle

SMALL: dict[str, dict[str, Any]] = {
    "ADAMSS": {"num_subspaces": 2, "r": 8},
    "C3A": {"block_size": 4},
    "FOURIERFT": {"n_frequency": 64},
    "MISS": {"r": 4},
    "PSOFT": {"r": 4},
    "ROAD": {"group_size": 8},
    "SHIRA": {"r": 4},
    "TRAINABLE_TOKENS": {"token_indices": [4, 5, 6]},
    "VBLORA": {"vector_length": 4, "num_vectors": 16},
    "WAVEFT": {"n_frequency": 64},
}
"""What PEFT's own defaults, meant for large models, must be changed to for linears of 32 by 16."""

ALL = {kind.value for kind in PEFT_TYPE_TO_CONFIG_MAPPING}
TUNERS = sorted(ALL - REFUSED.keys() - PROMPT_METHODS - {LORA})
RANDOM = {"PVERA"}
"""Methods whose loss is a sample, so that three of them need not fall."""
STEPS = 3
ROWS = toy_rows(3, seed=4)
TOKENS = torch.arange(4, 24).reshape(2, 10)


@dataclass
class Trained:
    """A model after a few steps, and what was seen on the way."""

    injector: PeftInjector
    model: AdaptedModel
    start: torch.Tensor
    losses: list[float] = field(default_factory=list)

    @property
    def bundle(self) -> ModelBundle:
        return self.model.bundle


def trained(method: str) -> Trained:
    options = {"method": method.lower(), "method_options": SMALL.get(method, {})}
    targets = {} if method in ELSEWHERE else {"target_modules": ["q_proj", "down_proj"]}
    injector = PeftInjector.from_mapping({**options, **targets}, where="injector")
    model = injector.inject(toy_bundle())
    result = Trained(injector, model, logits_of(model.bundle, ROWS))
    optimizer = torch.optim.AdamW(model.trainable().values(), lr=1e-2)
    model.prepare_steps(STEPS, tokens=1)
    model.train(mode=True)
    for step in range(STEPS):
        result.losses.append(one_step(model, optimizer, step))
    model.train(mode=False)
    return result


def one_step(model: AdaptedModel, optimizer: torch.optim.Optimizer, step: int) -> float:
    module: Any = model.bundle.module
    loss = module(input_ids=TOKENS, labels=TOKENS).loss
    penalty = model.penalty()
    torch.autograd.backward(loss if penalty is None else loss + penalty)
    if model.wants_gradients:
        model.before_step(step, {n: p.grad for n, p in model.trainable().items()})  # type: ignore[misc]
    optimizer.step()
    model.after_step(step)
    optimizer.zero_grad()
    return float(loss.detach())


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")  # remarks of PEFT's
@pytest.mark.parametrize("method", TUNERS)
def test_a_method_trains_and_travels(method: str, tmp_path: Path) -> None:
    base = logits_of(toy_bundle(), ROWS)
    run = trained(method)
    able, adapted = run.injector.capabilities, logits_of(run.bundle, ROWS)

    assert all(map(math.isfinite, run.losses))
    assert run.losses[-1] < run.losses[0] or method in RANDOM
    moved = distance(run.start, base)
    assert (moved < 1e-5) == (Capability.IDENTITY_START in able), f"the start is off by {moved:.1e}"
    with run.model.disabled():
        assert torch.equal(logits_of(run.bundle, ROWS), base)
    packed = distance(logits_of(run.bundle, ROWS, Layout.SEGMENTS), adapted)
    assert (packed < 1e-5) == (Capability.SEGMENTS in able), f"segments are off by {packed:.1e}"
    check_merging(run.model, adapted, mergeable=Capability.MERGEABLE in able)

    plain = toy_bundle()
    load_with_peft(plain, run.model, tmp_path)
    assert distance(logits_of(plain, ROWS), adapted) < 1e-5
    state = read_adapter(tmp_path)
    heir = PeftInjector().for_spec(state.spec).inject(toy_bundle())
    heir.load_state(state.tensors)
    assert distance(logits_of(heir.bundle, ROWS), adapted) < 1e-5


def check_merging(model: AdaptedModel, adapted: torch.Tensor, *, mergeable: bool) -> None:
    if not mergeable:
        with pytest.raises(AdapterError, match="cannot merge"):
            dict(model.merged_state())
        return
    plain = toy_bundle()
    plain.module.load_state_dict(dict(model.merged_state()), strict=False)
    assert distance(logits_of(plain, ROWS), adapted) < 1e-5


@pytest.mark.parametrize("method", sorted(REFUSED))
def test_what_cannot_be_offered_is_refused_with_the_reason(method: str) -> None:
    with pytest.raises(ConfigError, match="is not possible: "):
        PeftInjector(method=method.lower()).preflight()


def test_the_lists_of_methods_name_methods_of_peft() -> None:
    assert REFUSED.keys() | PROMPT_METHODS | SMALL.keys() | RANDOM <= ALL


@pytest.mark.parametrize("method", ["loha", "adalora", "lokr"])
def test_fresh_values_follow_from_the_seed(method: str) -> None:
    model = PeftInjector(method=method).inject(toy_bundle())
    states = []
    for seed in (1, 2, 1):
        model.reset(seed)
        torch.rand(3)
        states.append(model.state().tensors)
    assert equal(states[0], states[2])
    assert not equal(states[0], states[1])


def test_a_reset_leaves_what_is_trainable_as_it_was() -> None:
    model = PeftInjector(method="vera", modules_to_save=("model.norm",)).inject(toy_bundle())
    before = {n: p.requires_grad for n, p in model.bundle.module.named_parameters()}
    model.reset(seed=3)
    assert {n: p.requires_grad for n, p in model.bundle.module.named_parameters()} == before


def test_random_projections_are_part_of_a_checkpoint() -> None:
    first, second = (PeftInjector(method="vera").inject(toy_bundle()) for _ in range(2))
    kept = first.training_state()
    assert kept.keys() == {"base_model.vera_A", "base_model.vera_B"}
    second.load_training_state({name: tensor + 1 for name, tensor in kept.items()})
    assert not equal(second.training_state(), kept)
    second.load_training_state(kept)
    assert equal(second.training_state(), kept)
