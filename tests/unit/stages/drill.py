"""A scenario that asks for everything a session can do, and what came out of it.

Usage, as a rank: python -m tests.unit.stages.drill FOLDER TRAINER BUDGET
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from lorafw.assembly.registry import Registry
from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import ExportRequest, Guide, RunningTrainer, Task, TrainJob
from lorafw.session import RunSession
from lorafw.testing.toy_training import SEED, started, toy_model, training_plan
from lorafw.testing.toys import ToyEncoder, toy_rows
from lorafw.types import IGNORE_INDEX, Encoded, Layout

OPTIONS: dict[str, dict[str, Any]] = {"deepspeed": {"zero_stage": 2}}


class Pulled(Guide):
    """Pulls parameters to an anchor, and leaves those whose name has a B where they are."""

    wants_gradients = True

    def __init__(self, session: RunSession, anchor: Mapping[str, Tensor]) -> None:
        self._session, self._anchor = session, anchor
        self.seen: list[float] = []

    def penalty(self) -> Tensor:
        trainable = self._session.model.trainable()
        terms = [(p - self._anchor[n].to(p)).square().sum() for n, p in trainable.items()]
        return 0.5 * torch.stack(terms).sum()

    def adjust(self, step: int, gradients: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        beside = self._session.gradient(self._session.tasks[0].rows[:3])
        assert all(torch.isfinite(each).all() for each in beside.values())
        self.seen.append(float(step))
        return {n: g * 0 if "lora_B" in n else 2 * g for n, g in gradients.items()}


def session(
    running: RunningTrainer, folder: Path, *, resume: bool = False, budget: int = 10_000
) -> RunSession:
    """A session of two tasks on the toy model."""
    model = toy_model(running.world.device)
    first, second, held_out = (toy_rows(count, seed=count) for count in (6, 7, 5))
    job = TrainJob(
        model=model,
        objective=CausalLM(chunk_rows=16),
        encoder=ToyEncoder(),
        rows=[*first, *second],
        eval_rows=held_out,
        plan=training_plan(
            micro_batch_tokens=budget, max_steps=None, checkpoint_every=1, weight_decay=0
        ),
        layout=Layout.SEGMENTS,
        seed=SEED,
        resume=resume,
    )
    request: Any = ExportRequest(model, None, {})  # type: ignore[arg-type]
    tasks = (Task("first", first, held_out, 2), Task("second", second, held_out, 1))
    return RunSession(running, job, request, {}, folder, tasks=tasks)


def drill(session: RunSession) -> dict[str, Tensor]:
    """Everything once; what came out, by name."""
    first, second = session.tasks
    session.fit("first", task=first)
    after_first = session.once("after-first", session.values)
    fisher = session.once("fisher", lambda: session.gradient(first.rows, squared=True))
    scores = [session.score("first", task)["loss"] for task in session.tasks]
    guide = Pulled(session, after_first)
    session.fit("second", task=second, guide=guide)
    scores += [session.score("second", task)["loss"] for task in session.tasks]
    after_second = session.values()
    session.reset()
    fresh = session.values()
    session.load(after_second)
    found = {
        **_named("first", after_first),
        **_named("fisher", fisher),
        **_named("second", after_second),
        **_named("fresh", fresh),
        **_named("again", session.values()),
        "scores": torch.tensor(scores, dtype=torch.float64),
        "embedded": session.embed(first.rows),
        "drawn": drawn(session),
    }
    return {name: tensor.clone().contiguous() for name, tensor in found.items()}


def drawn(session: RunSession) -> Tensor:
    """More draws than are made at a time, each filled up with -1."""
    prompts = [Encoded([4 + at % 3], [IGNORE_INDEX]) for at in range(40)]
    found = session.draw("some", prompts, new_tokens=6, ends=(5, 6), temperature=0.7, top_k=20)
    return torch.tensor([[*ids, *[-1] * (6 - len(ids))] for ids in found])


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def main(folder: Path, name: str, budget: int) -> None:
    """Go through it as one of several ranks."""
    torch.set_num_threads(1)
    trainer: Any = Registry().load("trainer", name)
    with started(trainer(**OPTIONS.get(name, {}))) as running:
        found = drill(session(running, folder, budget=budget))
        save_file(found, folder / f"{running.world.rank}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
