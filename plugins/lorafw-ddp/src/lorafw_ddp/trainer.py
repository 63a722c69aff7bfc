"""Component `ddp`."""

from __future__ import annotations

from lorafw.contracts import Engine, EngineJob, World
from lorafw.training.engine_trainer import EngineTrainer


class DDPTrainer(EngineTrainer):
    """PyTorch's DistributedDataParallel; a lone process trains without any wrapper."""

    def open_engine(self, job: EngineJob, world: World) -> Engine:
        """Wrap the module if there is more than one rank."""
        from lorafw_ddp._engine import open_engine

        return open_engine(job, world)
