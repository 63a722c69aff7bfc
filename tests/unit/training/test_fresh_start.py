"""Which rows a fresh adapter is shown, and how ranks come to agree on where it starts."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import TrainJob
from lorafw.contracts.engine import World
from lorafw.testing.toy_training import toy_model, training_plan, training_rows
from lorafw.testing.toys import ToyEncoder
from lorafw.training.batches import shuffled
from lorafw.training.fresh_start import first_batches, start_from_rows
from lorafw.types import Batch, Layout

CPU = torch.device("cpu")


@pytest.fixture
def job() -> TrainJob:
    model: Any = toy_model()
    model.start_rows = 5
    parts: dict[str, Any] = {"objective": CausalLM(), "encoder": ToyEncoder()}
    plan = training_plan(micro_batch_tokens=60)
    return TrainJob(
        model=model, rows=training_rows(), plan=plan, layout=Layout.SEGMENTS, seed=3, **parts
    )


def lengths(batches: list[Batch]) -> list[int]:
    """Of the rows in some batches, the longest first."""
    found = [batch.inputs["cu_seqlens"].diff().tolist() for batch in batches]
    return sorted((length for batch in found for length in batch), reverse=True)


def running(rank: int, world_size: int, box: list[Any]) -> Any:
    """A trainer whose rank 0 leaves what it shares in a box, where others find it."""

    def share(value: Any) -> Any:
        if rank == 0:
            box.append(value)
        return box[0]

    return SimpleNamespace(world=World(rank, world_size, CPU), share=share)


def test_the_rows_are_those_that_training_begins_with(job: TrainJob) -> None:
    rows = [job.rows[int(row)] for row in shuffled(len(job.rows), job.seed, 0)]
    wanted = sorted((len(row.input_ids) for row in rows[:5]), reverse=True)
    found = first_batches(job, 5, CPU)
    assert lengths(found) == wanted
    assert len(found) > 1
    assert all(len(batch.inputs["input_ids"]) <= 60 for batch in found)
    other = first_batches(replace(job, seed=4), 5, CPU)
    assert lengths(other) != wanted


def test_all_rows_are_shown_where_more_are_asked_for_than_there_are(job: TrainJob) -> None:
    assert len(lengths(first_batches(job, 1000, CPU))) == len(job.rows)


def test_rank_0_alone_looks_and_the_others_take_its_values_over(job: TrainJob) -> None:
    first: Any = job.model
    second: Any = toy_model()
    second.start_rows = 5
    box: list[Any] = []
    looked: list[int] = []

    def start_from(batches: list[Batch], _objective: object) -> None:
        looked.append(len(lengths(batches)))
        first.load_state({name: p.detach() + 1 for name, p in first.trainable().items()})

    first.start_from, second.start_from = start_from, None
    start_from_rows(job, running(0, 2, box))
    start_from_rows(replace(job, model=second), running(1, 2, box))
    assert looked == [5]
    for name, parameter in second.trainable().items():
        assert torch.equal(parameter, first.trainable()[name])


def test_an_adapter_that_asks_for_no_rows_is_shown_none(job: TrainJob) -> None:
    model: Any = job.model
    model.start_rows, model.start_from = 0, None
    start_from_rows(job, running(0, 1, []))
