"""EngineTrainer: a Trainer that needs only to connect and to open an engine."""

from __future__ import annotations

from abc import abstractmethod

from lorafw.contracts.engine import Engine, EngineJob, World
from lorafw.contracts.trainer import RunningTrainer, Trainer


class EngineTrainer(Trainer):
    """Runs core's loop on an engine of its own."""

    @abstractmethod
    def connect(self) -> World:
        """Join the other processes of this job; a lone process is a world of one.

        Raises:
            TrainingError: the backend is missing something on this machine.
        """

    @abstractmethod
    def open_engine(self, job: EngineJob, world: World) -> Engine:
        """Wrap the module and the optimizer; parameter identity is kept."""

    def disconnect(self) -> None:
        """Leave the process group; no collective."""
        from lorafw.training.process_group import leave

        leave()

    def start(self) -> RunningTrainer:
        """Connect, and run core's loop from then on."""
        from lorafw.training.engine_runner import EngineRunner

        return EngineRunner(self, self.connect())
