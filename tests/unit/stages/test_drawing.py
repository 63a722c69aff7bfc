"""Draws depend on values, seed, name and place, end where they shall, and are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.stages.drill import session

from lorafw.contracts import RunningTrainer
from lorafw.errors import UsageError
from lorafw.session import RunSession
from lorafw.testing.toy_training import started
from lorafw.types import IGNORE_INDEX, Encoded
from lorafw_ddp.trainer import DDPTrainer

Draws = Sequence[Sequence[int]]
LONGEST = 5


@pytest.fixture(scope="module")
def running() -> Iterator[RunningTrainer]:
    with started(DDPTrainer()) as found:
        yield found


@pytest.fixture
def here(running: RunningTrainer, tmp_path: Path) -> RunSession:
    return session(running, tmp_path)


def drawn(here: RunSession, name: str, *firsts: int, **wishes: Any) -> Draws:
    """What follows on prompts of two tokens, of which the second is always the same."""
    prompts = [Encoded([first, 9], [IGNORE_INDEX] * 2) for first in firsts]
    return here.draw(name, prompts, **{"new_tokens": LONGEST, "ends": (), **wishes})


def test_the_place_and_the_name_tell_draws_apart_and_company_does_not(
    running: RunningTrainer, here: RunSession, tmp_path: Path
) -> None:
    many = drawn(here, "a/b", *[7] * 40)
    assert len({tuple(ids) for ids in many}) > 30
    assert drawn(here, "a/c", *[7] * 40) != many
    other = session(running, tmp_path / "other")
    assert drawn(other, "a/b", *[7] * 3) == many[:3]


def test_the_likeliest_tokens_are_those_of_the_live_model(here: RunSession) -> None:
    (cold,) = drawn(here, "cold", 7, temperature=0.0)
    (only,) = drawn(here, "only", 7, top_k=1)
    model, ids = here.model.bundle.module, [7, 9]
    for _ in range(LONGEST):
        ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    assert cold == only == ids[2:]


def test_tokens_come_as_often_as_the_model_says(here: RunSession) -> None:
    count, model = 1500, here.model.bundle.module
    found = drawn(here, "often", *[7] * count, new_tokens=1, temperature=0.8)
    logits = model(input_ids=torch.tensor([[7, 9]])).logits[0, -1].detach().double()
    chances = (logits / 0.8).softmax(-1)
    counts = torch.bincount(torch.tensor([ids[0] for ids in found]), minlength=64)
    squared = float(((counts - count * chances) ** 2 / (count * chances)).sum())
    assert squared < 63 + 4.5 * (2 * 63) ** 0.5  # chi-squared of 63 degrees of freedom


def test_an_end_is_the_last_of_a_draw(here: RunSession) -> None:
    (whole,) = drawn(here, "whole", 7, temperature=0.0)
    (cut,) = drawn(here, "cut", 7, temperature=0.0, ends=(whole[2],))
    assert cut == whole[: whole.index(whole[2]) + 1]


def test_drawing_leaves_the_model_as_it_was(here: RunSession) -> None:
    before = here.values()
    drawn(here, "some", 7)
    after = here.values()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_resumed_run_does_not_draw_again(running: RunningTrainer, tmp_path: Path) -> None:
    first = session(running, tmp_path)
    found = drawn(first, "some", 7, 8)
    again = session(running, tmp_path, resume=True)
    again.load({name: value * 2 for name, value in again.values().items()})
    assert drawn(again, "some", 7, 8) == found
    assert drawn(again, "others", 7, 8) != found


def test_nothing_follows_on_nothing(here: RunSession) -> None:
    assert drawn(here, "none") == []
    with pytest.raises(UsageError, match="the prompt is empty"):
        here.draw("empty", [Encoded([], [])], new_tokens=3, ends=())
    with pytest.raises(UsageError, match="max_new_tokens >= 1"):
        drawn(here, "short", 7, new_tokens=0)
