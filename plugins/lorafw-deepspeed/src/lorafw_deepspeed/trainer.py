"""Component `deepspeed`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lorafw.contracts import Engine, EngineJob, World
from lorafw.errors import ConfigError
from lorafw.training.engine_trainer import EngineTrainer
from lorafw.types import Capability
from lorafw_deepspeed.user_config import UserConfig


class DeepSpeedTrainer(EngineTrainer):
    """DeepSpeed with ZeRO stages 0 to 3 (Rajbhandari et al. 2020, arXiv:1910.02054)."""

    zero_stage: Literal[0, 1, 2, 3] = Field(
        2,
        description="What ranks share: 1 optimizer state, 2 gradients too, 3 parameters too.",
    )
    persistence_threshold: int = Field(
        100_000, ge=0, description="Stage 3: parameters with fewer numbers stay whole everywhere."
    )
    offload_optimizer: bool = Field(
        default=False,
        description="Stages 1 to 3: keep the optimizer's state on the CPU, and update there.",
    )
    offload_parameters: bool = Field(
        default=False, description="Stage 3: keep parameters on the CPU while they are not used."
    )
    pin_memory: bool = Field(
        default=True,
        description="Hold what is on the CPU in page-locked memory: faster, but fixed.",
    )
    config: Path | None = Field(
        None, description="A DeepSpeed config (JSON), merged with what lorafw decides."
    )

    @model_validator(mode="before")
    @classmethod
    def _heed_the_file(cls, options: Any) -> Any:
        """What the file says of an option counts as if it were said here."""
        path = options.get("config") if isinstance(options, Mapping) else None
        if not isinstance(path, str | Path):
            return options
        said = {name: value for name, value in options.items() if name in cls.model_fields}
        return {**UserConfig.read(Path(path), said).options, **options}

    @model_validator(mode="after")
    def _stages_can_offload(self) -> Self:
        wanted = {
            "offload_optimizer": (self.offload_optimizer, 1),
            "offload_parameters": (self.offload_parameters, 3),
        }
        for name, (asked, stage) in wanted.items():
            if asked and self.zero_stage < stage:
                raise ConfigError(
                    f"stage {self.zero_stage} of ZeRO cannot do this.",
                    where=f"trainer.{name}",
                    mend=f"Set trainer.zero_stage={stage}{' or above' if stage < 3 else ''}.",
                )
        return self

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Stage 3 takes parameters apart, and any but stage 0 what the optimizer works on."""
        apart = {Capability.WHOLE_PARAMETERS} if self.zero_stage == 3 else set()
        if self.zero_stage:
            apart.add(Capability.WHOLE_OPTIMIZER)
        if self.offload_optimizer or self.offload_parameters:
            apart.add(Capability.SETTABLE_GRADIENTS)  # DeepSpeed updates from copies of its own
        return super().capabilities - apart

    def variants(self) -> Sequence[DeepSpeedTrainer]:
        """Every stage; of the others than this one's, stage 3 takes all parameters apart."""
        plain = {"persistence_threshold": 0, "timeout_minutes": self.timeout_minutes}
        stages = [type(self).model_validate({"zero_stage": n, **plain}) for n in range(4)]
        stages[self.zero_stage] = self
        return stages

    def connect(self) -> World:
        """Join the process group, or make a group of one, and let DeepSpeed adopt it.

        Raises:
            ConfigError: the config file holds keys that DeepSpeed does not know.
        """
        from lorafw_deepspeed._start import start

        return start(timeout_minutes=self.timeout_minutes, config=self.config)

    def open_engine(self, job: EngineJob, world: World) -> Engine:
        """Hand module and optimizer to DeepSpeed."""
        from lorafw_deepspeed._config import deepspeed_config
        from lorafw_deepspeed._engine import DeepSpeedEngine
        from lorafw_deepspeed._zero_engine import ZeroEngine

        kind = ZeroEngine if self.zero_stage else DeepSpeedEngine
        return kind(job, world, deepspeed_config(self, job))

    def disconnect(self) -> None:
        """Leave the process group, and let DeepSpeed forget the groups it derived from it."""
        from lorafw_deepspeed._start import stop

        stop()
