"""Starting Accelerate as lorafw's options say, and forgetting it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from accelerate import Accelerator, DistributedType
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import FullyShardedDataParallelPlugin

from lorafw.contracts import World
from lorafw.errors import TrainingError

_PREFIXES = ("ACCELERATE_", "FSDP_")


def start_accelerate(
    world: World, sharding: FullyShardedDataParallelPlugin | None = None
) -> Accelerator:
    """An Accelerator of this world, in fp32.

    Args:
        world: this process among its peers.
        sharding: how FSDP2 takes parameters apart; None if they stay whole.

    Raises:
        TrainingError: Accelerate sees another number of processes.
    """
    # Without cpu=True and without a GPU every rank would train alone, unnoticed.
    cpu = world.device.type == "cpu"
    with unswayed():
        accelerator = Accelerator(cpu=cpu, mixed_precision="no", fsdp_plugin=sharding)
    if accelerator.num_processes != world.world_size:
        raise TrainingError(
            f"Accelerate sees {accelerator.num_processes} processes, the launcher "
            f"started {world.world_size}.",
            where="trainer.accelerate",
        )
    if sharding is not None:
        # On a CPU, and for a lone process, Accelerate passes over its plugin without a word; what
        # it does with it elsewhere works there just as well.
        accelerator.state.distributed_type = DistributedType.FSDP
        accelerator.state.fsdp_plugin = sharding
    return accelerator


@contextmanager
def unswayed() -> Iterator[None]:
    """While open, Accelerate's variables are out of its sight, and none that it sets stays.

    They were compared with the options before; some, such as the one for gradient accumulation,
    would overrule arguments.
    """
    kept = _take_out()
    try:
        yield
    finally:
        _take_out()
        os.environ.update(kept)


def _take_out() -> dict[str, str]:
    names = [name for name in os.environ if name.startswith(_PREFIXES)]
    return {name: os.environ.pop(name) for name in names}


def load_whole() -> None:
    """Let transformers read all weights on every rank, whatever `accelerate launch` told it.

    With `fsdp_cpu_ram_efficient_loading` all ranks but one would start from empty ones.
    """
    os.environ.pop("FSDP_CPU_RAM_EFFICIENT_LOADING", None)


def forget() -> None:
    """Clear the singletons, so that the next run of this process starts clean."""
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()  # noqa: SLF001 - Accelerate has no public call for it
