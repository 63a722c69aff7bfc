"""The optimizer every engine gets: built once, by core, over explicit groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import torch
from torch import nn

from lorafw.contracts.plan import TrainPlan


def build_optimizer(
    plan: TrainPlan,
    parameters: Mapping[str, nn.Parameter],
    scales: Mapping[str, float] = MappingProxyType({}),
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) with the plan's options.

    Args:
        plan: the options.
        parameters: by name.
        scales: by which factor a parameter's learning rate differs from the plan's. Those of one
            factor are one group, which carries it as `lr_scale`; an engine multiplies the step's
            learning rate by it.
    """
    by_scale: dict[float, list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        by_scale.setdefault(scales.get(name, 1.0), []).append(parameter)
    groups = [
        {"params": held, "lr_scale": scale, "weight_decay": plan.weight_decay}
        for scale, held in by_scale.items()
    ]
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=plan.betas, eps=plan.eps)


def set_learning_rate(groups: Iterable[dict[str, object]], learning_rate: float) -> None:
    """Give every group its share of the step's learning rate."""
    for group in groups:
        scale = group.get("lr_scale", 1.0)
        assert isinstance(scale, float)
        group["lr"] = learning_rate * scale
