"""A classifier and its head get the same update however a batch is cut and whoever trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from lorafw.assembly.registry import Registry
from lorafw.builtin.classification import Classification
from lorafw.builtin.text_pair import TextPair
from lorafw.contracts import TrainJob
from lorafw.testing.toy_classifier import toy_class_rows, toy_classifier
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toy_training import training_plan
from lorafw.testing.values import as_if_trained

TRAINERS: dict[str, dict[str, Any]] = {
    "ddp": {},
    "accelerate": {},
    "deepspeed": {"zero_stage": 3, "persistence_threshold": 0},
}


def _train(trainer: str, budget: int) -> Mapping[str, Tensor]:
    model = ToyInjector(r=4).inject(toy_classifier())
    as_if_trained(model)
    job = TrainJob(
        model=model,
        objective=Classification(),
        encoder=TextPair(),
        rows=toy_class_rows(13, seed=5),
        plan=training_plan(micro_batch_tokens=budget),
    )
    kind: Any = Registry().load("trainer", trainer)
    running = kind.from_mapping(TRAINERS[trainer], where="trainer").start()
    try:
        running.fit(job)
        with running.full_parameters(model.bundle.module):
            return model.state().tensors
    finally:
        running.close()


@pytest.fixture(scope="module")
def whole() -> Mapping[str, Tensor]:
    """Every global batch in one piece."""
    return _train("ddp", 100_000)


def test_the_head_learns(whole: Mapping[str, Tensor]) -> None:
    model = ToyInjector(r=4).inject(toy_classifier())
    as_if_trained(model)
    for name, before in model.state().tensors.items():
        assert not torch.equal(whole[name], before), f"{name} did not move"


@pytest.mark.parametrize("trainer", TRAINERS)
def test_micro_batches_add_up_to_the_same_update(trainer: str, whole: Mapping[str, Tensor]) -> None:
    found = _train(trainer, 40)
    assert found.keys() == whole.keys()
    assert {"classifier.weight", "classifier.bias"} <= found.keys()
    for name, value in whole.items():
        torch.testing.assert_close(found[name], value, atol=5e-6, rtol=0, msg=name)
