"""An objective that also holds the model to what it said with older values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

import torch
import torch.nn.functional as F
from pydantic import ConfigDict, PrivateAttr
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lorafw.contracts import Hidden, ModelBundle, Objective
from lorafw.training.unhooked import unhooked
from lorafw.types import IGNORE_INDEX, Batch, Task

if TYPE_CHECKING:
    from lorafw.contracts import AdaptedModel
    from lorafw_continual.lwf import LwF


class Distilled(Objective):
    """The run's objective, and the distillation loss of Learning without forgetting beside it.

    One object serves a whole run; what it distils from changes between fits.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    task: ClassVar[Task] = Task.CAUSAL_LM
    units: ClassVar[tuple[str, ...]] = ("targets",)
    sums: ClassVar[tuple[str, ...]] = ("loss", "targets")
    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {
        "loss": "lower",
        "perplexity": "lower",
    }

    _own: Objective = PrivateAttr()
    _live: Mapping[str, nn.Parameter] = PrivateAttr()
    _options: Any = PrivateAttr()
    _old: Mapping[str, Tensor] = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, own: Objective, model: AdaptedModel, options: LwF) -> Self:
        """Around the run's objective, with nothing to distil from yet.

        Args:
            own: counts targets, as `causal-lm` does.
            model: whose values are swapped.
            options: weight, temperature, and rows of a chunk.
        """
        made = cls()
        made._own, made._live, made._options = own, model.trainable(), options
        return made

    def remember(self, values: Mapping[str, Tensor]) -> None:
        """Distil from the model with these values from now on."""
        self._old = {name: values[name].to(live) for name, live in self._live.items()}

    def counts(self, batch: Batch) -> Mapping[str, int]:
        """What the run's objective counts."""
        return self._own.counts(batch)

    def measure(self, bundle: ModelBundle, batch: Batch) -> Mapping[str, Tensor]:
        """What the run's objective measures."""
        return self._own.measure(bundle, batch)

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        """What the run's objective tells."""
        return self._own.summarise(totals)

    def loss(self, bundle: ModelBundle, batch: Batch, totals: Mapping[str, float]) -> Tensor:
        """The run's loss and λ_o T² KL(old ‖ new), summed over trained positions and divided."""
        if not self._old:
            return self._own.loss(bundle, batch, totals)
        with torch.no_grad(), self._as_it_was(), _without_dropout(bundle.module):
            old = _trained(bundle.hidden(batch.inputs), batch)
        seen = _Seen(bundle)
        loss = self._own.loss(cast("ModelBundle", seen), batch, totals)
        return loss + self._apart(bundle, old, _trained(seen.last, batch)) / totals["targets"]

    def _apart(self, bundle: ModelBundle, old: Tensor, new: Tensor) -> Tensor:
        """λ_o T² KL(old ‖ new) summed over rows before the head, [n, width] each."""
        heat, size = self._options.temperature, self._options.chunk_rows

        def of_chunk(before: Tensor, now: Tensor) -> Tensor:
            with torch.no_grad(), self._as_it_was():
                wanted = _log_softmax(bundle, before, heat)
            found = _log_softmax(bundle, now, heat)
            apart: Tensor = heat**2 * F.kl_div(found, wanted, reduction="sum", log_target=True)
            return apart

        chunks = zip(torch.split(old, size), torch.split(new, size), strict=True)
        parts = [checkpoint(of_chunk, *chunk, use_reentrant=False) for chunk in chunks]
        total: Tensor = self._options.weight * torch.stack(parts).sum()
        return total

    @contextmanager
    def _as_it_was(self) -> Iterator[None]:
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

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


class _Seen:
    """A bundle that keeps what came out of its model last, so that one forward pass serves two."""

    last: Hidden

    def __init__(self, bundle: ModelBundle) -> None:
        self._bundle = bundle

    def hidden(self, inputs: Mapping[str, Tensor]) -> Hidden:
        self.last = self._bundle.hidden(inputs)
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bundle, name)


def _trained(hidden: Hidden, batch: Batch) -> Tensor:
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
