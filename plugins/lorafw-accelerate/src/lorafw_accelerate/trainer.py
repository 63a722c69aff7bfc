"""Component `accelerate`: its options, and how it connects."""

from __future__ import annotations

from pydantic import Field

from lorafw.contracts import Engine, EngineJob, World
from lorafw.training.engine_trainer import EngineTrainer
from lorafw.types import Capability


class AccelerateTrainer(EngineTrainer):
    """Hugging Face Accelerate; needs no `accelerate launch`, torchrun's variables are enough."""

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
        """Let Accelerate prepare the module and the optimizer."""
        from lorafw_accelerate._engine import AccelerateEngine

        return AccelerateEngine(job, world)

    def disconnect(self) -> None:
        """Leave the process group and forget Accelerate's process-wide state."""
        from lorafw_accelerate._engine import forget

        super().disconnect()
        forget()
