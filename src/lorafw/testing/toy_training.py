"""A small training run, the same for every trainer, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import FitResult, RunningTrainer, Trainer, TrainJob, TrainPlan
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import ToyEncoder, toy_bundle, toy_rows
from lorafw.testing.values import as_if_trained
from lorafw.types import Encoded, Layout

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lorafw.contracts import AdaptedModel

STEPS = 5
ROWS, GLOBAL_BATCH = 13, 4
"""Thirteen rows in batches of four: the last step of an epoch has one row, so one of two ranks
has none."""
CLIP = 5.0
"""Between the gradient norms of these steps: some are clipped and some are not."""
SEED = 1


def training_rows() -> list[Encoded]:
    """Ragged rows."""
    return toy_rows(ROWS, seed=5)


def training_plan(**changes: Any) -> TrainPlan:
    """AdamW at a fixed rate; eps as large as the tolerance needs where gradients are near zero."""
    return TrainPlan.from_mapping(
        {
            "epochs": 2,
            "max_steps": STEPS,
            "global_batch_size": GLOBAL_BATCH,
            "learning_rate": 1e-3,
            "schedule": "constant",
            "warmup_ratio": 0.0,
            "weight_decay": 0.1,
            "eps": 1e-6,
            "max_grad_norm": CLIP,
            **changes,
        },
        where="plan",
    )


def toy_model(device: torch.device | str = "cpu", **options: Any) -> AdaptedModel:
    """The toy Llama with an adapter that acts; always the same.

    Args:
        device: where it lies.
        options: further ones of the toy injector.
    """
    bundle = toy_bundle()
    bundle.module.to(device)
    model = ToyInjector(r=4, **options).inject(bundle)
    as_if_trained(model, SEED)
    return model


@dataclass
class Trained:
    """What a fit showed.

    Attributes:
        values: the adapter's tensors by canonical name.
        events: every event with its payload, in order.
    """

    result: FitResult
    values: Mapping[str, Tensor]
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def figures(self, name: str) -> list[float]:
        """One figure of every `step_end`."""
        return [payload[name] for event, payload in self.events if event == "step_end"]


@contextmanager
def started(trainer: Trainer) -> Iterator[RunningTrainer]:
    """A running trainer, closed at the end."""
    running = trainer.start()
    try:
        yield running
    finally:
        running.close()


def train(
    running: RunningTrainer,
    model: AdaptedModel | None = None,
    plan: TrainPlan | None = None,
    **job: Any,
) -> Trained:
    """Fit the toy model, or the one given.

    Args:
        running: where to train.
        model: what to train, on the trainer's device.
        plan: `training_plan()` if not given.
        job: fields of `TrainJob` that replace the toy's.
    """
    adapted = model or toy_model(running.world.device)
    events: list[tuple[str, dict[str, Any]]] = []
    rows, objective = training_rows(), CausalLM(chunk_rows=16)
    usual = {"rows": rows, "objective": objective, "encoder": ToyEncoder()}
    request = TrainJob(
        model=adapted,
        plan=plan or training_plan(),
        **{**usual, "layout": Layout.SEGMENTS, "seed": SEED, **job},
        emit=lambda event, **payload: events.append((event, payload)),
    )
    result = running.fit(request)
    with running.full_parameters(adapted.bundle.module):
        values = adapted.state().tensors
    return Trained(result, values, events)
