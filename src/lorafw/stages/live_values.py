"""The values of the live adapter: read, written, and put back where a finished stage left them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lorafw.contracts._adapter_values import check_shapes, shapes_of
from lorafw.stages.memory import RunMemory, stored, tensors_of
from lorafw.training.checkpoints.files import Stored

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.contracts.trainer import RunningTrainer, TrainJob


class LiveValues:
    """Writes values only when somebody looks: a resumed run passes its finished stages quickly.

    Every method is collective.

    Args:
        job: whose model.
        running: wherever it keeps parameters.
        memory: keeps what they were before any training.
    """

    def __init__(self, job: TrainJob, running: RunningTrainer, memory: RunMemory) -> None:
        self._job, self._running = job, running
        self._initial, _ = memory.once("kept/initial", self._found)
        self._due: Stored | None = None
        if memory.resumed:
            self._due = self._initial

    def _found(self) -> Stored:
        return stored(self._running.values(self._job), self._job.model.training_state())

    def now(self) -> dict[str, Tensor]:
        """A copy of the trainable parameters as they are."""
        self.write()
        return dict(self._running.values(self._job))

    def kept(self, **facts: object) -> Stored:
        """What a finished stage leaves, with facts about it."""
        self.write()
        return stored(self._running.values(self._job), self._job.model.training_state(), **facts)

    def become(self, values: Stored) -> None:
        """Take over what a finished stage left."""
        self._due = values

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Write values into the trainable parameters.

        Raises:
            AdapterError: a name is missing or too many, or a shape differs.
        """
        check_shapes(shapes_of(tensors_of(self._initial)), shapes_of(values))
        method = (self._due or self._initial).method
        self._due = stored(values, method)

    def reset(self) -> None:
        """Make the trainable parameters what they were before any training."""
        self._due = self._initial

    def write(self) -> None:
        """Write what is due, as somebody is about to look."""
        if self._due is None:
            return
        values, self._due = self._due, None
        self._running.load(self._job, tensors_of(values))
        if values.method:
            self._job.model.load_training_state(values.method)
