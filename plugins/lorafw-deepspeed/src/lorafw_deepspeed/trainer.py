"""Component `deepspeed`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lorafw.contracts import Engine, EngineJob, World
from lorafw.training.engine_trainer import EngineTrainer
from lorafw.types import Capability


class DeepSpeedTrainer(EngineTrainer):
    """DeepSpeed with ZeRO stages 0 to 3 (Rajbhandari et al. 2020, arXiv:1910.02054)."""

    zero_stage: Literal[0, 1, 2, 3] = Field(
        2,
        description="What ranks share: 1 optimizer state, 2 gradients too, 3 parameters too.",
    )
    persistence_threshold: int = Field(
        100_000, ge=0, description="Stage 3: parameters with fewer numbers stay whole everywhere."
    )

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Stage 3 takes parameters apart, and any but stage 0 what the optimizer works on."""
        apart = {Capability.WHOLE_PARAMETERS} if self.zero_stage == 3 else set()
        if self.zero_stage:
            apart.add(Capability.WHOLE_OPTIMIZER)
        return super().capabilities - apart

    def connect(self) -> World:
        """Join the process group, or make a group of one, and let DeepSpeed adopt it."""
        from lorafw_deepspeed._start import start

        return start(timeout_minutes=self.timeout_minutes)

    def open_engine(self, job: EngineJob, world: World) -> Engine:
        """Hand module and optimizer to DeepSpeed."""
        from lorafw_deepspeed._engine import DeepSpeedEngine
        from lorafw_deepspeed._zero_engine import ZeroEngine

        kind = ZeroEngine if self.zero_stage else DeepSpeedEngine
        return kind(job, world, self.zero_stage, self.persistence_threshold)

    def disconnect(self) -> None:
        """Leave the process group, and let DeepSpeed forget the groups it derived from it."""
        from lorafw_deepspeed._start import stop

        stop()
