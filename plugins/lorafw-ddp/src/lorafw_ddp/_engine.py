"""The engine of `ddp`: gradients meet in DistributedDataParallel's buckets."""

from __future__ import annotations

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lorafw.contracts import Engine, EngineJob, World
from lorafw.training.whole_engine import WholeEngine


def open_engine(job: EngineJob, world: World) -> Engine:
    """An engine over the module, wrapped when there are ranks to agree with."""
    wrapped: nn.Module = job.module
    if world.world_size > 1:
        wrapped = DistributedDataParallel(job.module)
    return WholeEngine(job, world, wrapped)
