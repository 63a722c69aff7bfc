"""Engine: what differs between DDP, Accelerate and DeepSpeed, and nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from lorafw.types import Batch

if TYPE_CHECKING:
    from torch import Tensor, device, nn
    from torch.optim import Optimizer


TrainingState: TypeAlias = "dict[str, dict[str, Tensor]]"
"""Per canonical parameter name: its fp32 `value` and the optimizer's tensors by key.

Without any of the latter the optimizer has seen nothing yet.
"""


@dataclass(frozen=True, slots=True)
class World:
    """This process among its peers."""

    rank: int
    world_size: int
    device: device


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What one optimizer step did.

    Attributes:
        grad_norm: global gradient norm before clipping.
        skipped: the step was not applied, as its gradients are not finite.
    """

    grad_norm: float
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class EngineJob:
    """What core hands to an engine.

    Attributes:
        module: its `forward(inputs, labels, totals)` returns this batch's share of the global
            loss, or without totals what the objective measures.
        parameters: the trainable fp32 parameters under canonical names.
        optimizer: a torch optimizer over those parameters, built by core.
        max_grad_norm: clip the global norm to this, or None.
        layers: the blocks that the module repeats, for engines that gather weights block by block;
            empty for a model that cannot say.
    """

    module: nn.Module
    parameters: Mapping[str, nn.Parameter]
    optimizer: Optimizer
    max_grad_norm: float | None
    layers: Sequence[nn.Module] = ()


class Engine(ABC):
    """Forward, backward and step on one backend.

    The numeric promise: gradients are summed over micro-batches and averaged over ranks, and no
    other factor is applied (the loop multiplies the loss by the world size). Every rank calls
    the same methods in the same order, the same number of times.
    """

    world: World
    lockstep: bool = True
    """Whether every micro-batch is a collective, so that all ranks must run as many of them."""
    gradient_hooks: bool = True
    """Whether hooks on the job's parameters see a gradient before the engine does anything with it.

    Loss scaling needs that; an engine that puts others in their place (FSDP2) does without fp16.
    """

    @abstractmethod
    def forward(self, batch: Batch, totals: Mapping[str, float] | None) -> Tensor:
        """What the wrapped module returns for one micro-batch."""

    @abstractmethod
    def accumulate(self, *, last: bool) -> AbstractContextManager[None]:
        """Surrounds forward and backward of one micro-batch; gradients are reduced on the last."""

    @abstractmethod
    def backward(self, loss: Tensor) -> None:
        """Add this loss's gradients."""

    @abstractmethod
    def gradients(self) -> dict[str, Tensor]:
        """Reduced, whole, unclipped gradients by name, between the last backward and the step."""

    def set_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """Put whole gradients in the place of the reduced ones; the step clips and takes them.

        Raises:
            TrainingError: the backend keeps no gradients that could be replaced; its trainer then
                does not offer `SETTABLE_GRADIENTS`.
        """
        from lorafw.errors import TrainingError

        del gradients
        raise TrainingError("this trainer's gradients cannot be replaced.")

    @abstractmethod
    def step(self, *, learning_rate: float) -> StepOutcome:
        """Clip, update at `learning_rate` times each group's `lr_scale`, and zero gradients.

        Where the norm of the gradients is not finite nothing is updated, on any rank: they are
        forgotten, and the outcome says `skipped`.
        """

    @abstractmethod
    def discard(self) -> None:
        """Forget what was accumulated since the last step, as if it had never been.

        Collective only where `lockstep` is: a rank that ran out of memory calls it alone.

        Called where a step is given up: the loss was not finite, or memory ran out in the middle
        of a forward or backward pass.
        """

    @abstractmethod
    def all_reduce_sum(self, tensor: Tensor) -> Tensor:
        """Sum over ranks, in place."""

    @abstractmethod
    def state(self) -> TrainingState:
        """Values and optimizer state, whole, on the CPU; collective."""

    @abstractmethod
    def load_state(self, state: TrainingState) -> None:
        """Continue from a state that any engine wrote; parameter identity is kept; collective."""

    @abstractmethod
    def full_parameters(self) -> AbstractContextManager[None]:
        """While open, every rank holds every parameter whole (reading only).

        A rank can run the module alone then, without the others and without gradients.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the module back unwrapped; no collective."""
