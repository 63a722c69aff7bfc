"""The frozen weights of a base leave training as they entered it, bit for bit."""

from __future__ import annotations

import torch

from lorafw.contracts.engine import Engine
from lorafw.contracts.injector import AdaptedModel
from lorafw.errors import TrainingError
from lorafw.training.guards.content import content_of
from lorafw.training.guards.wording import listed


class FrozenGuard:
    """Remembers what the frozen weights hold; under ZeRO-3 and FSDP2 this rank's part of them."""

    def __init__(self, model: AdaptedModel, engine: Engine) -> None:
        self._engine = engine
        frozen = model.frozen().items()
        self._weights = {name: tensor for name, tensor in frozen if not tensor.is_meta}
        self._before = {name: content_of(tensor) for name, tensor in self._weights.items()}

    def check(self) -> None:
        """Compare; collective.

        Raises:
            TrainingError: a weight differs, on any rank.
        """
        if not self._weights:
            return
        names = list(self._weights)
        changed = [self._is_changed(name) for name in names]
        flags = torch.stack(changed).to(self._engine.world.device, torch.float32)
        found = self._engine.all_reduce_sum(flags).tolist()
        if any(found):
            faulty = [name for name, flag in zip(names, found, strict=True) if flag]
            raise TrainingError(
                f"training changed weights of the base that are frozen: {listed(faulty)}.",
                mend="The adapter does not fit the base any more. What changes them? Look at the "
                "plugins of this run: injector, objective and trainer.",
            )

    def _is_changed(self, name: str) -> torch.Tensor:
        weight = self._weights[name]
        now = content_of(weight)
        return (now != self._before[name].to(now.device)).to(self._engine.world.device)
