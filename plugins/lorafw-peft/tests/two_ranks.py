"""One rank that trains toys with virtual tokens, and one that starts from rows.

Usage: two_ranks.py FOLDER; what a rank ends with goes to FOLDER/rank-N.safetensors
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from lorafw.assembly.registry import Registry
from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import AdaptedModel, Trainer, TrainJob
from lorafw.testing.toy_training import started, train, training_plan, training_rows
from lorafw.testing.toys import ToyEncoder, toy_bundle
from lorafw.training.fresh_start import start_from_rows
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


def looked(trainer: Trainer) -> dict[str, torch.Tensor]:
    """What a start by rows leaves before the first step: live values, and what is subtracted."""
    model = PeftInjector(r=4, init="lora_ga", init_rows=8).inject(toy_bundle())
    model.reset(seed=3)
    with started(trainer) as running:
        job = TrainJob(model, CausalLM(), ToyEncoder(), training_rows(), training_plan())
        start_from_rows(job, running)
    kept = {f"kept/{name}": tensor for name, tensor in model.training_state().items()}
    return {name: p.detach().clone() for name, p in model.trainable().items()} | kept


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    values = {f"{m}/{name}": t for m in METHODS for name, t in trained(m).items()}
    ddp = Registry().load("trainer", "ddp").from_mapping({}, where="trainer")
    assert isinstance(ddp, Trainer)
    values |= {f"lora_ga/{name}": t for name, t in looked(ddp).items()}
    save_file(values, folder / f"rank-{os.environ['RANK']}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
