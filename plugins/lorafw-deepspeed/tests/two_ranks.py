"""One rank that trains toys with frozen weights of several dtypes, at every stage.

Usage: two_ranks.py FOLDER; what rank 0 ends with goes to FOLDER/trained.safetensors
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from lorafw.assembly.registry import Registry
from lorafw.contracts import Trainer
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toy_training import SEED, started, train, training_plan
from lorafw.testing.toys import toy_bundle
from lorafw.testing.values import as_if_trained

APART = {"zero_stage": 3, "persistence_threshold": 0}
TRAINERS: dict[str, dict[str, Any]] = {
    "ddp": {},
    **{f"stage-{stage}": {"zero_stage": stage} for stage in range(3)},
    "stage-3": APART,
    "offload-2": {"zero_stage": 2, "offload_optimizer": True},
    "offload-3": {**APART, "offload_optimizer": True, "offload_parameters": True},
}
CASES = {
    "bf16": ("ddp", "stage-0", "stage-1", "stage-2", "stage-3"),
    "fp16": ("ddp", "stage-2", "stage-3"),
    "fp32": ("ddp", "offload-2", "offload-3"),
}


def trained(dtype: str, name: str) -> dict[str, torch.Tensor]:
    """The adapter and the losses after a few steps."""
    kind = Registry().load("trainer", "ddp" if name == "ddp" else "deepspeed")
    trainer = kind.from_mapping(TRAINERS[name], where="trainer")
    assert isinstance(trainer, Trainer)
    model = ToyInjector(r=4).inject(toy_bundle(dtype))
    as_if_trained(model, SEED)
    with started(trainer) as running:
        done = train(running, model, training_plan(micro_batch_tokens=60))
    losses = torch.tensor(done.figures("loss"), dtype=torch.float64)
    return {**done.values, "losses": losses}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    found = {
        f"{dtype}/{name}/{key}": tensor
        for dtype, names in CASES.items()
        for name in names
        for key, tensor in trained(dtype, name).items()
    }
    if os.environ["RANK"] == "0":
        save_file(found, folder / "trained.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
