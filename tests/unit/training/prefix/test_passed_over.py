"""Lower layers run as ever or are passed over, whatever they take and return."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lorafw.errors import ConfigError
from lorafw.training.prefix.passed_over import Prefix

ROWS = torch.arange(6.0).view(2, 3)


class Bare(nn.Module):
    def forward(self, rows: Tensor, **_: Any) -> Any:
        return rows + 1


class Tuple(nn.Module):
    def forward(self, hidden_states: Tensor, mask: Tensor | None = None) -> Any:
        return hidden_states + 1, mask


class Wider(nn.Module):
    def forward(self, rows: Tensor) -> Any:
        return torch.cat([rows, rows])


def run_bare(layers: list[nn.Module], rows: Tensor) -> Tensor:
    for layer in layers:
        rows = layer(rows)
    return rows


def run_tuples(layers: list[nn.Module], rows: Tensor) -> Tensor:
    for layer in layers:
        rows, _ = layer(hidden_states=rows, mask=torch.ones(2))
    return rows


def test_an_objective_may_run_the_model_more_than_once() -> None:
    layers: list[nn.Module] = [Bare() for _ in range(4)]
    prefix, kept = Prefix(layers[:3]), list[Tensor]()
    with prefix.computed(kept.append):
        first, second = run_bare(layers, ROWS), run_bare(layers, ROWS)
    assert torch.equal(first, second)
    assert len(kept) == 1
    assert torch.equal(kept[0], ROWS + 2)


@pytest.mark.parametrize(("kind", "run"), [(Bare, run_bare), (Tuple, run_tuples)])
def test_the_adapted_layer_gets_what_was_kept(kind: type[nn.Module], run: Any) -> None:
    layers = [kind() for _ in range(4)]
    prefix, kept = Prefix(layers[:3]), list[Tensor]()
    with prefix.computed(kept.append):
        whole = run(layers, ROWS)
    assert torch.equal(kept[0], ROWS + 2)
    shapes: list[torch.Size] = []

    def given(shape: torch.Size) -> Tensor:
        shapes.append(shape)
        return kept[0]

    with prefix.passed_over(given):
        assert torch.equal(run(layers, ROWS), whole)
        assert torch.equal(run(layers, torch.zeros(2, 3)), whole)
    assert shapes == [ROWS.shape, ROWS.shape]
    assert torch.equal(run(layers, ROWS), whole)
    assert not [layer for layer in layers if "forward" in vars(layer)]


def test_layers_below_are_not_run_and_a_forward_of_someone_else_comes_back() -> None:
    layers: list[Any] = [Bare() for _ in range(3)]
    calls: list[int] = []
    own = layers[0].forward

    def counted(rows: Tensor) -> Any:
        calls.append(1)
        return own(rows)

    layers[0].forward = counted
    prefix = Prefix(layers[:2])
    with prefix.computed(lambda _: None):
        run_bare(layers, ROWS)
    assert len(calls) == 1
    with prefix.passed_over(lambda _: ROWS):
        run_bare(layers, ROWS)
    assert len(calls) == 1
    assert layers[0].forward is counted


def test_all_is_as_before_when_a_pass_fails() -> None:
    layers: list[nn.Module] = [Bare(), Bare()]

    def fail(_: Tensor) -> None:
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"), Prefix(layers).computed(fail):
        run_bare(layers, ROWS)
    assert not [layer for layer in layers if "forward" in vars(layer)]


def test_layers_that_change_the_form_are_refused() -> None:
    layers: list[nn.Module] = [Wider(), Bare()]
    with (
        pytest.raises(ConfigError, match="take more from the lower ones"),
        Prefix(layers).computed(lambda _: None),
    ):
        run_bare(layers, ROWS)


def test_rows_that_want_a_gradient_are_refused_both_ways() -> None:
    layers: list[nn.Module] = [Bare(), Bare()]
    prefix, wanting = Prefix(layers), ROWS.clone().requires_grad_()
    with prefix.computed(lambda _: None):
        run_bare(layers, ROWS)
    ways = (lambda: prefix.computed(lambda _: None), lambda: prefix.passed_over(lambda _: ROWS))
    for way in ways:
        with pytest.raises(ConfigError, match="before the model's first layer"), way():
            run_bare(layers, wanting)
