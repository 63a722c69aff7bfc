"""One rank that trains toys with virtual tokens.

Usage: prompt_worker.py OUTPUT
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from lorafw.assembly.registry import Registry
from lorafw.contracts import AdaptedModel, Trainer
from lorafw.testing.toy_training import started, train, training_plan
from lorafw.testing.toys import toy_bundle
from lorafw.types import Layout
from lorafw_peft.injector import PeftInjector

METHODS = ("prompt_tuning", "prefix_tuning", "p_tuning")


def fresh(method: str) -> AdaptedModel:
    """The toy with five virtual tokens."""
    options = {"num_virtual_tokens": 5}
    model = PeftInjector(method=method, method_options=options).inject(toy_bundle())
    model.reset(seed=3)
    return model


def trained(
    method: str, budget: int = 60, layout: Layout = Layout.PADDED, trainer_name: str = "ddp"
) -> dict[str, torch.Tensor]:
    """What five steps leave: the live parameters, by name."""
    options = {"zero_stage": 3, "persistence_threshold": 0} if trainer_name != "ddp" else {}
    trainer = Registry().load("trainer", trainer_name).from_mapping(options, where="trainer")
    assert isinstance(trainer, Trainer)
    model = fresh(method)
    with started(trainer) as running:
        train(running, model, plan=training_plan(micro_batch_tokens=budget), layout=layout)
        with running.full_parameters(model.bundle.module):
            return {name: p.detach().clone() for name, p in model.trainable().items()}


def main(output: Path) -> None:
    torch.set_num_threads(1)
    values = {f"{m}/{name}": t for m in METHODS for name, t in trained(m).items()}
    if os.environ["RANK"] == "0":
        save_file(values, output)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
