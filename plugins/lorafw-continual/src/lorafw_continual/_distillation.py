"""An objective that also holds the model to what it said with older values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self, cast

from pydantic import PrivateAttr
from torch import Tensor

from lorafw.contracts import ModelBundle, Objective
from lorafw.types import Batch
from lorafw_continual._old_values import OldValues, trained_rows
from lorafw_continual._wrapped_objective import SeenOnce, WrappedObjective

if TYPE_CHECKING:
    from lorafw.contracts import AdaptedModel
    from lorafw_continual.lwf import LwF


class Distilled(WrappedObjective):
    """The run's objective, and the distillation loss of Learning without forgetting beside it.

    What it distils from changes between fits.
    """

    _weight: float = PrivateAttr()
    _old: OldValues = PrivateAttr()

    @classmethod
    def of(cls, own: Objective, model: AdaptedModel, options: LwF) -> Self:
        """Around the run's objective, with nothing to distil from yet.

        Args:
            own: counts targets, as `causal-lm` does.
            model: whose values are swapped.
            options: weight, temperature, and rows of a chunk.
        """
        made, heat = cls(), options.temperature
        made._own, made._weight = own, options.weight
        made._old = OldValues(model, temperature=heat, chunk_rows=options.chunk_rows)
        return made

    def remember(self, values: Mapping[str, Tensor]) -> None:
        """Distil from the model with these values from now on."""
        self._old.remember(values)

    def loss(self, bundle: ModelBundle, batch: Batch, totals: Mapping[str, float]) -> Tensor:
        """The run's loss and λ_o T² KL(old ‖ new), summed over trained positions and divided."""
        if not self._old:
            return self._own.loss(bundle, batch, totals)
        before = self._old.rows(bundle, batch)
        seen = SeenOnce(bundle)
        loss = self._own.loss(cast("ModelBundle", seen), batch, totals)
        now = trained_rows(seen.hidden(batch.inputs), batch)
        apart = self._old.divergence(bundle, before, now)
        return loss + self._weight * apart / totals["targets"]
