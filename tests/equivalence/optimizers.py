"""One rank of a run that changes hands: the toy training with every optimizer, on three engines.

Usage: python -m tests.equivalence.optimizers OUTPUT
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tests.equivalence.cases import ENGINES

from lorafw.assembly.registry import Registry
from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import Engine, EngineJob, TrainingState, World
from lorafw.testing.reference import global_batches
from lorafw.testing.toy_training import toy_model, training_plan
from lorafw.testing.toys import ToyEncoder
from lorafw.training.engine_trainer import EngineTrainer
from lorafw.training.loss_module import LossModule
from lorafw.training.optimizer import build_optimizer
from lorafw.types import Layout

HANDS = {
    "deepspeed-2": range(2),
    "ddp": range(2, 3),
    "accelerate-fsdp": range(3, 4),
    "deepspeed-3": range(4, 5),
}
"""Which engine makes which steps."""
OPTIMIZERS: Mapping[str, Mapping[str, Any]] = {
    "adamw": {"amsgrad": True},
    "sgd": {"momentum": 0.9, "nesterov": True},
    "torch.optim.RMSprop": {"eps": 1e-6, "momentum": 0.5, "centered": True},
    "torch.optim.Adagrad": {"eps": 1e-6, "initial_accumulator_value": 1e-3},
    "torch.optim.NAdam": {"eps": 1e-6},
    "lion": {},
}
"""Each with options under which it remembers all it can."""
RATE, EPS, B_SCALE = 1e-3, 1e-6, 4.0


def scales(names: Iterable[str]) -> dict[str, float]:
    """LoRA+: a rate of its own for B, so that there are two groups."""
    return {name: B_SCALE for name in names if "lora_B" in name}


def opened(trainer: EngineTrainer, world: World, optimizer: str) -> Engine:
    """An engine on a fresh toy model, with an optimizer over two groups."""
    options = {"optimizer": optimizer, "optimizer_options": dict(OPTIMIZERS[optimizer])}
    plan = training_plan(eps=EPS if optimizer == "adamw" else 1e-8, **options)
    model = toy_model(world.device)
    parameters = dict(model.trainable())
    module = LossModule(model.bundle, CausalLM())
    built = build_optimizer(plan, parameters, scales(parameters))
    engine = trainer.open_engine(EngineJob(module, parameters, built, plan.max_grad_norm), world)
    module.eval()
    return engine


def advance(engine: Engine, step: int) -> None:
    """One step, its rows dealt out to the ranks."""
    rows, world = global_batches()[step], engine.world
    mine = rows[world.rank :: world.world_size]
    batch = ToyEncoder().collate(mine or rows[:1], Layout.SEGMENTS, 0)
    with engine.accumulate(last=True):
        totals = {"targets": float(sum(row.targets for row in rows))}
        loss = engine.forward(batch if mine else batch.without_targets(), totals)
        engine.backward(loss * world.world_size)
    engine.step(learning_rate=RATE)


def run(hand: str, before: Mapping[str, TrainingState]) -> dict[str, TrainingState]:
    """The state of every optimizer after one engine's steps, begun where there was none."""
    name, options = ENGINES[hand]
    trainer, after = Registry().load("trainer", name)(**options), {}
    assert isinstance(trainer, EngineTrainer)
    world = trainer.connect()
    for optimizer in OPTIMIZERS:
        engine = opened(trainer, world, optimizer)
        if optimizer in before:
            engine.load_state(before[optimizer])
        for step in HANDS[hand]:
            advance(engine, step)
        after[optimizer] = engine.state()
        engine.close()
    trainer.disconnect()
    return after


def main(output: Path) -> None:
    """Hand every optimizer from engine to engine; every rank leaves what it ends with."""
    torch.set_num_threads(1)
    states: dict[str, TrainingState] = {}
    for hand in HANDS:
        states = run(hand, states)
    values = {
        f"{optimizer}/{name}": tensors["value"]
        for optimizer, state in states.items()
        for name, tensors in state.items()
    }
    output.mkdir(exist_ok=True)
    save_file(values, output / f"{os.environ.get('RANK', '0')}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
