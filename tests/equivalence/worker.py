"""One rank of a comparison: runs every case through lorafw and leaves what it saw.

Usage: python -m tests.equivalence.worker OUTPUT CASE…
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tests.equivalence.cases import CASES, ENGINES, SABOTAGE, Case
from tests.equivalence.reference import RANK, Trace, start_values
from torch import Tensor

from lorafw.assembly.registry import Registry
from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import (
    AdaptedModel,
    Engine,
    EngineJob,
    StepOutcome,
    TrainingState,
    TrainJob,
    World,
)
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.testing.toy_training import SEED, training_plan, training_rows
from lorafw.testing.toys import ToyEncoder, toy_llama, toy_tokenizer
from lorafw.training.engine_runner import EngineRunner
from lorafw.training.engine_trainer import EngineTrainer
from lorafw.types import Batch, Capability, Layout


class Watched(Engine):
    """An engine that notes the reduced gradients before each step; some are broken on purpose."""

    def __init__(self, inner: Engine, trace: Trace, sabotage: str) -> None:
        self.world, self._inner = inner.world, inner
        self._trace, self._sabotage = trace, sabotage

    def forward(self, batch: Batch, totals: Mapping[str, float] | None) -> Tensor:
        if self._sabotage == "mean" and totals is not None:
            totals = {"targets": max(1.0, float((batch.labels >= 0).sum()))}
        return self._inner.forward(batch, totals)

    def backward(self, loss: Tensor) -> None:
        scale = 1 / self.world.world_size if self._sabotage == "unscaled" else 1.0
        self._inner.backward(loss * scale)

    def step(self, *, learning_rate: float) -> StepOutcome:
        self._trace.gradients.append(self._inner.gradients())
        outcome = self._inner.step(learning_rate=learning_rate)
        self._trace.norms.append(outcome.grad_norm)
        return outcome

    def discard(self) -> None:
        self._inner.discard()

    def accumulate(self, *, last: bool) -> AbstractContextManager[None]:
        return self._inner.accumulate(last=last)

    def gradients(self) -> dict[str, Tensor]:
        return self._inner.gradients()

    def all_reduce_sum(self, tensor: Tensor) -> Tensor:
        return self._inner.all_reduce_sum(tensor)

    def state(self) -> TrainingState:
        return self._inner.state()

    def load_state(self, state: TrainingState) -> None:
        self._inner.load_state(state)

    def full_parameters(self) -> AbstractContextManager[None]:
        return self._inner.full_parameters()

    def close(self) -> None:
        self._inner.close()


class Watching(EngineTrainer):
    """A trainer whose engines are watched."""

    inner: Any
    trace: Any
    sabotage: str = ""

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset(self.inner.capabilities)

    def connect(self) -> World:
        world: World = self.inner.connect()
        return world

    def open_engine(self, job: EngineJob, world: World) -> Engine:
        return Watched(self.inner.open_engine(job, world), self.trace, self.sabotage)

    def disconnect(self) -> None:
        self.inner.disconnect()


def run(case: Case) -> Trace:
    """Train one case through the real loop."""
    bundle = TransformersBundle(toy_llama(), toy_tokenizer(), base="toy")
    model = Registry().load("injector", case.injector)(r=RANK).inject(bundle)  # type: ignore[attr-defined]
    model.load_state(start_values(dict(model.trainable())))
    return train(model, case)


def train(model: AdaptedModel, case: Case) -> Trace:
    """Train a model as it stands through the real loop, with a case's engine and cut."""
    trace = Trace()
    name, options = ENGINES[case.engine]
    inner = Registry().load("trainer", name)(**options)
    trainer = Watching(inner=inner, trace=trace, sabotage=case.sabotage)
    runner = trainer.start()
    assert isinstance(runner, EngineRunner)
    job = TrainJob(
        model=model,
        objective=CausalLM(chunk_rows=16),
        encoder=ToyEncoder(),
        rows=training_rows(),
        plan=training_plan(micro_batch_tokens=case.budget, activations=case.activations),
        layout=Layout(case.layout),
        seed=SEED,
        emit=lambda event, **payload: _note(trace, event, payload),
    )
    runner.fit(job)
    with runner.full_parameters(model.bundle.module):
        trace.parameters = dict(model.state().tensors)
    runner.close()
    return trace


def _note(trace: Trace, event: str, payload: Mapping[str, Any]) -> None:
    if event == "step_end":
        trace.losses.append(payload["loss"])
    if event == "notice":
        trace.notices.append(str(payload["message"]))


def save(trace: Trace, path: Path) -> None:
    """Leave a trace as a safetensors file."""
    tensors = {f"parameter/{name}": tensor for name, tensor in trace.parameters.items()}
    for step, gradients in enumerate(trace.gradients):
        tensors |= {f"gradient/{step}/{name}": tensor for name, tensor in gradients.items()}
    tensors["losses"] = torch.tensor(trace.losses, dtype=torch.float64)
    tensors["norms"] = torch.tensor(trace.norms, dtype=torch.float64)
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, path, metadata={"notices": "\n".join(trace.notices)})


def main(output: Path, names: list[str]) -> None:
    """Run the named cases, one after another, in this process."""
    torch.set_num_threads(1)
    cases = {case.name: case for case in [*CASES, *SABOTAGE]}
    for name in names:
        trace = run(cases[name])
        if os.environ.get("RANK", "0") == "0":
            save(trace, output / f"{name}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
