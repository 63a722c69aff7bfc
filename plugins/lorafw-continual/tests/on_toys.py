"""Every scenario trained on toys, as one rank of some, and what it leaves.

Usage: on_toys.py FOLDER; figures and values of a case go to FOLDER/CASE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from lorafw.assembly.registry import Registry
from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import ExportRequest, RunningTrainer, Scenario, Task, TrainJob
from lorafw.session import RunSession
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toy_training import SEED, started, training_plan
from lorafw.testing.toys import ToyEncoder, toy_bundle, toy_rows
from lorafw.types import Encoded, Layout
from lorafw_ddp.trainer import DDPTrainer

CASES: dict[str, dict[str, Any]] = {
    "sequential": {},
    "joint": {},
    "replay": {"ratio": 0.5},
    "adapter-per-task": {},
    "ewc": {"fisher_rows": 4, "ewc_lambda": 50.0},
    "gem": {"memory_per_task": 3},
    "a-gem": {"memory_per_task": 4, "reference_rows": 3},
    "ogd": {"memories": 6},
    "lwf": {},
    "o-lora": {},
    "mbpa++": {"replay_rate": 0.2, "local_steps": 0},
}
NAMES = ("first", "second", "third")


class ToySession(RunSession):
    """Exports nothing."""

    def save_adapter(self, name: str) -> None:
        """There is no builder whose files an adapter could belong to."""

    def export(self) -> None:
        """Neither."""


def session(running: RunningTrainer, folder: Path, budget: int) -> ToySession:
    """Three tasks on the toy model, with an adapter of rank 6 that starts at nothing."""
    model = ToyInjector(r=6, alpha=12).inject(toy_bundle())
    tasks = tuple(
        Task(name, _rows(6, at), _rows(3, at + 10), epochs=2) for at, name in enumerate(NAMES)
    )
    job = TrainJob(
        model=model,
        objective=CausalLM(chunk_rows=16),
        encoder=ToyEncoder(),
        rows=[row for task in tasks for row in task.rows],
        plan=training_plan(
            micro_batch_tokens=budget,
            max_steps=None,
            weight_decay=0,
            learning_rate=2e-2,
            eps=1e-2,  # as large as the tolerance needs where gradients are near zero
        ),
        layout=Layout.SEGMENTS,
        seed=SEED,
    )
    request: Any = ExportRequest(model, None, {})  # type: ignore[arg-type]
    return ToySession(running, job, request, {}, folder, tasks=tasks)


def _rows(count: int, seed: int) -> list[Encoded]:
    """Rows of which each task has its own tokens."""
    shift = 4 + 20 * (seed % 10)
    rows = toy_rows(count, seed=seed, longest=16, vocabulary=24)
    return [_moved(row, shift - 4) for row in rows]


def _moved(row: Encoded, by: int) -> Encoded:
    labels = [label + by if label >= 0 else label for label in row.labels]
    return Encoded([token + by for token in row.input_ids], labels)


def play(running: RunningTrainer, name: str, folder: Path, budget: int) -> None:
    """One scenario from start to end; rank 0 writes what it leaves."""
    found = session(running, folder, budget)
    scenario = Registry().load("scenario", name).from_mapping(CASES[name], where="scenario")
    assert isinstance(scenario, Scenario)
    scenario.run(found)
    values = found.values()
    if running.world.rank == 0:
        save_file({key: each.contiguous() for key, each in values.items()}, folder / "values")
        (folder / "record.json").write_text(json.dumps(found.record), encoding="utf-8")


def main(folder: Path) -> None:
    """All of them, one after another."""
    torch.set_num_threads(1)
    with started(DDPTrainer()) as running:
        for name in CASES:
            place = folder / name
            place.mkdir(parents=True, exist_ok=True)
            play(running, name, place, budget=10_000 if running.world.world_size == 1 else 20)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
