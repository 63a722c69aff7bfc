"""Every scenario trained on toys, as one rank of some, and what it leaves.

Usage: on_toys.py FOLDER; figures and values of a case go to FOLDER/CASE
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import save_file

from lorafw.assembly.registry import Registry
from lorafw.assembly.task_parts import TaskParts
from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import (
    AdaptedModel,
    DatasetAdapter,
    ExportRequest,
    RunningTrainer,
    Scenario,
    Task,
    TrainJob,
)
from lorafw.session import RunSession
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toy_training import SEED, started, training_plan
from lorafw.testing.toys import ToyEncoder, toy_bundle, toy_rows
from lorafw.types import IGNORE_INDEX, Encoded, Example, Layout, Split, Tokenizer
from lorafw_ddp.trainer import DDPTrainer
from lorafw_peft.injector import PeftInjector

CASES: dict[str, dict[str, Any]] = {
    "sequential": {},
    "joint": {},
    "replay": {"ratio": 0.5},
    "adapter-per-task": {},
    "adapter-per-task by similarity": {"router": "similarity"},
    "ewc": {"fisher_rows": 4, "ewc_lambda": 50.0},
    "gem": {"memory_per_task": 3},
    "a-gem": {"memory_per_task": 4, "reference_rows": 3},
    "ogd": {"memories": 7},
    "lwf": {},
    "lfpt5": {"pseudo_rows": 40, "temperature": 0.7, "top_k": 8, "lambda_lm": 1, "lambda_kl": 0.5},
    "o-lora": {},
    "sequential with prompts": {},
    "progressive-prompts": {},
    "l2p": {"pool_size": 3, "prompt_length": 2, "top_n": 2},
    "mbpa++": {"replay_rate": 0.2, "local_steps": 0},
    "mbpa++ with local steps": {"replay_rate": 0.2, "local_steps": 2, "neighbours": 4},
}
"""Options by case: the scenario is the first word, what else tells it from others comes behind."""
WITH_PROMPTS = ("sequential with prompts", "progressive-prompts", "l2p")
"""The cases of learned prompts; their virtual tokens are as many as both others can share out."""
NAMES = ("first", "second", "third")


class ToySession(RunSession):
    """Exports nothing."""

    def save_adapter(self, name: str) -> None:
        """There is no builder whose files an adapter could belong to."""

    def export(self) -> None:
        """Neither."""


@dataclass(frozen=True, slots=True)
class IdsExample(Example):
    """A row that is token ids already."""

    row: Encoded


class IdsEncoder(ToyEncoder):
    """Gives such rows, and their prompts."""

    accepts: ClassVar[tuple[type[Example], ...]] = (IdsExample,)

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded:
        assert isinstance(example, IdsExample)
        return example.row

    def prompt(self, example: Example, tokenizer: Tokenizer) -> Encoded:
        row = self.encode(example, tokenizer)
        asked = list(row.input_ids)[: row.labels.count(IGNORE_INDEX)]
        return Encoded(asked, [IGNORE_INDEX] * len(asked))


class IdsRows(DatasetAdapter):
    """The held-out rows of a task, for scores that look at one row after another."""

    produces: ClassVar[type[Example]] = IdsExample
    seed: int

    def load(self, split: Split) -> list[IdsExample]:
        assert split is Split.EVAL
        return [IdsExample(row) for row in _rows(3, self.seed)]


def _parts(name: str, seed: int) -> TaskParts:
    return TaskParts(
        name=name,
        key="",
        dataset=IdsRows(seed=seed),
        encoder=IdsEncoder(),
        epochs=2,
        metrics={},
        names={},
        max_new_tokens=4,
    )


def _model(name: str) -> AdaptedModel:
    """The toy with an adapter of rank 6 that starts at nothing, or with virtual tokens."""
    if name not in WITH_PROMPTS:
        return ToyInjector(r=6, alpha=12).inject(toy_bundle())
    options = {"num_virtual_tokens": 9}
    return PeftInjector(method="prompt_tuning", method_options=options).inject(toy_bundle())


def session(running: RunningTrainer, folder: Path, budget: int, name: str) -> ToySession:
    """Three tasks on the toy model, with what a scenario of this name trains."""
    model = _model(name)
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
    parts = [_parts(task.name, at + 10) for at, task in enumerate(tasks)]
    return ToySession(running, job, request, {}, folder, tasks=tasks, task_parts=parts)


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
    found = session(running, folder, budget, name)
    kind = Registry().load("scenario", name.split(maxsplit=1)[0])
    scenario = kind.from_mapping(CASES[name], where="scenario")
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
