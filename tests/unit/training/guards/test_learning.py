"""A run in which something trained gets no gradient, or does not move, ends at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from tests.unit.training.on_engine import notices, trained
from torch import Tensor, nn

from lorafw.contracts import AdaptedModel, Guide, StepOutcome, TrainPlan
from lorafw.errors import TrainingError
from lorafw.testing.toy_experts import toy_experts_bundle
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toy_training import toy_model, training_plan
from lorafw.testing.toys import toy_bundle
from lorafw.training.guards.learning import LearningGuard
from lorafw.training.whole_engine import WholeEngine

IDLE = "model.layers.1.mlp.down_proj.lora_A.weight"
EXPERT = "model.layers.1.mlp.experts.3.up_proj.lora_A.weight"
ROWS = "model.embed_tokens.token_adapter.trainable_tokens_delta"


def with_idle(name: str) -> AdaptedModel:
    """The toy model with one more trained tensor, which nothing uses."""
    model = toy_model()
    idle = nn.Parameter(torch.ones(2, 3))
    model.bundle.module.register_parameter("idle", idle)
    parameters = {**model.trainable(), name: idle}
    model.trainable = lambda: parameters  # type: ignore[method-assign]
    return model


class Zeroing(WholeEngine):
    """Gives what has no gradient one of zeros, as engines with flat buffers do."""

    def step(self, *, learning_rate: float) -> StepOutcome:
        for parameter in self._parameters.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return super().step(learning_rate=learning_rate)

    def gradients(self) -> dict[str, Tensor]:
        zeros = {name: torch.zeros_like(p) for name, p in self._parameters.items()}
        return {**zeros, **super().gradients()}


def test_a_tensor_without_a_gradient_is_named() -> None:
    fault = r"1 of [0-9]+ trained tensors got no gradient in the first step: model\.layers\.1\.mlp"
    with pytest.raises(TrainingError, match=fault) as caught:
        trained(model=with_idle(IDLE))
    assert caught.value.where == "injector"


def test_a_tensor_that_does_not_move_is_named() -> None:
    with pytest.raises(TrainingError, match=r"1 of \d+ .* not moved in 2 steps: model\.layers"):
        trained(Zeroing, model=with_idle(IDLE), plan=training_plan(weight_decay=0))


def test_an_optimizer_that_does_not_normalise_may_leave_it_where_it_is() -> None:
    options = {"optimizer": "sgd", "max_steps": 3, "global_batch_size": 4, "warmup_ratio": 0}
    plan = TrainPlan.from_mapping(options, where="plan")
    done = trained(Zeroing, model=with_idle(IDLE), plan=plan)
    assert [notice for notice in notices(done) if "have not moved" in notice]


@pytest.mark.parametrize("name", [EXPERT, ROWS])
def test_experts_and_rows_of_embeddings_are_told_of_at_the_end(name: str) -> None:
    kind = Zeroing if name == ROWS else WholeEngine
    done = trained(kind, model=with_idle(name), plan=training_plan(weight_decay=0, max_steps=2))
    assert [notice for notice in notices(done) if name in notice and "no row used" in notice]


def test_nobody_having_a_gradient_is_an_error_whoever_they_are() -> None:
    guard = LearningGuard(_job(with_idle(ROWS)), _Still(), whole_gradients=True)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="1 of 1"):
        guard.see_gradients({})


def test_lora_from_its_own_start_passes_in_a_warmup() -> None:
    """B is zero at first, so the first gradient of A is; and the first steps are tiny."""
    model = ToyInjector(r=4).inject(toy_bundle())
    plan = training_plan(warmup_ratio=None, warmup_steps=5, learning_rate=1e-9, max_steps=3)
    assert notices(trained(model=model, plan=plan)) == []
    plan = training_plan(max_steps=2)
    assert notices(trained(model=ToyInjector(r=4).inject(toy_bundle()), plan=plan)) == []


def test_a_mixture_of_experts_passes() -> None:
    model = ToyInjector(r=2).inject(toy_experts_bundle())
    assert notices(trained(model=model, plan=training_plan(max_steps=2))) == []


def test_steps_that_teach_nothing_are_not_counted() -> None:
    guard = LearningGuard(_job(with_idle(IDLE)), _Still(), whole_gradients=False)  # type: ignore[arg-type]
    for outcome in (StepOutcome(0.0), StepOutcome(float("nan"), skipped=True)):
        for _ in range(5):
            guard.see_step(outcome, 1e-3)
    guard.see_step(StepOutcome(1.0), 1e-3)
    with pytest.raises(TrainingError, match="have not moved"):
        guard.see_step(StepOutcome(1.0), 1e-3)


class _Still:
    """An engine in which nothing moves."""

    def state(self) -> Mapping[str, Mapping[str, Tensor]]:
        return {IDLE: {"value": torch.ones(3)}}


def _job(model: AdaptedModel) -> Any:
    class Job:
        plan = training_plan()
        guide = Guide()

    Job.model = model  # type: ignore[attr-defined]
    return Job
