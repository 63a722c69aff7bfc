"""Component `ddp`: its options, and how it connects."""

from __future__ import annotations

from pydantic import Field

from lorafw.contracts import Engine, EngineJob, World
from lorafw.training.engine_trainer import EngineTrainer
from lorafw.types import Capability


class DDPTrainer(EngineTrainer):
    """PyTorch's DistributedDataParallel; a lone process trains without any wrapper."""

    timeout_minutes: float = Field(
        30, gt=0, description="How long a rank waits for the others before it gives up."
    )

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Every rank holds everything whole."""
        return frozenset({Capability.WHOLE_PARAMETERS, Capability.WHOLE_GRADIENTS})

    def connect(self) -> World:
        """Join the process group that the launcher described."""
        from lorafw.training.process_group import join

        return join(timeout_minutes=self.timeout_minutes)

    def open_engine(self, job: EngineJob, world: World) -> Engine:
        """Wrap the module if there is more than one rank."""
        from lorafw_ddp._engine import open_engine

        return open_engine(job, world)
