"""An objective that also trains a generator of rows, and holds to what was said of drawn ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from itertools import compress, pairwise
from typing import TYPE_CHECKING, Self, cast

import torch
from pydantic import PrivateAttr
from torch import Tensor

from lorafw.contracts import ModelBundle, Objective
from lorafw.types import IGNORE_INDEX, Batch, Encoded
from lorafw_continual._old_values import OldValues, trained_rows
from lorafw_continual._wrapped_objective import SeenOnce, WrappedObjective

if TYPE_CHECKING:
    from lorafw.contracts import AdaptedModel
    from lorafw_continual.lfpt5 import LFPT5

Ids = tuple[int, ...]


class Generating(WrappedObjective):
    """L_task + λ_lm L_lm + λ_kl L_kl, each a sum over tokens, divided by all that are trained.

    What a row is told by its ids: one that begins with a task's mark is to be generated; the
    pseudo rows are known. So a batch may have rows of every kind.
    """

    _weights: tuple[float, float] = PrivateAttr()
    _old: OldValues = PrivateAttr()
    _marks: frozenset[Ids] = PrivateAttr()
    _pseudo: frozenset[Ids] = PrivateAttr(default=frozenset())

    @classmethod
    def of(
        cls, own: Objective, model: AdaptedModel, marks: Collection[Ids], options: LFPT5
    ) -> Self:
        """Around the run's objective, without pseudo rows yet.

        Args:
            own: counts targets, as `causal-lm` does.
            model: whose values are swapped.
            marks: what the rows that are to be generated begin with.
            options: λ_lm, λ_kl, and rows of a chunk.
        """
        made = cls()
        made._own, made._marks = own, frozenset(marks)
        made._weights = (options.lambda_lm, options.lambda_kl)
        made._old = OldValues(model, temperature=1.0, chunk_rows=options.chunk_rows)
        return made

    def hold(self, values: Mapping[str, Tensor], pseudo: Collection[Encoded]) -> None:
        """Hold to what the model with these values says of these pseudo rows from now on."""
        self._old.remember(values)
        self._pseudo = frozenset(tuple(row.input_ids) for row in pseudo)

    def loss(self, bundle: ModelBundle, batch: Batch, totals: Mapping[str, float]) -> Tensor:
        """This batch's share of all three; the last is KL(old ‖ new) on pseudo rows alone."""
        rows, (lambda_lm, lambda_kl) = _rows(batch), self._weights
        seen = cast("ModelBundle", SeenOnce(bundle))
        generated = _only(batch, rows, self._is_generated)
        solved = _only(batch, rows, lambda ids: not self._is_generated(ids))
        loss = self._own.loss(seen, solved, totals)
        loss = loss + lambda_lm * self._own.loss(seen, generated, totals)
        pseudo = _only(batch, rows, self._pseudo.__contains__)
        if not lambda_kl or not (pseudo.labels != IGNORE_INDEX).any():
            return loss
        old, new = self._old.rows(bundle, pseudo), trained_rows(seen.hidden(batch.inputs), pseudo)
        return loss + lambda_kl * self._old.divergence(bundle, old, new) / totals["targets"]

    def _is_generated(self, ids: Ids) -> bool:
        return any(ids[: len(mark)] == mark for mark in self._marks)


def _rows(batch: Batch) -> list[Ids]:
    """The ids of every row of a batch."""
    ids = batch.inputs["input_ids"].tolist()
    if (mask := batch.inputs.get("attention_mask")) is not None:
        return [tuple(compress(*row)) for row in zip(ids, mask.tolist(), strict=True)]
    return [tuple(ids[start:stop]) for start, stop in pairwise(batch.inputs["cu_seqlens"].tolist())]


def _only(batch: Batch, rows: list[Ids], chosen: Callable[[Ids], bool]) -> Batch:
    """The batch, trained on some of its rows alone."""
    labels = batch.labels
    verdicts = torch.tensor([chosen(ids) for ids in rows], device=labels.device)
    if labels.dim() == 2:
        keep = verdicts[:, None]
    else:
        lengths = torch.tensor([len(ids) for ids in rows], device=labels.device)
        keep = verdicts.repeat_interleave(lengths)
    return replace(batch, labels=labels.where(keep, IGNORE_INDEX))
