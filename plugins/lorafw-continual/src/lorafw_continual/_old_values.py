"""What a model said with older values of what is trained, and how far the live one is from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lorafw.contracts import Hidden, ModelBundle
from lorafw.training.unhooked import unhooked
from lorafw.types import IGNORE_INDEX, Batch

if TYPE_CHECKING:
    from lorafw.contracts import AdaptedModel


class OldValues:
    """Older values of a model's trainable parameters, put in for as long as they are looked at.

    Args:
        model: whose values are swapped.
        temperature: T; both distributions are softened by it.
        chunk_rows: positions whose logits, old and new, are held at a time.
    """

    def __init__(self, model: AdaptedModel, *, temperature: float, chunk_rows: int) -> None:
        self._live = model.trainable()
        self._heat, self._size = temperature, chunk_rows
        self._old: Mapping[str, Tensor] = {}

    def __bool__(self) -> bool:
        return bool(self._old)

    def remember(self, values: Mapping[str, Tensor]) -> None:
        """Look at these from now on."""
        self._old = {name: values[name].to(live) for name, live in self._live.items()}

    def rows(self, bundle: ModelBundle, batch: Batch) -> Tensor:
        """What comes out before the head at trained positions, undropped: [n, width]."""
        with torch.no_grad(), self._put_in(), _without_dropout(bundle.module):
            return trained_rows(bundle.hidden(batch.inputs), batch)

    def divergence(self, bundle: ModelBundle, old: Tensor, new: Tensor) -> Tensor:
        """T² KL(old ‖ new) summed over rows before the head, [n, width] each."""

        def of_chunk(before: Tensor, now: Tensor) -> Tensor:
            with torch.no_grad(), self._put_in():
                wanted = _log_softmax(bundle, before, self._heat)
            found = _log_softmax(bundle, now, self._heat)
            apart: Tensor = F.kl_div(found, wanted, reduction="sum", log_target=True)
            return self._heat**2 * apart

        chunks = zip(torch.split(old, self._size), torch.split(new, self._size), strict=True)
        parts = [checkpoint(of_chunk, *chunk, use_reentrant=False) for chunk in chunks]
        return torch.stack(parts).sum()

    @contextmanager
    def _put_in(self) -> Iterator[None]:
        """While open, the live parameters have the old values.

        Their storage is exchanged and not written to, so a graph through them stays right.
        """
        now = {name: parameter.data for name, parameter in self._live.items()}
        try:
            for name, parameter in self._live.items():
                parameter.data = self._old[name]
            yield
        finally:
            for name, parameter in self._live.items():
                parameter.data = now[name]


def trained_rows(hidden: Hidden, batch: Batch) -> Tensor:
    """The rows before the head at positions that are trained: [n, width]."""
    chosen = (batch.labels != IGNORE_INDEX).flatten().nonzero().squeeze(1)
    return hidden.rows.flatten(0, -2).index_select(0, chosen)


def _log_softmax(bundle: ModelBundle, rows: Tensor, heat: float) -> Tensor:
    with unhooked(bundle.head):
        logits = bundle.logits(rows)
    wide = torch.promote_types(logits.dtype, torch.float32)
    return F.log_softmax(logits.to(wide) / heat, dim=-1)


@contextmanager
def _without_dropout(module: nn.Module) -> Iterator[None]:
    """While open, nothing is dropped; every part is then switched back to what it was."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes:
            part.training = mode
