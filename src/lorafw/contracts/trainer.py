"""Trainer: runs a training job somewhere and gives the trained model back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lorafw.contracts.component import Component
from lorafw.contracts.encoder import Encoder
from lorafw.contracts.engine import World
from lorafw.contracts.injector import AdaptedModel
from lorafw.contracts.objective import Objective
from lorafw.contracts.plan import TrainPlan
from lorafw.types import Capability, Encoded, Layout

if TYPE_CHECKING:
    from torch import Tensor, nn


Emit = Callable[..., None]
"""`emit(event, **payload)`: hands an event to the listeners."""


def silent(event: str, **payload: Any) -> None:
    """An `Emit` for those who do not listen."""


def numbered(row: int) -> str:
    """The name of a row of which no more is known than its index."""
    return f"row {row + 1}"


Ended = Literal["finished", "early stopping", "asked to stop"]
"""Why a fit ended."""


class Guide:
    """What is added to the training of a job; as it stands, nothing.

    It may keep what follows from the job and from the parameters' values alone: a resumed job asks
    a fresh one.
    """

    wants_gradients: bool = False
    """Whether `adjust` shall be called; needs a trainer with `SETTABLE_GRADIENTS`."""

    def penalty(self) -> Tensor | None:
        """What is added to the loss of every step, whatever its split: an fp32 scalar, or None.

        As `AdaptedModel.penalty`: called inside the wrapped forward pass, once per micro-batch.
        """
        return None

    def adjust(self, step: int, gradients: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The gradients to take a step along, between the last backward pass and the step.

        Args:
            step: number of the step, from 0.
            gradients: reduced, whole and unclipped fp32, by canonical name, the same on all ranks.

        Returns:
            As many, of the same shapes, the same on all ranks; they are clipped afterwards.
        """
        del step
        return gradients


@dataclass(frozen=True, slots=True)
class TrainJob:
    """One fit, apart from where it runs.

    Attributes:
        rows: the training rows, the same on every rank.
        eval_rows: the held-out rows; may be empty.
        layout: how rows share a batch.
        seed: with epoch and step, all that the order of rows depends on.
        checkpoints: folder for checkpoints, or None to write none.
        resume: continue from the newest checkpoint in that folder, if there is one.
        fingerprint: what a checkpoint must agree with to be continued, part by part (data, base,
            adapter, …): JSON values, options by name or a digest.
        accept_changed: parts that need not agree.
        row_name: what the user calls a training row, by its index in `rows`.
        guide: what a scenario adds to the training.
        prefix_cache: folder on whose disk training keeps, for as long as the fit lasts, what enters
            the lowest adapted layer; None to compute it every time.
    """

    model: AdaptedModel
    objective: Objective
    encoder: Encoder
    rows: Sequence[Encoded]
    plan: TrainPlan
    layout: Layout = Layout.PADDED
    eval_rows: Sequence[Encoded] = ()
    seed: int = 0
    emit: Emit = silent
    checkpoints: Path | None = None
    resume: bool = False
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    accept_changed: Collection[str] = ()
    row_name: Callable[[int], str] = numbered
    prefix_cache: Path | None = None
    guide: Guide = field(default_factory=Guide)


@dataclass(frozen=True, slots=True)
class FitResult:
    """How a fit ended.

    Attributes:
        steps: optimizer steps done, those before a resume included.
        first_loss, last_loss: training loss of the first and last step; None before any.
        evaluation: held-out figures of the model as it was left, after the last step or, with
            `export_best`, the best one; empty without held-out rows.
        evaluation_before: the same before the first step.
        tokens: tokens trained on in this process, padding not counted, over all ranks.
        seconds: wall time of the steps of this process.
        ended: why it ended.
        best_step: the step whose evaluation was the best; None without one after a step.
        best_figure: what the plan's `metric_for_best` was then.
        accepted_changes: what was changed on the way and accepted, a sentence for each.
        skipped_steps: those that updated nothing, as loss or gradients were not finite.
    """

    steps: int
    first_loss: float | None
    last_loss: float | None
    evaluation: Mapping[str, float]
    evaluation_before: Mapping[str, float]
    tokens: int
    seconds: float
    ended: Ended = "finished"
    best_step: int | None = None
    best_figure: float | None = None
    accepted_changes: Sequence[str] = ()
    skipped_steps: int = 0

    @property
    def stopped(self) -> bool:
        """Whether the job was asked to stop before its end."""
        return self.ended == "asked to stop"


class RunningTrainer(ABC):
    """A trainer whose processes know each other; lives for one run."""

    world: World

    @abstractmethod
    def share(self, value: Any) -> Any:
        """Rank 0's value, on every rank; collective."""

    @abstractmethod
    def fit(self, job: TrainJob) -> FitResult:
        """Train in place; the result is whole on every rank inside `full_parameters`."""

    @abstractmethod
    def evaluate(self, job: TrainJob) -> Mapping[str, float]:
        """Held-out figures of the model as it is; empty without held-out rows."""

    @abstractmethod
    def values(self, job: TrainJob) -> Mapping[str, Tensor]:
        """The trainable parameters of the job's model as they are, whole fp32 copies on the CPU.

        Collective.
        """

    @abstractmethod
    def load(self, job: TrainJob, values: Mapping[str, Tensor]) -> None:
        """Write values into the trainable parameters, wherever the backend keeps them; collective.

        Raises:
            AdapterError: a name is missing or too many, or a shape differs.
        """

    @abstractmethod
    def gather(self, value: Any) -> list[Any]:
        """What every rank gave, by rank, on every rank; collective."""

    @abstractmethod
    def sum_over_ranks(self, tensor: Tensor) -> Tensor:
        """The sum over ranks of a tensor on any device, on the same device; collective."""

    @abstractmethod
    def full_parameters(self, module: nn.Module) -> AbstractContextManager[None]:
        """While open, every parameter of the model is whole on this rank."""

    @abstractmethod
    def close(self) -> None:
        """Leave the process group; no collective."""


class Trainer(Component, ABC):
    """Chooses where and how a job runs; `EngineTrainer` needs only `connect` and `open_engine`."""

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[Capability]:
        """What the trainer can do with these options."""

    def variants(self) -> Sequence[Trainer]:
        """This trainer in every way of running that must give the same update.

        `lorafw verify` compares them; unless a trainer has more than one, itself.
        """
        return (self,)

    @abstractmethod
    def start(self) -> RunningTrainer:
        """Join the other processes of this job, if there are any.

        Raises:
            TrainingError: the backend is missing something on this machine.
        """
