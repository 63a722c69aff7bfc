from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest
import torch

from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import RunningTrainer, TrainJob
from lorafw.testing.reference import backward, gradients
from lorafw.testing.toy_training import SEED, started, toy_model, training_plan, training_rows
from lorafw.testing.toys import ToyEncoder
from lorafw.training.row_gradients import RowGradients
from lorafw.types import Layout
from lorafw_ddp.trainer import DDPTrainer

if TYPE_CHECKING:
    from torch import Tensor

CLOSE = 1e-5


@pytest.fixture(scope="module")
def running() -> Iterator[RunningTrainer]:
    with started(DDPTrainer()) as found:
        yield found


def job(budget: int = 10_000, layout: Layout = Layout.SEGMENTS) -> TrainJob:
    return TrainJob(
        model=toy_model(),
        objective=CausalLM(chunk_rows=16),
        encoder=ToyEncoder(),
        rows=training_rows(),
        plan=training_plan(micro_batch_tokens=budget),
        layout=layout,
        seed=SEED,
    )


def off(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> float:
    assert found.keys() == wanted.keys()
    return max(
        float((found[name] - value).abs().max() / value.abs().max())
        for name, value in wanted.items()
    )


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("budget", [1, 60, 10_000])
def test_the_mean_is_that_of_a_plain_backward_pass(
    running: RunningTrainer, budget: int, layout: Layout
) -> None:
    rows, reference = training_rows()[:6], toy_model()
    backward(reference.bundle.module, rows)
    wanted = gradients(dict(reference.trainable()))
    found = RowGradients(job(budget, layout), running, rows).mean()
    assert off(found, wanted) <= CLOSE


def test_the_squared_one_is_the_mean_of_the_rows_own_squares(running: RunningTrainer) -> None:
    rows, wanted = training_rows()[:5], dict[str, torch.Tensor]()
    for row in rows:
        reference = toy_model()
        backward(reference.bundle.module, [row])
        for name, gradient in gradients(dict(reference.trainable())).items():
            square = (gradient * row.targets).square() / len(rows)
            wanted[name] = wanted.get(name, torch.zeros_like(square)) + square
    found = RowGradients(job(), running, rows).mean_squared()
    assert off(found, wanted) <= CLOSE


def test_nothing_is_left_in_the_parameters(running: RunningTrainer) -> None:
    work = job()
    RowGradients(work, running, training_rows()[:2]).mean()
    assert all(parameter.grad is None for parameter in work.model.trainable().values())
