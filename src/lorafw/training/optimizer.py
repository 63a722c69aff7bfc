"""The optimizer every engine gets: built once, by core, over explicit groups."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from lorafw.contracts.plan import TrainPlan


def build_optimizer(plan: TrainPlan, parameters: Iterable[nn.Parameter]) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) with the plan's options.

    Each group carries `lr_scale`, by which an engine multiplies the step's learning rate.
    """
    groups = [{"params": list(parameters), "lr_scale": 1.0, "weight_decay": plan.weight_decay}]
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=plan.betas, eps=plan.eps)


def set_learning_rate(groups: Iterable[dict[str, object]], learning_rate: float) -> None:
    """Give every group its share of the step's learning rate."""
    for group in groups:
        scale = group.get("lr_scale", 1.0)
        assert isinstance(scale, float)
        group["lr"] = learning_rate * scale
