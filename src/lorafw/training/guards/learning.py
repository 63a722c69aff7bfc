"""What is trained gets gradients and moves; otherwise a run ends that would teach nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from lorafw.contracts.engine import Engine, StepOutcome
from lorafw.contracts.trainer import TrainJob
from lorafw.errors import TrainingError
from lorafw.training.guards.content import content_of
from lorafw.training.guards.wording import listed
from lorafw.training.optimizer_memory import VALUE
from lorafw.types import token_rows_name

_UPDATES = 2
"""LoRA's B moves in the first one, A, whose gradient is zero while B is, in the second."""
_ENOUGH = 1e-6
"""A learning rate that moves fp32 numbers under an optimizer that normalises gradients; steps of
smaller ones, as at the start of a long warmup, prove nothing."""
_NORMALISING = {"adamw", "lion", "adafactor", "adamw-8bit", "paged-adamw", "paged-adamw-8bit"}


class LearningGuard:
    """Watches the first steps of a process, and at the end those that only rare rows train.

    Experts see only some tokens, and trained rows of an embedding only theirs. So for them a step
    without a gradient is no fault; the user is told at the end of a run in which there was none.

    Args:
        job: what is trained.
        engine: where.
        whole_gradients: whether `Engine.gradients` can be asked.
    """

    def __init__(self, job: TrainJob, engine: Engine, *, whole_gradients: bool) -> None:
        self._job, self._engine = job, engine
        self._whole_gradients = whole_gradients
        self._before = self._values()
        self._still: set[str] = set(self._before)
        self._updates = 0

    @property
    def wants_gradients(self) -> bool:
        """Whether the gradients of the coming step are to be shown to `see_gradients`."""
        return self._whole_gradients and not self._updates

    def see_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """Look at who has a gradient; a zero one is one.

        Raises:
            TrainingError: some tensors have none, and no other rows could change that.
        """
        lacking = [name for name in self._before if name not in gradients]
        faulty = [name for name in lacking if len(lacking) == len(self._before) or _always(name)]
        if faulty:
            raise TrainingError(
                f"{len(faulty)} of {len(self._before)} trained tensors got no gradient in the "
                f"first step: {listed(faulty)}.",
                where="injector",
                mend="The model does not use them in its forward pass. Leave their modules out of "
                "what is trained.",
            )

    def see_step(self, outcome: StepOutcome, learning_rate: float) -> None:
        """After some steps that could move everything, look at what has moved; collective.

        Raises:
            TrainingError: a tensor is where it was, though its optimizer moves all it is given.
        """
        if outcome.skipped or learning_rate < _ENOUGH or not outcome.grad_norm:
            return
        if self._job.guide.wants_gradients:  # it may hold parameters where they are
            return
        self._updates += 1
        if self._updates == _UPDATES:
            self._look()

    def _look(self) -> None:
        self._still = self._unmoved()
        fixed = {n for n, s in self._job.model.learning_rate_scales().items() if not s}
        self._still -= fixed
        faulty = sorted(name for name in self._still if _always(name))
        if not faulty:
            return
        fault = (
            f"{len(faulty)} of {len(self._before)} trained tensors have not moved in "
            f"{_UPDATES} steps: {listed(faulty)}."
        )
        if self._job.plan.optimizer in _NORMALISING:
            raise TrainingError(
                fault,
                where="injector",
                mend="Either nothing of what they do reaches the loss, or the optimizer does not "
                "have them. Leave their modules out of what is trained.",
            )
        self._tell(fault)

    def see_end(self) -> None:
        """Tell of experts and rows of embeddings that were never trained; collective."""
        waiting = self._updates >= _UPDATES and {n for n in self._still if not _always(n)}
        never = sorted(waiting & self._unmoved()) if waiting else []
        if never:
            self._tell(
                f"{len(never)} of {len(self._before)} trained tensors are as they were at the "
                f"start, as no row used them: {listed(never)}."
            )

    def _tell(self, message: str) -> None:
        if self._engine.world.rank == 0:
            self._job.emit("notice", message=message)

    def _unmoved(self) -> set[str]:
        return {name for name, value in self._values().items() if value == self._before[name]}

    def _values(self) -> dict[str, int]:
        state = self._engine.state()
        return {name: int(content_of(tensors[VALUE])) for name, tensors in state.items()}


def _always(name: str) -> bool:
    """Whether every row can be expected to train a tensor.

    Not so with trained rows of embeddings, nor with what is in a list inside a list: one expert of
    several in one layer of several.
    """
    return not name.endswith(token_rows_name("")) and len(re.findall(r"(?<=\.)\d+(?=\.)", name)) < 2
