"""Training on several ranks of this machine, in processes of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lorafw.assembly.registry import Registry
from lorafw.testing.forked_ranks import run_on_ranks
from lorafw.testing.fresh_import import import_path

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from lorafw.contracts import Component


def registered_name(kind: str, component: Component) -> str | None:
    """The name that users choose this part by; None if it has none."""
    path, registry = import_path(type(component)), Registry()
    names = registry.names(kind)
    return next((name for name in names if registry.find(kind, name).value == path), None)


def train_on_ranks(
    count: int, name: str, trainer: Component, folder: Path
) -> tuple[dict[str, Tensor], list[float]]:
    """Run the toy training on some ranks; the adapter and the losses, as rank 0 saw them.

    Raises:
        AssertionError: a rank failed.
    """
    from safetensors.torch import load_file

    request = {"name": name, "options": trainer.model_dump(mode="json")}
    output = folder / "trained.safetensors"
    run_on_ranks(
        count,
        "lorafw.testing.rank_worker",
        [json.dumps(request), str(output)],
        log=folder / "ranks.log",
        environment=_environment(count),
    )
    values = load_file(output)
    losses: list[float] = values.pop("losses").tolist()
    return values, losses


def _environment(count: int) -> dict[str, str]:
    import torch

    # Ranks cannot share a device under NCCL.
    return {"CUDA_VISIBLE_DEVICES": ""} if torch.cuda.device_count() < count else {}
