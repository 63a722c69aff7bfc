"""Rank 0 reads and writes; the others are told what came of it.

Only rank 0's machine has the files. What travels is JSON and the bytes of tensors, in broadcasts
of torch's process group; an error of rank 0's becomes every rank's, so that none waits for a rank
that is gone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
import torch.distributed as dist
from torch import Tensor

from lorafw.contracts.engine import World
from lorafw.errors import CheckpointError, LorafwError
from lorafw.training.checkpoints.files import Stored, flat, nested

Found: TypeAlias = "tuple[Path, Stored] | None"
"""Where a checkpoint lies on rank 0's machine, and what it holds."""


def tell(make: Callable[[], Any], world: World) -> Any:
    """What rank 0 makes, a JSON value, on every rank; collective.

    Raises:
        CheckpointError: rank 0's error, on every rank.
    """
    if world.world_size == 1:
        return make()
    told = _attempt(make) if world.rank == 0 else None
    told = json.loads(_bytes_of(json.dumps(told).encode(), world))
    if "error" in told:
        raise CheckpointError(told["error"].pop("what"), **told["error"])
    return told["value"]


def _attempt(make: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"value": make()}
    except LorafwError as error:
        return {"error": {"what": error.what, "where": error.where, "mend": error.mend}}


def receive(read: Callable[[], Found], world: World) -> Found:
    """What rank 0 reads, bit for bit, on every rank; collective.

    Raises:
        CheckpointError: rank 0's error, on every rank.
    """
    if world.world_size == 1:
        return read()
    here: list[Found] = []

    def told() -> Any:
        here.append(read())
        return here[0] and [str(here[0][0]), here[0][1].about]

    header = tell(told, world)
    if header is None:
        return None
    mine = here[0][1] if here and here[0] else Stored({}, {})
    state, method = _send(flat(mine.state), world), _send(mine.method, world)
    return Path(header[0]), Stored(header[1], nested(state), method)


def _send(tensors: Mapping[str, Tensor], world: World) -> dict[str, Tensor]:
    """Rank 0's tensors, on the CPU of every rank."""
    layout = tell(lambda: {name: _layout(tensor) for name, tensor in tensors.items()}, world)
    return {name: _sent(tensors.get(name), about, world) for name, about in layout.items()}


def _layout(tensor: Tensor) -> tuple[str, list[int]]:
    return str(tensor.dtype).removeprefix("torch."), list(tensor.shape)


def _sent(tensor: Tensor | None, layout: tuple[str, list[int]], world: World) -> Tensor:
    if tensor is not None:
        box = tensor.detach().to(world.device).contiguous()
    else:
        kind, shape = layout
        box = torch.empty(shape, dtype=getattr(torch, kind), device=world.device)
    if box.numel():
        dist.broadcast(box.reshape(-1).view(torch.uint8), src=0)
    return box.cpu()


def _bytes_of(content: bytes, world: World) -> bytes:
    """Rank 0's bytes, on every rank."""
    length = torch.tensor([len(content)], device=world.device)
    dist.broadcast(length, src=0)
    box = torch.empty(int(length), dtype=torch.uint8, device=world.device)
    if world.rank == 0:
        box.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
    dist.broadcast(box, src=0)
    return box.cpu().numpy().tobytes()
