"""The optimizer that a plan asks for, over its groups, and what it remembers."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lorafw.contracts import TrainPlan
from lorafw.errors import CheckpointError, ConfigError
from lorafw.training.optimizer import build_optimizer, set_learning_rate
from lorafw.training.optimizer_memory import OptimizerMemory

BITS = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not here")
QUIET = pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU")
EVERY = [
    "adamw",
    "adafactor",
    "sgd",
    *(f"torch.optim.{name}" for name in ("RMSprop", "Adagrad", "NAdam", "Rprop", "ASGD", "Muon")),
    *(
        pytest.param(name, marks=[BITS, QUIET])
        for name in ("lion", "adamw-8bit", "paged-adamw", "paged-adamw-8bit")
    ),
    f"{__name__}:Counting",
]
SHAPES = {"a": (64, 80), "b": (80, 64)}


class Counting(torch.optim.SGD):
    """Remembers a number in its groups, as Prodigy and schedule-free optimizers do."""

    def __init__(self, params: Any, lr: float = 1e-3, weight_decay: float = 0.0) -> None:
        super().__init__(params, lr, weight_decay=weight_decay)
        for group in self.param_groups:
            group["done"] = 0

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            group["done"] += 1
            group["lr"] = group["lr"] / group["done"]
        super().step(closure)


class Hoarding(torch.optim.SGD):
    """Remembers what no checkpoint can hold."""

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        super().step(closure)
        for parameter in self.param_groups[0]["params"]:
            self.state[parameter]["seen"] = [1, 2, 3]


def plan(optimizer: str = "adamw", **options: Any) -> TrainPlan:
    return TrainPlan(optimizer=optimizer, learning_rate=1e-2, **options)


def fresh() -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: nn.Parameter(torch.randn(shape, generator=generator))
        for name, shape in SHAPES.items()
    }


def advance(optimizer: torch.optim.Optimizer, parameters: dict[str, nn.Parameter], at: int) -> None:
    generator = torch.Generator().manual_seed(100 + at)
    for parameter in parameters.values():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    set_learning_rate(optimizer.param_groups, 1e-2 / (1 + at))
    optimizer.step()


Kept = dict[str, tuple[Tensor, dict[str, Tensor]]]


def run(name: str, steps: range, kept: Kept | None = None) -> Kept:
    """Values and memories after these steps, begun anew or from what was kept."""
    parameters = fresh()
    optimizer = build_optimizer(plan(name), parameters, {"b": 2.0})
    memory = OptimizerMemory(optimizer)
    for key, parameter in parameters.items():
        if kept:
            parameter.data.copy_(kept[key][0])
            memory.restore(parameter, kept[key][1])
    for at in steps:
        advance(optimizer, parameters, at)
    return {key: (p.detach().clone(), memory.of(p)) for key, p in parameters.items()}


@pytest.mark.parametrize("name", EVERY)
def test_it_goes_on_from_what_it_remembered(name: str) -> None:
    first = run(name, range(3))
    resumed, whole = run(name, range(3, 6), first), run(name, range(6))
    for key in SHAPES:
        assert not torch.equal(resumed[key][0], first[key][0])
        assert torch.equal(resumed[key][0], whole[key][0])
        assert resumed[key][1].keys() == whole[key][1].keys()
        assert all(torch.equal(t, whole[key][1][what]) for what, t in resumed[key][1].items())


@pytest.mark.parametrize("name", EVERY)
def test_without_a_memory_it_is_as_new(name: str) -> None:
    parameters = fresh()
    optimizer = build_optimizer(plan(name), parameters, {"b": 2.0})
    memory = OptimizerMemory(optimizer)
    advance(optimizer, parameters, 0)
    advance(optimizer, parameters, 1)
    for key, value in fresh().items():
        parameters[key].data.copy_(value)
        memory.restore(parameters[key], {})
    advance(optimizer, parameters, 0)
    wanted = run(name, range(1))
    assert all(torch.equal(parameters[key], wanted[key][0]) for key in SHAPES)


def test_what_no_checkpoint_can_hold_is_named() -> None:
    with pytest.raises(CheckpointError, match="keeps a list as 'seen', and checkpoints hold"):
        run(f"{__name__}:Hoarding", range(1))


@BITS
def test_lion_is_that_of_its_paper() -> None:
    """Chen et al. 2023, arXiv:2302.06675, algorithm 2."""
    parameters = fresh()
    values = {key: p.detach().clone() for key, p in parameters.items()}
    momentum = {key: torch.zeros_like(value) for key, value in values.items()}
    optimizer = build_optimizer(plan("lion", weight_decay=0.1), parameters)
    for at in range(4):
        advance(optimizer, parameters, at)
        rate = 1e-2 / (1 + at)
        for key, parameter in parameters.items():
            assert parameter.grad is not None
            update = (0.9 * momentum[key] + 0.1 * parameter.grad).sign()
            values[key] -= rate * (update + 0.1 * values[key])
            momentum[key] = 0.99 * momentum[key] + 0.01 * parameter.grad
    assert all(torch.allclose(p, values[key], atol=1e-6) for key, p in parameters.items())


def test_the_fused_form_differs_from_the_plain_one_by_rounding() -> None:
    values = []
    for options in ({}, {"fused": False, "foreach": False}):
        parameters = fresh()
        optimizer = build_optimizer(plan(optimizer_options=options), parameters)
        assert optimizer.param_groups[0]["fused"] is (not options)
        for at in range(5):
            advance(optimizer, parameters, at)
        values.append(parameters)
    fused, plain = values
    assert all(torch.allclose(fused[key], plain[key], rtol=0, atol=1e-6) for key in SHAPES)


def test_vectors_are_not_decayed_and_scales_are_kept() -> None:
    parameters = {
        name: nn.Parameter(torch.ones(shape))
        for name, shape in {
            "lora_A": (2, 3),
            "lora_B": (3, 2),
            "norm.weight": (3,),
            "head.bias": (2,),
        }.items()
    }
    optimizer = build_optimizer(plan(weight_decay=0.1), parameters, {"lora_B": 16.0})
    found = {
        name: (group["lr_scale"], group["weight_decay"])
        for group in optimizer.param_groups
        for name, parameter in parameters.items()
        if any(parameter is held for held in group["params"])
    }
    assert found == {
        "lora_A": (1.0, 0.1),
        "lora_B": (16.0, 0.1),
        "norm.weight": (1.0, 0.0),
        "head.bias": (1.0, 0.0),
    }


def test_without_decay_nothing_is_a_group_apart() -> None:
    parameters = {"a": nn.Parameter(torch.ones(2, 2)), "bias": nn.Parameter(torch.ones(2))}
    assert len(build_optimizer(plan(), parameters).param_groups) == 1


def test_values_that_the_class_refuses_are_a_config_error() -> None:
    with pytest.raises(ConfigError, match="optimizer sgd cannot be built: Invalid momentum"):
        build_optimizer(plan("sgd", optimizer_options={"momentum": -1.0}), fresh())
