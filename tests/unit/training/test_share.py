"""One rank's share of a step: other cuts of the same rows."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import TrainJob, World
from lorafw.testing.toy_training import ROWS, toy_model, training_plan, training_rows
from lorafw.testing.toys import ToyEncoder
from lorafw.training.share import Shares

JOB = TrainJob(
    model=toy_model(),
    objective=CausalLM(),
    encoder=ToyEncoder(),
    rows=training_rows(),
    plan=training_plan(),
)


def shares(ranks: int) -> list[Shares]:
    return [Shares(JOB, World(rank, ranks, torch.device("cpu"))) for rank in range(ranks)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 20), st.integers(1, 200), st.integers(1, 4))
def test_whatever_the_budget_the_rows_are_those_of_the_step(
    step: int, budget: int, ranks: int
) -> None:
    cuts = [one.of(step, budget) for one in shares(ranks)]
    parts = [part for cut in cuts for part in cut.parts if not part.filler]
    rows = sorted(row for part in parts for row in part.rows)
    assert rows == sorted(shares(1)[0].rows_of(step))
    for cut in cuts:
        assert len(cut.parts) == len(cut.batches)
    tokens = sum(one.tokens_of(cut) for one, cut in zip(shares(ranks), cuts, strict=True))
    assert tokens == sum(len(training_rows()[row].input_ids) for row in rows)


def test_an_epoch_has_as_many_steps_as_its_rows_fill() -> None:
    assert shares(1)[0].steps_per_epoch == -(-ROWS // 4)
