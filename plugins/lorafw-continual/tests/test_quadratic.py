"""Penalties of many tasks are one, and have the values and gradients of their definition."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from lorafw_continual._anchored import Anchored
from lorafw_continual._quadratic import Quadratic

SHAPES = {"a": (3, 2), "b": (4,)}


def _values(seed: int, *, positive: bool = False) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drawn = {
        name: torch.randn(shape, generator=generator, dtype=torch.float64)
        for name, shape in SHAPES.items()
    }
    if positive:  # with parameters that do not matter at all
        return {name: each.clamp(min=0) for name, each in drawn.items()}
    return drawn


def _task(seed: int) -> Quadratic:
    return Quadratic(_values(seed, positive=True), _values(seed + 1))


def _by_definition(tasks: list[Quadratic], values: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack(
        [
            (task.weight[name] * (value - task.centre[name]) ** 2).sum()
            for task in tasks
            for name, value in values.items()
        ]
    ).sum()


@given(seed=st.integers(0, 10**6), count=st.integers(1, 5))
def test_a_sum_is_that_of_its_terms_with_their_gradient(seed: int, count: int) -> None:
    tasks = [_task(seed + 10 * at) for at in range(count)]
    total = tasks[0]
    for task in tasks[1:]:
        total = total.plus(task)
    values = {name: each.requires_grad_() for name, each in _values(seed + 5).items()}
    wanted, found = _by_definition(tasks, values), total(values)
    torch.testing.assert_close(found, wanted)
    both = [torch.autograd.grad(each, list(values.values())) for each in (found, wanted)]
    torch.testing.assert_close(both[0], both[1])


def test_ewc_adds_half_of_lambda_times_the_fisher_weighted_distance() -> None:
    task, values = _task(3), _values(7)
    guide = Anchored(values, task, 400.0 / 2)
    penalty = guide.penalty()
    assert penalty is not None
    torch.testing.assert_close(penalty, 200.0 * _by_definition([task], values))


def test_without_an_earlier_task_there_is_no_penalty() -> None:
    assert Anchored(_values(1), None, 200.0).penalty() is None


def test_online_ewc_fades_the_weights_and_moves_the_centre() -> None:
    first, second, values = _task(1), _task(4), _values(9)
    found = first.moved(0.5, second)
    weight = {name: 0.5 * first.weight[name] + second.weight[name] for name in SHAPES}
    wanted = _by_definition([Quadratic(weight, second.centre)], values)
    torch.testing.assert_close(found(values), wanted)
