"""Scenario: the order in which things are trained, a short program against Session.

A scenario is run from its start again after a crash. What a session has finished it remembers, by
name, and gives at once: so a scenario names what it asks for, every name once, and keeps nothing
else than what it can compute again from there. Everything a session does is collective: every rank
runs the same program, and everything that comes back is the same on all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

from lorafw.contracts.component import Component
from lorafw.contracts.injector import AdaptedModel, LoRAInjector
from lorafw.contracts.objective import Objective
from lorafw.contracts.plan import TrainPlan
from lorafw.contracts.trainer import FitResult, Guide
from lorafw.types import Capability, Encoded, Example

if TYPE_CHECKING:
    from torch import Tensor

Tensors: TypeAlias = "Mapping[str, Tensor]"
"""fp32 tensors on the CPU, by name; of parameters by their canonical names."""

Steer: TypeAlias = "Callable[[Example], AbstractContextManager[Example]]"
"""What is done to the model for the sake of one held-out row; gives the row that is asked."""


@dataclass(frozen=True, slots=True)
class Task:
    """One data set of a sequence.

    Attributes:
        name: of its own among the tasks of a run; `train` where the run has one data set.
        rows: what is trained on.
        eval_rows: the held-out rows; may be empty.
        epochs: passes over `rows`.
        metrics: names of those it is judged by, beside its held-out loss; the first is its own.
    """

    name: str
    rows: Sequence[Encoded]
    eval_rows: Sequence[Encoded] = ()
    epochs: int = 1
    metrics: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Company:
    """What a scenario will work with, as far as it is known before data and weights are read.

    Attributes:
        tasks: their names, in the order they are listed; none, if the run has one data set.
    """

    injector: LoRAInjector
    objective: Objective
    plan: TrainPlan
    tasks: Sequence[str] = ()


class Session(Protocol):
    """What a scenario may do."""

    tasks: Sequence[Task]
    """In the order they were listed; one, if the run has one data set."""
    model: AdaptedModel
    """With its one live adapter. Its values are to be read and written by the methods below."""
    objective: Objective
    plan: TrainPlan
    """The run's; each task has its own `epochs`."""
    seed: int

    def fit(
        self,
        stage: str,
        *,
        task: Task | None = None,
        guide: Guide | None = None,
        objective: Objective | None = None,
    ) -> FitResult:
        """Train the live adapter on from what it is, with a fresh optimizer.

        Of a stage that is finished the result is told, and the live adapter takes the values it
        had at its end.

        Args:
            stage: a name of its own in this run.
            task: what to train on, and how long; the only one, if the run has one.
            guide: what is to be added to the training.
            objective: one to take in place of the run's, with the same units.

        Raises:
            Interrupted: the process was asked to stop; a checkpoint was written.
        """

    def evaluate(self) -> Mapping[str, float]:
        """Held-out figures of the model as it is, on all tasks together."""

    def score(self, stage: str, task: Task, *, steer: Steer | None = None) -> Mapping[str, float]:
        """Figures of the live model on a task's held-out rows; remembered.

        Args:
            stage: what has been trained so far; with the task's name, a name of its own.
            task: its held-out rows are measured: `loss`, and the figures of its metrics.
            steer: done to the model for each row, one after another.
        """

    def once(self, name: str, compute: Callable[[], Tensors]) -> Tensors:
        """What `compute` gives, computed once and kept in the run's folder; remembered.

        Args:
            name: a name of its own in this run.
            compute: called on every rank; what rank 0 made is kept.
        """

    def values(self) -> Tensors:
        """A copy of the trainable parameters as they are now."""

    def load(self, values: Tensors) -> None:
        """Write values into the trainable parameters; a fit then begins from them.

        Raises:
            AdapterError: a name is missing or too many, or a shape differs.
        """

    def reset(self) -> None:
        """Make the trainable parameters what they were before any training."""

    def gradient(self, rows: Sequence[Encoded], *, squared: bool = False) -> Tensors:
        """The gradient of the loss of given rows at the live values, without dropout.

        The same for any number of ranks and any micro-batches. The trainer must keep
        `WHOLE_PARAMETERS`. May be asked for inside `Guide.adjust` too.

        Args:
            rows: at least one.
            squared: give the mean over rows of the square of each row's own gradient, its loss
                being the sum over what it trains (the diagonal of the empirical Fisher
                information), in place of the gradient of the mean loss.
        """

    def embed(self, rows: Sequence[Encoded]) -> Tensor:
        """What the base model, without adapter, makes of rows: [rows, width], fp32 on the CPU.

        The mean over a row's prompt (all tokens before the first that is trained) of what comes
        out just before the head.
        """

    def draw(
        self,
        name: str,
        prompts: Sequence[Encoded],
        *,
        new_tokens: int,
        ends: Collection[int],
        temperature: float = 1.0,
        top_k: int = 0,
    ) -> Sequence[Sequence[int]]:
        """What the live model goes on with behind prompts, drawn at random; remembered.

        What is drawn depends on the live values, the run's seed, the name and a prompt's place.

        Args:
            name: a name of its own in this run.
            prompts: all their ids are given to the model.
            new_tokens: most tokens of a draw.
            ends: ids at which a draw ends; the one that ended it is its last.
            temperature: 0 takes the likeliest token each time.
            top_k: draw from this many of the likeliest tokens; 0 from all.

        Raises:
            UsageError: a prompt is empty or fills the model's context, a number is out of range,
                or the model is a classifier.
        """

    def prompt(self, task: Task, example: Example) -> Encoded:
        """What the model is given of a task's example before it answers; nothing is trained."""

    def longest(self, task: Task) -> int:
        """Most tokens of a row of a task: what its encoder allows and the model can read."""

    def save_adapter(self, name: str) -> None:
        """Export the live adapter to the folder `name` in the run's folder; remembered."""

    def note(self, **facts: object) -> None:
        """Write JSON values, by key, into the run's record."""

    def export(self) -> None:
        """Run every exporter of the config."""


class Scenario(Component, ABC):
    """The plot of a run."""

    takes_tasks: ClassVar[bool] = False
    """Whether it is for a run with a list of `tasks`; others are for one data set."""

    @property
    def requires(self) -> frozenset[Capability]:
        """What trainer and injector must offer between them, with these options."""
        return frozenset()

    def check(self, company: Company) -> None:
        """Refuse what cannot work together, before data and weights are read.

        Raises:
            CompositionError: it cannot, and why.
            ConfigError: an option of the scenario is wrong for these tasks.
        """

    @abstractmethod
    def run(self, session: Session) -> None:
        """Drive the session from start to end."""
