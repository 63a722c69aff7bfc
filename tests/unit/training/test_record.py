"""The account of a fit: what is told, and what a checkpoint keeps."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import TrainJob, World
from lorafw.testing.toy_training import toy_model, training_plan
from lorafw.testing.toys import ToyEncoder
from lorafw.training.best import Judge
from lorafw.training.checkpoints.progress import Checkpoint
from lorafw.training.loss_scaling import Scale
from lorafw.training.record import Record
from lorafw.training.step import StepReport

GOOD = StepReport(
    loss=2.0, learning_rate=1e-3, grad_norm=1.0, tokens=10, seconds=0.5, skipped=False
)
BAD = replace(GOOD, loss=math.nan, skipped=True)


@pytest.fixture
def told() -> list[tuple[str, dict[str, Any]]]:
    return []


@pytest.fixture
def record(told: list[tuple[str, dict[str, Any]]]) -> Record:
    plan = training_plan()
    job = TrainJob(
        model=toy_model(),
        objective=CausalLM(),
        encoder=ToyEncoder(),
        rows=[],
        plan=plan,
        emit=lambda event, **payload: told.append((event, payload)),
    )
    return Record(job, World(0, 1, torch.device("cpu")), Judge(plan, job.objective), steps=5)


def test_a_loss_that_is_not_finite_is_told_and_not_kept(
    record: Record, told: list[tuple[str, dict[str, Any]]]
) -> None:
    for report in (BAD, GOOD, replace(GOOD, loss=1.0), BAD):
        record.add_step(report, None, steps_per_epoch=4)
    kept = record.progress
    assert (kept.step, kept.first_loss, kept.last_loss, kept.skipped_steps) == (4, 2.0, 1.0, 2)
    payloads = [payload for event, payload in told if event == "step_end"]
    assert [payload["skipped"] for payload in payloads] == [True, False, False, True]
    assert math.isnan(payloads[0]["loss"])
    assert payloads[-1]["epoch"] == 1
    result = record.finish({"loss": 3.0}, "finished")
    assert (result.skipped_steps, result.tokens, result.seconds) == (2, 40, 2.0)


def test_progress_survives_json_with_its_scale(record: Record) -> None:
    from dataclasses import asdict
    from json import dumps, loads

    record.begin(Checkpoint(step=3))
    record.add_step(GOOD, Scale(512.0, good_steps=7), steps_per_epoch=4)
    record.add_evaluation({"loss": 1.5})
    again = Checkpoint.from_mapping(loads(dumps(asdict(record.progress))))
    assert again == record.progress
    assert again.scale == Scale(512.0, good_steps=7)
