"""An objective that chooses prompts for every row, and pulls their keys towards it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from pydantic import PrivateAttr
from torch import Tensor

from lorafw.errors import CompositionError
from lorafw.training.embedding_noise import Places
from lorafw.training.unhooked import unhooked
from lorafw.types import IGNORE_INDEX
from lorafw_continual._prompt_pool import TABLE, Pool
from lorafw_continual._wrapped_objective import WrappedObjective

if TYPE_CHECKING:
    from lorafw.contracts import AdaptedModel, ModelBundle, Objective
    from lorafw.types import Batch


class Prompted(WrappedObjective):
    """The run's objective with prompts chosen by row, and λ Σ γ(q(x), k) of the chosen keys."""

    _model: AdaptedModel = PrivateAttr()
    _pool: Pool = PrivateAttr()
    _weight: float = PrivateAttr()

    @classmethod
    def of(cls, own: Objective, model: AdaptedModel, pool: Pool, weight: float) -> Self:
        """Around the run's objective.

        Args:
            own: counts targets, as `causal-lm` does.
            model: has the pool's table of virtual tokens.
            pool: how prompts and keys lie in it.
            weight: λ.
        """
        made = cls()
        made._own, made._model, made._pool, made._weight = own, model, pool, weight
        return made

    def loss(self, bundle: ModelBundle, batch: Batch, totals: Mapping[str, float]) -> Tensor:
        """The run's loss, and λ times how far rows are from their keys, by their trained tokens."""
        rows = Rows.of(batch)
        with self._prompted(bundle, batch, rows) as cosines:
            loss = self._own.loss(bundle, batch, totals)
        apart = (1 - cosines).sum(1) @ rows.trained.sum(1).to(cosines)
        return loss + self._weight * apart / totals["targets"]

    def measure(self, bundle: ModelBundle, batch: Batch) -> Mapping[str, Tensor]:
        """What the run's objective measures of rows with their prompts."""
        with self._prompted(bundle, batch, Rows.of(batch)):
            return self._own.measure(bundle, batch)

    @contextmanager
    def _prompted(self, bundle: ModelBundle, batch: Batch, rows: Rows) -> Iterator[Tensor]:
        """While open, each row has its prompts; gives the cosines of their keys, [rows, N]."""
        keys = self._pool.keys(self._model.trainable()[TABLE])
        found = self._queries(bundle, batch, rows)
        if found.shape[1] != keys.shape[1]:
            fault = f"keys are as wide as tokens, {keys.shape[1]}, and queries are {found.shape[1]}"
            raise CompositionError(f"{fault} wide.", where="scenario l2p", mend="Take another.")
        cosines, numbers = self._pool.nearest(found.to(keys), keys)
        with self._model.showing(self._pool.tokens_of(numbers)):
            yield cosines

    @torch.no_grad()
    def _queries(self, bundle: ModelBundle, batch: Batch, rows: Rows) -> Tensor:
        """What the base makes of rows' prompts, as `Session.embed`: [rows, width]."""
        module: Any = bundle.module
        # What is added to embeddings in training (NEFTune) is not there when rows are answered.
        with self._model.disabled(), unhooked(module.get_input_embeddings()):
            hidden = bundle.hidden(batch.inputs).rows.flatten(0, -2)
        hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
        looked_at = rows.prompts.to(hidden)
        return looked_at @ hidden / looked_at.sum(1, keepdim=True).clamp(min=1)


@dataclass(frozen=True, slots=True)
class Rows:
    """Which positions of a batch, in either layout, are what of which row: bool [rows, positions].

    Attributes:
        trained: those whose next token is trained.
        prompts: those up to the first of these; all of a row where nothing is trained.
    """

    trained: Tensor
    prompts: Tensor

    @classmethod
    def of(cls, batch: Batch) -> Rows:
        """Those of a batch whose labels are shifted already."""
        places = Places.of(batch.inputs)
        number = torch.arange(places.rows, device=places.row.device)[:, None]
        inside = (places.row == number) & places.real
        trained = inside & (batch.labels.flatten() != IGNORE_INDEX)
        before = trained.cumsum(1) - trained.long()
        return cls(trained, inside & (before == 0))
