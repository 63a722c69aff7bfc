"""Adapters that cannot be combined, and parts that can only be averaged."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.unit.adapters.states import random_adapter

from lorafw.adapters.algebra.combinable import Part, check_parts, sides_of
from lorafw.errors import AdapterError, UsageError
from lorafw.types import AdapterSpec, AdapterState

ROWS = "embed.token_adapter.trainable_tokens_delta"


def with_head(fill: float, **spec: Any) -> AdapterState:
    extra = {"head.weight": torch.full((2, 2), fill)}
    return random_adapter(extra=extra, **{"trained": ("head",), **spec})


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        (random_adapter(use_dora=True), "b: is a DoRA adapter"),
        (
            random_adapter(shapes={"layers.0.q": (6, 7)}),
            "b: layers.0.q maps 7 features to 6, but 5 features to 6 in a. .* different bases",
        ),
        (
            random_adapter(shapes={"layers.0.q": (6, 5)}, embeddings=("layers.0.q",)),
            "maps 5 tokens to 6",
        ),
        (with_head(1.0), "b: trains other modules or token rows beside its factors than a"),
        (
            AdapterState(AdapterSpec(rank=0, alpha=0, targets=("a",), method="IA3"), {}),
            "b: holds no factors",
        ),
    ],
)
def test_what_does_not_fit_is_refused(other: AdapterState, fault: str) -> None:
    with pytest.raises(AdapterError, match=fault):
        check_parts([Part("a", random_adapter()), Part("b", other)])


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_weights_must_be_numbers(weight: float) -> None:
    with pytest.raises(UsageError, match="is no number"):
        check_parts([Part("a", random_adapter(), weight)])


def test_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="no adapter"):
        check_parts([])


def test_other_rows_of_tokens_are_refused() -> None:
    states = [
        random_adapter(extra={ROWS: torch.ones(1, 4)}, token_rows={"embed": (row,)})
        for row in (3, 4)
    ]
    with pytest.raises(AdapterError, match="token rows"):
        check_parts([Part("a", states[0]), Part("b", states[1])])


def test_equal_parts_stay_whatever_the_weights() -> None:
    parts = [Part("a", with_head(1.0), 3.0), Part("b", with_head(1.0), -1.0)]
    assert torch.equal(sides_of(parts)["head.weight"], torch.ones(2, 2))


def test_different_parts_are_averaged_if_that_is_exact() -> None:
    parts = [Part("a", with_head(1.0), 0.25), Part("b", with_head(5.0), 0.75)]
    assert torch.equal(sides_of(parts)["head.weight"], torch.full((2, 2), 4.0))
    assert sides_of(parts)["head.weight"].dtype == torch.float32


def test_different_parts_are_refused_if_it_is_not() -> None:
    parts = [Part("a", with_head(1.0)), Part("b", with_head(5.0))]
    with pytest.raises(AdapterError, match=r"differ in head\.weight.*add up to 1"):
        sides_of(parts)
