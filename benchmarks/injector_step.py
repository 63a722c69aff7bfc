"""`python -m benchmarks.injector_step`: one case of `benchmarks.injectors`, in its own process."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import torch

from benchmarks.measure import peak_memory, resident_memory
from lorafw.assembly.registry import Registry
from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import Engine, EngineJob, TrainPlan
from lorafw.testing.toys import ToyEncoder, toy_bundle
from lorafw.testing.values import as_if_trained
from lorafw.training.loss_module import LossModule
from lorafw.training.optimizer import build_optimizer
from lorafw.types import Encoded, Layout
from lorafw_ddp.trainer import DDPTrainer

MODEL: dict[str, Any] = {
    "vocab_size": 6400,
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "initializer_range": 0.02,
}
TOKENS = 512
"""Of a step, in rows of the case's length; where that is longer, one row."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is trained.

    Attributes:
        injectors: who takes part, in turn; of one alone, memory can be told.
        rank: of the update.
        length: tokens of a row.
        dtype: of the frozen weights, `fp32` or `bf16`.
        options: more options of the injectors.
        steps: that are timed, after one to warm up.
    """

    injectors: Sequence[str]
    rank: int
    length: int
    dtype: str
    options: dict[str, Any]
    steps: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step took: medians, and for all steps together what memory grew by in them."""

    seconds: float
    cpu_seconds: float
    bytes: int


def run(case: Case) -> dict[str, Cost]:
    """Every injector's step in turn, on a model of its own with the same weights."""
    engines = {name: _engine(case, name) for name in case.injectors}
    rows = _rows(case)
    before = resident_memory()
    clocks: dict[str, list[tuple[float, float]]] = {name: [] for name in case.injectors}
    for _ in range(case.steps + 1):
        for name, engine in engines.items():
            clocks[name].append(_timed(engine, rows))
    grown = peak_memory() - before
    return {name: _cost(each[1:], grown) for name, each in clocks.items()}


def _cost(clocks: Sequence[tuple[float, float]], grown: int) -> Cost:
    wall, cpu = zip(*clocks, strict=True)
    return Cost(median(wall), median(cpu), grown)


def _engine(case: Case, name: str) -> Engine:
    """The step that `lorafw run` takes, on one process, without the loop around it."""
    options = {"r": case.rank, **case.options}
    injector: Any = Registry().load("injector", name).from_mapping(options, where="injector")
    model = injector.inject(toy_bundle(case.dtype, **MODEL))
    as_if_trained(model)
    parameters = dict(model.trainable())
    trainer, plan = DDPTrainer(), TrainPlan()
    module = LossModule(model.bundle, CausalLM())
    job = EngineJob(module, parameters, build_optimizer(plan, parameters), plan.max_grad_norm)
    module.eval()
    return trainer.open_engine(job, trainer.connect())


def _rows(case: Case) -> list[Encoded]:
    generator = torch.Generator().manual_seed(0)
    size = max(1, TOKENS // case.length), case.length
    drawn = torch.randint(4, MODEL["vocab_size"], size, generator=generator)
    return [Encoded(row, row) for row in drawn.tolist()]


def _timed(engine: Engine, rows: list[Encoded]) -> tuple[float, float]:
    batch = ToyEncoder().collate(rows, Layout.SEGMENTS, 0)
    totals = {"targets": float(sum(row.targets for row in rows))}
    wall, cpu = time.perf_counter(), time.process_time()
    engine.backward(engine.forward(batch, totals))
    engine.step(learning_rate=1e-4)
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Read a case from the command line, print the costs; both are JSON."""
    costs = run(Case(**json.loads(sys.argv[1])))
    sys.stdout.write(json.dumps({name: asdict(cost) for name, cost in costs.items()}))


if __name__ == "__main__":
    main()
