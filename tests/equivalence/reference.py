"""The same training written plainly: one process, one row at a time, no part of lorafw's loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lorafw.contracts._adapter_values import fresh_values
from lorafw.testing.reference import global_batches
from lorafw.testing.toy_training import CLIP, SEED, training_plan
from lorafw.testing.toys import toy_llama
from lorafw.types import IGNORE_INDEX, Encoded

RANK, ALPHA = 4, 16.0


@dataclass
class Trace:
    """What a training run showed, step by step."""

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    gradients: list[dict[str, Tensor]] = field(default_factory=list)
    parameters: dict[str, Tensor] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def start_values(parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """Fresh values, but B random: with B = 0 the first gradient of A is zero and tells nothing."""
    values = fresh_values(parameters, SEED)
    generator = torch.Generator().manual_seed(SEED)
    for name in values:
        if name.endswith("lora_B.weight"):
            values[name] = torch.randn(values[name].shape, generator=generator) * 0.1
    return values


def train() -> Trace:
    """Five AdamW steps on the toy model with LoRA on every linear of its layers."""
    return follow(*adapted_toy())


def follow(model: Any, parameters: dict[str, nn.Parameter]) -> Trace:
    """Five AdamW steps of these parameters of a model."""
    options = training_plan()
    optimizer = torch.optim.AdamW(
        parameters.values(),
        lr=options.learning_rate,
        betas=options.betas,
        eps=options.eps,
        weight_decay=options.weight_decay,
    )
    trace = Trace()
    for batch in global_batches():
        trace.losses.append(_backward(model, batch))
        trace.gradients.append(
            {n: p.grad.clone() for n, p in parameters.items() if p.grad is not None}
        )
        norm = nn.utils.clip_grad_norm_(parameters.values(), CLIP)
        trace.norms.append(float(norm))
        optimizer.step()
        optimizer.zero_grad()
    trace.parameters = {name: p.detach().clone() for name, p in parameters.items()}
    return trace


def _backward(model: Any, batch: list[Encoded]) -> float:
    targets = sum(label != IGNORE_INDEX for row in batch for label in row.labels[1:])
    total = 0.0
    for row in batch:
        logits = model(input_ids=torch.tensor([list(row.input_ids)])).logits[0, :-1]
        labels = torch.tensor(list(row.labels[1:]))
        loss = F.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction="sum") / targets
        loss.backward()
        total += float(loss.detach())
    return total


def adapted_toy(**config: Any) -> tuple[Any, dict[str, nn.Parameter]]:
    """LoRA by forward hooks: y + (alpha / r) · x Aᵀ Bᵀ (arXiv:2106.09685, eq. 3)."""
    model = toy_llama(**config).requires_grad_(False).eval()
    parameters: dict[str, nn.Parameter] = {}
    for name, module in model.model.layers.named_modules(prefix="model.layers"):
        if isinstance(module, nn.Linear):
            a = nn.Parameter(torch.zeros(RANK, module.in_features))
            b = nn.Parameter(torch.zeros(module.out_features, RANK))
            parameters |= {f"{name}.lora_A.weight": a, f"{name}.lora_B.weight": b}
            module.register_forward_hook(_add_update(a, b))
    for name, value in start_values(parameters).items():
        parameters[name].data.copy_(value)
    return model, parameters


def _add_update(a: nn.Parameter, b: nn.Parameter) -> Any:
    return lambda _module, inputs, output: output + (ALPHA / RANK) * (inputs[0] @ a.T @ b.T)
