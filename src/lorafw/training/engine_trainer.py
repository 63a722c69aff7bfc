"""EngineTrainer: a Trainer that needs only to open an engine."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field

from lorafw.contracts.engine import Engine, EngineJob, World
from lorafw.contracts.trainer import RunningTrainer, Trainer
from lorafw.types import Capability


class EngineTrainer(Trainer):
    """Runs core's loop on an engine of its own, in torch's process group."""

    timeout_minutes: float = Field(
        30, gt=0, description="How long a rank waits for the others before it gives up."
    )

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Every rank holds everything whole; an engine that takes things apart says less."""
        whole = (Capability.WHOLE_PARAMETERS, Capability.WHOLE_OPTIMIZER)
        return frozenset({*whole, Capability.WHOLE_GRADIENTS, Capability.SETTABLE_GRADIENTS})

    def connect(self) -> World:
        """Join the process group the launcher described; a lone process is a world of one.

        Raises:
            TrainingError: the backend is missing something on this machine.
        """
        from lorafw.training.process_group import join

        return join(timeout_minutes=self.timeout_minutes)

    @abstractmethod
    def open_engine(self, job: EngineJob, world: World) -> Engine:
        """Wrap the module and the optimizer; parameter identity is kept."""

    def remarks(self, world: World) -> tuple[str, ...]:  # noqa: ARG002 - for those who have some
        """What the user should know of these options in this world; told when an engine opens."""
        return ()

    def disconnect(self) -> None:
        """Leave the process group; no collective."""
        from lorafw.training.process_group import leave

        leave()

    def start(self) -> RunningTrainer:
        """Connect, and run core's loop from then on."""
        from lorafw.training.engine_runner import EngineRunner

        return EngineRunner(self, self.connect())
