from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from lorafw.errors import UsageError
from lorafw.inference.continuation import Sampling, SeededDraws, continue_rows
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.testing.toys import toy_bundle, toy_gpt2_bundle, toy_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorafw.contracts.model import ModelBundle

ROWS = [[1, 5, 9, 7, 11, 4, 6], [1, 6], [1, 12, 8, 4]]
NEVER: list[tuple[int, ...]] = [(), (), ()]


def mistral() -> ModelBundle:
    """A window shorter than the rows, so that padding could shift it."""
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=4,
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TransformersBundle(MistralForCausalLM(config), toy_tokenizer(), base="toy")


@pytest.mark.parametrize("make", [toy_bundle, toy_gpt2_bundle, mistral])
def test_rows_of_unequal_length_go_on_as_each_would_alone(
    make: Callable[[], ModelBundle],
) -> None:
    bundle, sampling = make(), Sampling(max_new_tokens=12)
    together = continue_rows(bundle, ROWS, NEVER, sampling)
    assert together == [continue_rows(bundle, [row], [()], sampling)[0] for row in ROWS]
    assert len({tuple(row) for row in together}) > 1


def test_each_row_ends_at_its_own_stop() -> None:
    bundle = toy_bundle()
    free = continue_rows(bundle, ROWS, NEVER, Sampling(max_new_tokens=8))
    stops = [(free[0][2],), (), (free[2][4],)]
    found = continue_rows(bundle, ROWS, stops, Sampling(max_new_tokens=8))
    first, last = free[0].index(free[0][2]), free[2].index(free[2][4])
    assert found == [free[0][: first + 1], free[1], free[2][: last + 1]]


def test_draws_follow_the_probabilities() -> None:
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    scores = probabilities.log()[None].expand(4000, 4)
    drawn = SeededDraws(Sampling(temperature=1.0), 1)
    ids = torch.zeros(1, 1, dtype=torch.long)
    counts = torch.zeros(4)
    for row in scores:
        counts[int(drawn(ids, row[None]).argmax())] += 1
    assert (counts / 4000 - probabilities).abs().max() < 0.03


def test_what_top_p_leaves_out_is_never_drawn() -> None:
    scores = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    drawn = SeededDraws(Sampling(temperature=1.0, top_p=0.7), 1)
    ids = torch.zeros(1, 1, dtype=torch.long)
    assert {int(drawn(ids, scores).argmax()) for _ in range(300)} == {0, 1}


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_p": 0}, {"max_new_tokens": 0}])
def test_impossible_wishes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="needed"):
        Sampling(**wrong)
