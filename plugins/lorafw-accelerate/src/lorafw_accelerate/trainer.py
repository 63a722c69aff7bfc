"""Component `accelerate`."""

from __future__ import annotations

from lorafw.contracts import Engine, EngineJob, World
from lorafw.training.engine_trainer import EngineTrainer


class AccelerateTrainer(EngineTrainer):
    """Hugging Face Accelerate; needs no `accelerate launch`, torchrun's variables are enough."""

    def open_engine(self, job: EngineJob, world: World) -> Engine:
        """Let Accelerate prepare the module and the optimizer."""
        from lorafw_accelerate._engine import AccelerateEngine

        return AccelerateEngine(job, world)

    def disconnect(self) -> None:
        """Leave the process group and forget Accelerate's process-wide state."""
        from lorafw_accelerate._engine import forget

        super().disconnect()
        forget()
