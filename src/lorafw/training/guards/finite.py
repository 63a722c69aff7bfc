"""Steps whose loss or gradients are not finite: they end the run, or are left out and told of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from lorafw.contracts.engine import Engine, TrainingState
from lorafw.contracts.trainer import TrainJob
from lorafw.errors import CheckpointError, TrainingError
from lorafw.training.guards.content import local_part
from lorafw.training.guards.wording import listed

MOST_IN_A_ROW = 10
"""Steps that may be left out one after the other."""
_DIVERGED = "Lower plan.learning_rate, or set plan.max_grad_norm."
_SKIP = "Or leave out such steps: non_finite: skip."


class FiniteGuard:
    """Says what becomes of a step that must not be applied; all ranks say the same."""

    def __init__(self, job: TrainJob, engine: Engine) -> None:
        self._job, self._engine = job, engine
        self._in_a_row = 0

    def passed(self) -> None:
        """A step was applied."""
        self._in_a_row = 0

    def left_out(
        self, step: int, loss: float, norm: float, culprits: Sequence[int], rows: Sequence[int]
    ) -> None:
        """Tell of a step that was not applied.

        Args:
            step: its number, from 0.
            loss: of the step.
            norm: of its gradients.
            culprits: those of its rows whose own loss is not finite.
            rows: all of them.

        Raises:
            TrainingError: the plan does not skip, or this happened too often in a row.
        """
        fault = self._fault(step, loss, norm, culprits, rows)
        self._in_a_row += 1
        if self._job.plan.non_finite == "stop":
            mend = f"{self._mend(culprits, rows)} {_SKIP}"
            raise TrainingError(fault, mend=self._of_the_base(step, culprits, rows) or mend)
        if self._in_a_row > MOST_IN_A_ROW:
            raise TrainingError(
                f"{self._in_a_row} steps in a row had to be left out: {fault}",
                mend=self._of_the_base(step, culprits, rows) or _DIVERGED,
            )
        if self._engine.world.rank == 0:
            self._job.emit("notice", message=f"Step {step + 1} is left out: {fault}")

    def _fault(
        self, step: int, loss: float, norm: float, culprits: Sequence[int], rows: Sequence[int]
    ) -> str:
        number = step + 1
        if math.isfinite(loss):
            return f"the gradient norm of step {number} is {norm}, with a loss of {loss:.4g}."
        if not culprits:
            return f"the loss of step {number} is {loss}, which no row of it gives alone."
        if len(culprits) == len(rows) > 1:
            return f"the loss of step {number} is {loss}, and so is that of each of its rows."
        names = listed([self._job.row_name(row) for row in culprits])
        return f"the loss of step {number} is {loss}, because of {names}."

    def _of_the_base(self, step: int, culprits: Sequence[int], rows: Sequence[int]) -> str:
        """What to do where no training brought this about; empty where some may have."""
        frozen = self._job.model.frozen().items()
        weights = {name: local_part(weight) for name, weight in frozen if not weight.is_meta}
        if faulty := [name for name, weight in weights.items() if not is_finite(weight)]:
            return f"The base itself holds such numbers: {listed(faulty)}. Get its files again."
        untrained = step + 1 == self._in_a_row  # every step there was has been left out
        if untrained and len(culprits) == len(rows) > 1:
            return "Nothing is trained yet: the base gives this. Does model.dtype hold its numbers?"
        return ""

    def _mend(self, culprits: Sequence[int], rows: Sequence[int]) -> str:
        if not culprits or len(culprits) == len(rows) > 1:
            return _DIVERGED
        return "See what `lorafw data preview` shows of such a row."


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether no number of a tensor is NaN or infinite; reads it once and makes no copy."""
    if not tensor.numel() or not tensor.is_floating_point():
        return True
    return all(math.isfinite(end) for end in torch.stack(tensor.aminmax()).tolist())


def require_finite(state: TrainingState, method: Mapping[str, torch.Tensor]) -> None:
    """See that what is about to be kept can be continued.

    Raises:
        CheckpointError: a number is NaN or infinite.
    """
    named = {f"{name} ({key})": t for name, keys in state.items() for key, t in keys.items()}
    faulty = [name for name, tensor in {**named, **method}.items() if not is_finite(tensor)]
    if faulty:
        raise CheckpointError(
            f"numbers that are not finite are not kept: {listed(faulty)}.", mend=_DIVERGED
        )
