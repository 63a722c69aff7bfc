"""Loss scaling: keeps gradients that pass through fp16 from vanishing.

The loss of a micro-batch is multiplied by a power of two before its backward pass, and a hook on
every trained parameter divides the gradient by it again, in fp32, before any engine sees it. So
engines need to know nothing of it, and clipping, norms and checkpoints are those of the gradients
themselves (Micikevicius et al. 2018, arXiv:1710.03740, section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lorafw.contracts.engine import Engine
from lorafw.contracts.injector import AdaptedModel
from lorafw.errors import CompositionError

PATIENCE = 2000
"""Good steps in a row before the scale is doubled."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What the loss is multiplied by, and for how many good steps it has been.

    Part of a checkpoint. It starts at 2^16, is halved when a gradient overflows, and doubled after
    `PATIENCE` good steps.
    """

    factor: float = 2.0**16
    good_steps: int = 0

    def halved(self) -> Scale:
        """After an overflow."""
        return Scale(self.factor / 2)

    def after_good_step(self) -> Scale:
        """After a step that was applied."""
        if self.good_steps + 1 < PATIENCE:
            return replace(self, good_steps=self.good_steps + 1)
        return Scale(self.factor * 2)


def needs_scaling(module: nn.Module) -> bool:
    """Whether gradients pass through fp16 in this model: some of its weights are."""
    return any(parameter.dtype is torch.float16 for parameter in module.parameters())


class LossScaling:
    """The scale of one job. For a model without fp16 weights it is 1, and nothing is hooked.

    Raises:
        CompositionError: the model needs it, and the engine takes parameters away from their hooks.
    """

    def __init__(self, model: AdaptedModel, engine: Engine) -> None:
        self._device = engine.world.device
        self._parameters = list(model.trainable().values())
        self.scale = Scale() if needs_scaling(model.bundle.module) else None
        self._overflow = torch.zeros((), device=self._device)
        if self.scale is not None and not engine.gradient_hooks:
            raise CompositionError(
                "this trainer cannot scale the loss, as weights in fp16 need it.",
                where="model.dtype",
                mend="Use bf16 or fp32, or a trainer that does not partition parameters as FSDP2.",
            )

    @property
    def factor(self) -> float:
        """What the loss is multiplied by."""
        return 1.0 if self.scale is None else self.scale.factor

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """While open, gradients are divided by the factor as they reach the parameters."""
        with ExitStack() as hooks:
            for parameter in self._parameters if self.scale is not None else ():
                handle = parameter.register_hook(self._unscaled)  # type: ignore[no-untyped-call]
                hooks.callback(handle.remove)
            yield

    def _unscaled(self, gradient: Tensor) -> Tensor:
        self._overflow += (~gradient.isfinite()).any()
        return gradient / self.factor  # a power of two: nothing is rounded

    def taken_overflow(self) -> list[Tensor]:
        """Whether a gradient of this rank overflowed since it was last asked: one flag, or none."""
        if self.scale is None:
            return []
        flag, self._overflow = self._overflow, torch.zeros((), device=self._device)
        return [flag]

    def lower(self) -> bool:
        """Halve the scale after an overflow; False if it is 1 and the gradient itself overflows."""
        if self.scale is None or self.scale.factor <= 1:
            return False
        self.scale = self.scale.halved()
        return True

    def note_good_step(self) -> None:
        """A step was applied."""
        if self.scale is not None:
            self.scale = self.scale.after_good_step()

    def restore(self, scale: Scale | None) -> None:
        """Continue with a checkpoint's scale; one that has none leaves the start."""
        if self.scale is not None and scale is not None:
            self.scale = scale
