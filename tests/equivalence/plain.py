"""A drawn run written plainly: one process, one row at a time, no part of lorafw's loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from tests.equivalence.reference import Trace, start_values
from torch import Tensor, nn
from torch.nn import functional as F

from lorafw.contracts import ModelBundle
from lorafw.figures.classification import ClassCounts, figures
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.testing.toy_classifier import toy_classifier
from lorafw.testing.toys import toy_llama, toy_tokenizer
from lorafw.training.batches import shuffled
from lorafw.types import IGNORE_INDEX, Encoded

if TYPE_CHECKING:
    from tests.equivalence.drawn import Run

RANK, ALPHA = 4, 16.0


def token_model() -> ModelBundle:
    """The toy Llama."""
    return TransformersBundle(toy_llama(), toy_tokenizer(), base="toy")


def class_model() -> ModelBundle:
    """The toy BERT, whose head is trained whole."""
    return toy_classifier()


def train(run: Run) -> Trace:
    """The run's values and figures."""
    bundle = (token_model if run.objective == "causal-lm" else class_model)()
    model: Any = bundle.module.requires_grad_(False).eval()
    parameters = dict(_adapted(bundle, ALPHA / (RANK**0.5 if run.rslora else RANK)))
    plan, (rows, held_out) = run.plan, run.data
    measure = _measured_tokens if run.objective == "causal-lm" else _measured_classes
    trace = Trace(figures={f"before {n}": v for n, v in measure(model, held_out).items()})
    options = {"lr": plan.learning_rate, "betas": plan.betas, "eps": plan.eps}
    optimizer = torch.optim.AdamW(_groups(parameters, plan.weight_decay), **options)
    for batch in _batches(run, rows):
        _backward(model, batch)
        limit = float("inf") if run.clip is None else run.clip
        nn.utils.clip_grad_norm_(parameters.values(), limit)
        optimizer.step()
        optimizer.zero_grad()
    trace.parameters = {name: p.detach().clone() for name, p in parameters.items()}
    trace.figures |= {f"after {n}": v for n, v in measure(model, held_out).items()}
    return trace


def _adapted(bundle: ModelBundle, scaling: float) -> Iterator[tuple[str, nn.Parameter]]:
    """LoRA by forward hooks: y + scaling · x Aᵀ Bᵀ (arXiv:2106.09685); then trained heads."""
    factors: dict[str, nn.Parameter] = {}
    for name in bundle.lora_targets:
        layer: Any = bundle.module.get_submodule(name)
        a = nn.Parameter(torch.zeros(RANK, layer.in_features))
        b = nn.Parameter(torch.zeros(layer.out_features, RANK))
        factors |= {f"{name}.lora_A.weight": a, f"{name}.lora_B.weight": b}
        layer.register_forward_hook(_update(a, b, scaling))
    for name, value in start_values(factors).items():
        factors[name].data.copy_(value)
    yield from factors.items()
    for head in bundle.head_modules:
        for name, parameter in bundle.module.get_submodule(head).named_parameters(prefix=head):
            yield name, parameter.requires_grad_(True)


def _update(a: nn.Parameter, b: nn.Parameter, scaling: float) -> Callable[..., Tensor]:
    return lambda _module, inputs, output: output + scaling * (inputs[0] @ a.T @ b.T)


def _groups(parameters: dict[str, nn.Parameter], decay: float) -> list[dict[str, Any]]:
    """Vectors are not decayed."""
    return [
        {"params": [p for p in parameters.values() if p.dim() > 1], "weight_decay": decay},
        {"params": [p for p in parameters.values() if p.dim() < 2], "weight_decay": 0.0},
    ]


def _batches(run: Run, rows: list[Encoded]) -> Iterator[list[Encoded]]:
    """The rows of each step, epoch after epoch."""
    done = 0
    for epoch in range(run.steps):
        order = shuffled(len(rows), run.seed, epoch)
        for start in range(0, len(rows), run.batch):
            if done < run.steps:
                yield [rows[row] for row in order[start : start + run.batch]]
            done += 1


def _backward(model: Any, batch: list[Encoded]) -> None:
    """Gradients of the mean over the targets of a whole global batch, row by row."""
    targets = sum(row.targets for row in batch)
    for row in batch:
        scores, labels = _scored(model, row)
        loss = F.cross_entropy(scores, labels, ignore_index=IGNORE_INDEX, reduction="sum")
        torch.autograd.backward(loss / targets)


def _scored(model: Any, row: Encoded) -> tuple[Tensor, Tensor]:
    """Scores, and what they should point at: of each token the next, of a row its class."""
    logits = model(input_ids=torch.tensor([list(row.input_ids)])).logits
    if len(row.labels) == 1 and logits.dim() == 2:
        return logits, torch.tensor(list(row.labels))
    return logits[0, :-1], torch.tensor(list(row.labels[1:]))


@torch.no_grad()
def _measured_tokens(model: Any, rows: list[Encoded]) -> dict[str, float]:
    total = 0.0
    for row in rows:
        scores, labels = _scored(model, row)
        loss = F.cross_entropy(scores.double(), labels, ignore_index=IGNORE_INDEX, reduction="sum")
        total += float(loss)
    targets = sum(row.targets for row in rows)
    return {"loss": total / targets, "perplexity": math.exp(total / targets), "targets": targets}


@torch.no_grad()
def _measured_classes(model: Any, rows: list[Encoded]) -> dict[str, float]:
    scores = torch.cat([_scored(model, row)[0] for row in rows])
    actual = torch.tensor([row.labels[0] for row in rows])
    predicted = scores.argmax(-1)
    count = {"minlength": scores.shape[-1]}
    counts = ClassCounts(
        hits=torch.bincount(actual[actual == predicted], **count).tolist(),
        predicted=torch.bincount(predicted, **count).tolist(),
        actual=torch.bincount(actual, **count).tolist(),
    )
    loss = float(F.cross_entropy(scores.double(), actual))
    return {"loss": loss, **figures(counts), "rows": len(rows)}
