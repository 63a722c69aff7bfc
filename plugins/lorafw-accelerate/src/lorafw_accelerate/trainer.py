"""Component `accelerate`."""

from __future__ import annotations

import os

from pydantic import Field

from lorafw.contracts import Engine, EngineJob, World
from lorafw.training.engine_trainer import EngineTrainer
from lorafw.types import Capability
from lorafw_accelerate.sharding import Sharding, refuse, settled
from lorafw_accelerate.told import Told, read_environment, read_file

_ON_CPU = (
    "Accelerate shares no parameters on a CPU, and says nothing of it. They are shared all the "
    "same, by PyTorch's own fully_shard over Gloo: good to try a config out, and slow."
)


class AccelerateTrainer(EngineTrainer):
    """Hugging Face Accelerate; needs no `accelerate launch`, torchrun's variables are enough."""

    fsdp: bool | None = Field(
        None,
        description="Share parameters, gradients and optimizer among the ranks (FSDP2); null for "
        "what config_file says, or no.",
    )
    reshard_after_forward: bool | None = Field(
        None,
        description="FSDP2: drop a layer's whole weights between its forward and backward pass; "
        "null for what config_file says, or yes.",
    )
    cpu_offload: bool | None = Field(
        None,
        description="FSDP2: keep this rank's share in the CPU's memory, and update it there; null "
        "for what config_file says, or no.",
    )
    config_file: str | None = Field(
        None,
        description="File that `accelerate config` wrote, or default for the one where it puts it.",
    )

    @property
    def capabilities(self) -> frozenset[Capability]:
        """FSDP2 takes parameters apart, and what the optimizer works on."""
        apart = {Capability.WHOLE_PARAMETERS, Capability.WHOLE_OPTIMIZER}
        return super().capabilities - (apart if self.sharding() else set())

    def preflight(self) -> None:
        """See that options, config file and the launcher's variables agree.

        Raises:
            ConfigError: they do not.
        """
        self.sharding()

    def sharding(self) -> Sharding | None:
        """How parameters are shared; None if every rank holds all of them.

        Raises:
            ConfigError: options, config file and the launcher's variables contradict each other.
        """
        named = ("fsdp", "reshard_after_forward", "cpu_offload")
        return settled({name: getattr(self, name) for name in named}, self._told())

    def _told(self) -> list[Told]:
        file = [] if self.config_file is None else [read_file(self.config_file)]
        return [*file, read_environment()]

    def variants(self) -> tuple[AccelerateTrainer, AccelerateTrainer]:
        """As it is, and with parameters shared the other way."""
        other = {"fsdp": self.sharding() is None, "timeout_minutes": self.timeout_minutes}
        return self, type(self).model_validate(other)

    def connect(self) -> World:
        """Join the process group; a lone process whose parameters are shared makes one.

        Raises:
            ConfigError: the config file is about other processes.
        """
        from lorafw.training.process_group import join, local_device
        from lorafw_accelerate._start import load_whole

        ranks, on_cpu = int(os.environ.get("WORLD_SIZE", "1")), local_device().type == "cpu"
        refuse({t.place: list(t.conflicts_with(ranks=ranks, on_cpu=on_cpu)) for t in self._told()})
        load_whole()
        return join(timeout_minutes=self.timeout_minutes, alone=self.sharding() is not None)

    def remarks(self, world: World) -> tuple[str, ...]:
        """That Accelerate itself shares nothing on a CPU."""
        if world.device.type != "cpu" or self.sharding() is None:
            return ()
        return (_ON_CPU,)

    def open_engine(self, job: EngineJob, world: World) -> Engine:
        """Let Accelerate prepare the module."""
        from lorafw_accelerate._engine import open_whole
        from lorafw_accelerate._sharded_engine import ShardedEngine

        sharding = self.sharding()
        return ShardedEngine(job, world, sharding) if sharding else open_whole(job, world)

    def disconnect(self) -> None:
        """Leave the process group and forget Accelerate's process-wide state."""
        from lorafw_accelerate._start import forget

        super().disconnect()
        forget()
