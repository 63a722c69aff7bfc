"""The optimizer every engine gets: built once, by core, over explicit groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from lorafw.assembly.optimizers import OptimizerChoice, chosen_optimizer
from lorafw.contracts.plan import TrainPlan
from lorafw.errors import ConfigError

_FUSES = ("cpu", "cuda")
"""Where torch's fused AdamW is never slower than the plain one."""


def build_optimizer(
    plan: TrainPlan,
    parameters: Mapping[str, nn.Parameter],
    scales: Mapping[str, float] = MappingProxyType({}),
) -> Optimizer:
    """The plan's optimizer, by default AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101).

    AdamW updates in one pass over memory where torch can; it differs from the plain one by
    rounding.

    Args:
        plan: the options.
        parameters: by name.
        scales: by which factor a parameter's learning rate differs from the plan's. Those of one
            factor are one group, which carries it as `lr_scale`; an engine multiplies the step's
            learning rate by it. Biases, norms and other vectors are not decayed, and are a group
            apart where matrices are.

    Raises:
        ConfigError: the plan's optimizer is unknown, or an option is not its.
    """
    choice = chosen_optimizer(plan)
    groups = _groups(plan, parameters, scales)
    arguments = {**choice.arguments, **_speed(choice, parameters.values())}
    build: Callable[..., Optimizer] = choice.kind
    try:
        return build(groups, lr=plan.learning_rate, **arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"optimizer {plan.optimizer} cannot be built: {error}.", where="plan.optimizer_options"
        ) from error


def _groups(
    plan: TrainPlan, parameters: Mapping[str, nn.Parameter], scales: Mapping[str, float]
) -> list[dict[str, Any]]:
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        decay = plan.weight_decay if _is_matrix(parameter) else 0.0
        found.setdefault((scales.get(name, 1.0), decay), []).append(parameter)
    return [
        {"params": held, "lr_scale": scale, "weight_decay": decay}
        for (scale, decay), held in found.items()
    ]


def _is_matrix(parameter: nn.Parameter) -> bool:
    # ZeRO-3 empties what it has partitioned, and notes the shape.
    return len(getattr(parameter, "ds_shape", parameter.shape)) > 1


def _speed(choice: OptimizerChoice, parameters: Iterable[nn.Parameter]) -> dict[str, Any]:
    """The fused form of torch's AdamW where it can be, unless the user chose a form."""
    told = choice.arguments.keys() & {"fused", "foreach", "capturable", "differentiable"}
    can = all(p.device.type in _FUSES and p.is_floating_point() for p in parameters)
    return {"fused": True} if choice.kind is torch.optim.AdamW and can and not told else {}


def set_learning_rate(groups: Iterable[dict[str, object]], learning_rate: float) -> None:
    """Give every group its share of the step's learning rate."""
    for group in groups:
        scale = group.get("lr_scale", 1.0)
        assert isinstance(scale, float)
        group["lr"] = learning_rate * scale
