"""One run of a few steps: model, adapter and job as in a real run, and what it showed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lorafw.assembly.compose import Parts
from lorafw.contracts._adapter_values import named_generator
from lorafw.contracts.injector import AdaptedModel, LoRAInjector
from lorafw.contracts.model import ModelBundle, ModelRequest
from lorafw.contracts.plan import TrainPlan
from lorafw.contracts.trainer import RunningTrainer, TrainJob
from lorafw.data.rendering.context import within_context
from lorafw.training.fresh_start import start_from_rows
from lorafw.types import Capability, Layout
from lorafw.verification._rounding import rounded_otherwise
from lorafw.verification._trace import Trace
from lorafw.verification.randomness import settled_model
from lorafw.verification.rows import Rows

_RATE, _EPSILON = 1e-4, 1e-6
_SMALL = 0.02
"""Size of the numbers that stand where an adapter starts from zeros."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How a global batch is cut.

    Attributes:
        layout: how rows share a micro-batch.
        budget: most tokens of one.
        shaken: seed of another rounding of every layer's output; None to leave it as it is.
    """

    layout: Layout
    budget: int
    shaken: int | None = None


class Bench:
    """The parts of a config, to train the same rows with again and again.

    Args:
        parts: of the config, without what is random per split in them.
        rows: what is trained and measured.
        steps: optimizer steps of every run.
        seed: the run's.
    """

    def __init__(self, parts: Parts, rows: Rows, steps: int, seed: int) -> None:
        self._parts, self._rows, self._seed = parts, rows, seed
        self._tokenizer = parts.model.tokenizer()
        self._encoder = within_context(parts.encoder, self._tokenizer)
        self._builder, self.settled = parts.model, False
        self._plan = _plan(parts.plan, steps)

    @property
    def sentences(self) -> list[str]:
        """What was switched off in the model."""
        return settled_model(self._parts.model)[1] if self.settled else []

    def adapted(self, injector: LoRAInjector, device: torch.device) -> AdaptedModel:
        """The model with a fresh adapter."""
        bundle = self._bundle(device)
        model = injector.inject(bundle)
        model.reset(self._seed)
        return model

    def _bundle(self, device: torch.device) -> ModelBundle:
        request = ModelRequest(
            self._parts.objective.task, device, self._seed, self._parts.dataset.labels
        )
        bundle = self._builder.build(request, self._tokenizer)
        if Capability.SPLIT_DEPENDENT in bundle.capabilities and not self.settled:
            self._builder, self.settled = settled_model(self._builder)[0], True
            return self._bundle(device)
        return bundle

    def job(self, model: AdaptedModel, cut: Cut) -> TrainJob:
        """The job of one run."""
        return TrainJob(
            model=model,
            objective=self._parts.objective,
            encoder=self._encoder,
            rows=self._rows.train,
            plan=self._plan.model_copy(update={"micro_batch_tokens": cut.budget}),
            layout=cut.layout,
            eval_rows=self._rows.held_out,
            seed=self._seed,
        )

    def begin(self, model: AdaptedModel, cut: Cut, running: RunningTrainer, place: Path) -> None:
        """Start the adapter as the run would, but no tensor of it from zeros, and leave that.

        With B = 0 the first gradient of A would be zero, whatever is wrong with it.
        """
        start_from_rows(self.job(model, cut), running)
        zeros = {name: _small(name, p) for name, p in model.trainable().items() if not p.any()}
        model.load_state({**_values(model), **zeros})
        save_file(_values(model), place / "start.safetensors")
        save_file(dict(model.training_state()), place / "start-kept.safetensors")

    def run(self, model: AdaptedModel, cut: Cut, running: RunningTrainer, *, shows: bool) -> Trace:
        """Train; the trace is whole on rank 0.

        Args:
            model: with the start that every run has.
            cut: how batches are cut.
            running: where to train.
            shows: whether the trainer shows whole gradients.
        """
        trace = Trace()
        job = replace(self.job(model, cut), emit=lambda event, **of: _note(trace, event, of))
        with _first_gradients(model, trace, shows=shows), _rounding(model, cut):
            result = running.fit(job)
        with running.full_parameters(model.bundle.module):
            trace.values = dict(model.state().tensors)
        sides = {"before": result.evaluation_before, "after": result.evaluation}
        trace.figures = {f"{side} {n}": v for side, by in sides.items() for n, v in by.items()}
        return trace


def restart(model: AdaptedModel, place: Path) -> None:
    """Give a fresh adapter the start that `Bench.begin` left."""
    model.load_state(load_file(place / "start.safetensors"))
    model.load_training_state(load_file(place / "start-kept.safetensors"))


def moved(trace: Trace, place: Path) -> float:
    """How far the number of a run's adapter went that went farthest; 0 if that cannot be told."""
    start = load_file(place / "start.safetensors")
    ways = [
        float((value - start[name]).abs().max())
        for name, value in trace.values.items()
        if name in start and value.shape == start[name].shape
    ]
    return max(ways, default=0.0)


def _plan(plan: TrainPlan, steps: int) -> TrainPlan:
    """The plan's steps, with nothing on the way that a split cannot change.

    AdamW divides a gradient by its size, so that where it is all but zero rounding alone decides
    on a whole step. Hence a low rate, and an epsilon that such gradients drown in.
    """
    calm = {"eps": max(plan.eps, _EPSILON)} if "adamw" in plan.optimizer.lower() else {}
    changes = {
        **calm,
        "learning_rate": min(plan.learning_rate, _RATE),
        "epochs": steps,
        "max_steps": steps,
        "schedule": "constant",
        "warmup_ratio": 0.0,
        "warmup_steps": None,
        "evaluate_every": None,
        "export_best": False,
        "early_stopping_patience": None,
    }
    return TrainPlan.from_mapping({**plan.model_dump(), **changes}, where="plan")


def _small(name: str, parameter: Tensor) -> Tensor:
    return torch.randn(parameter.shape, generator=named_generator(name, 0)) * _SMALL


def _values(model: AdaptedModel) -> dict[str, Tensor]:
    return {name: p.detach().cpu().clone() for name, p in model.trainable().items()}


def _note(trace: Trace, event: str, payload: Mapping[str, Any]) -> None:
    if event == "step_end":
        trace.losses.append(payload["loss"])


@contextmanager
def _first_gradients(model: AdaptedModel, trace: Trace, *, shows: bool) -> Iterator[None]:
    """While open, the reduced gradients of the first step are noted."""
    own, asked = model.before_step, model.wants_gradients

    def before_step(step: int, gradients: Mapping[str, Tensor]) -> None:
        if step == 0:
            trace.gradients = {name: g.float().cpu().clone() for name, g in gradients.items()}
        model.wants_gradients = asked
        if asked:
            own(step, gradients)

    watched = cast("Any", model)
    watched.before_step, watched.wants_gradients = before_step, shows or asked
    try:
        yield
    finally:
        watched.before_step, watched.wants_gradients = own, asked


@contextmanager
def _rounding(model: AdaptedModel, cut: Cut) -> Iterator[None]:
    if cut.shaken is None:
        yield
        return
    with rounded_otherwise(model.bundle.module, cut.shaken):
        yield
