"""Tokens are drawn from the probabilities that were asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lorafw.errors import UsageError
from lorafw.inference.generation.choosing import Chooser
from lorafw.inference.generation.sampling import Sampling

PROBABILITIES = torch.tensor([0.5, 0.3, 0.15, 0.05])
SCORES = PROBABILITIES.log()


def drawn(count: int, **wishes: Any) -> torch.Tensor:
    choose = Chooser(Sampling(temperature=1.0, **wishes))
    return torch.tensor([choose([0], [], SCORES) for _ in range(count)])


def test_draws_follow_the_probabilities() -> None:
    counts = torch.bincount(drawn(4000), minlength=4)
    assert (counts / 4000 - PROBABILITIES).abs().max() < 0.03


def test_a_temperature_sharpens_or_flattens() -> None:
    choose = Chooser(Sampling(temperature=0.5))
    squared = PROBABILITIES**2 / (PROBABILITIES**2).sum()
    counts = torch.bincount(
        torch.tensor([choose([0], [], SCORES) for _ in range(4000)]), minlength=4
    )
    assert (counts / 4000 - squared).abs().max() < 0.03


@pytest.mark.parametrize("wishes", [{"top_p": 0.7}, {"top_k": 2}])
def test_what_is_left_out_is_never_drawn(wishes: dict[str, Any]) -> None:
    assert set(drawn(300, **wishes).tolist()) == {0, 1}


def test_penalties_count_what_was_said() -> None:
    def likeliest(answer: list[int], **wishes: Any) -> int:
        return Chooser(Sampling(**wishes))([0], answer, SCORES)

    assert likeliest([], presence_penalty=2.0) == 0
    assert likeliest([0], presence_penalty=2.0) == 1
    assert likeliest([0], frequency_penalty=0.3) == 0
    assert likeliest([0, 0], frequency_penalty=0.3) == 1
    assert likeliest([], bias={3: 100.0}) == 3
    assert likeliest([], repetition_penalty=5.0) == 1  # the prompt counts


def test_the_models_scores_are_left_as_they_are() -> None:
    before = SCORES.clone()
    Chooser(Sampling(temperature=1.0, presence_penalty=1.0, bias={1: 3.0}))([0], [0], SCORES)
    assert torch.equal(SCORES, before)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": float("inf")},
        {"frequency_penalty": float("nan")},
        {"seed": 2**63},
        {"top_p": 0},
        {"max_new_tokens": 0},
        {"top_k": -1},
        {"repetition_penalty": 0},
        {"seed": -1},
        {"stop": ("",)},
        {"logprobs": -1},
    ],
)
def test_impossible_wishes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="needed"):
        Sampling(**wrong)


@pytest.mark.parametrize("temperature", [1e-8, 1e-40, 1e-300])
def test_next_to_no_temperature_takes_the_likeliest(temperature: float) -> None:
    scores = torch.tensor([-30.0, 0.0, 25.0, -torch.inf])
    choose = Chooser(Sampling(temperature=temperature, top_p=0.9, top_k=3))
    assert [choose([0], [], scores) for _ in range(20)] == [2] * 20


def test_one_text_ends_an_answer_as_a_whole() -> None:
    assert Sampling(stop="ab").stop == Sampling(stop=["ab"]).stop == ("ab",)
