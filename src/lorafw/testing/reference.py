"""The toy training written plainly: one process, one row at a time, no part of lorafw's loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lorafw.testing.toy_training import (
    GLOBAL_BATCH,
    ROWS,
    SEED,
    STEPS,
    toy_model,
    training_plan,
    training_rows,
)
from lorafw.training.batches import shuffled
from lorafw.types import IGNORE_INDEX, Encoded


@dataclass
class Reference:
    """What the toy training must show; gradients are those before clipping."""

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    gradients: list[Mapping[str, Tensor]] = field(default_factory=list)
    values: Mapping[str, Tensor] = field(default_factory=dict)


def train_plainly() -> Reference:
    """Five AdamW steps, the loss a mean over the trained tokens of a global batch."""
    model, plan, seen = toy_model(), training_plan(), Reference()
    parameters = dict(model.trainable())
    optimizer = torch.optim.AdamW(
        parameters.values(),
        lr=plan.learning_rate,
        betas=plan.betas,
        eps=plan.eps,
        weight_decay=plan.weight_decay,
    )
    assert plan.max_grad_norm is not None
    for rows in global_batches():
        seen.losses.append(backward(model.bundle.module, rows))
        seen.gradients.append(gradients(parameters))
        norm = nn.utils.clip_grad_norm_(parameters.values(), plan.max_grad_norm)
        seen.norms.append(float(norm))
        optimizer.step()
        optimizer.zero_grad()
    seen.values = model.state().tensors
    return seen


def global_batches() -> list[list[Encoded]]:
    """The rows of each step."""
    data, batches = training_rows(), []
    for epoch in range(2):
        order = [int(row) for row in shuffled(ROWS, SEED, epoch)]
        batches += [order[i : i + GLOBAL_BATCH] for i in range(0, ROWS, GLOBAL_BATCH)]
    return [[data[row] for row in batch] for batch in batches[:STEPS]]


def backward(model: Any, rows: Sequence[Encoded]) -> float:
    """Add the gradients of a global batch; its loss."""
    targets, total = sum(row.targets for row in rows), 0.0
    for row in rows:
        logits = model(input_ids=torch.tensor([list(row.input_ids)])).logits[0, :-1]
        labels = torch.tensor(list(row.labels[1:]))
        loss = F.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction="sum") / targets
        torch.autograd.backward(loss)
        total += float(loss.detach())
    return total


def gradients(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Copies of all gradients."""
    found = {name: parameter.grad for name, parameter in parameters.items()}
    return {name: grad.clone() for name, grad in found.items() if grad is not None}
