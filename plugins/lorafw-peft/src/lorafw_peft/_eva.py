"""EVA: A starts as the directions in which a layer's inputs vary most."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from peft.utils.incremental_pca import IncrementalPCA
from torch.nn.functional import cosine_similarity

from lorafw.errors import AdapterError
from lorafw_peft._looking import look, sharing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from lorafw.contracts import ModelBundle
    from lorafw.types import AdapterSpec, Batch

_SETTLED = 0.99
"""Cosine between a direction and what it was a batch before, from which on it counts as found."""
_PASSES = 256
"""How many batches are looked at, the same ones again and again, before what is found is taken."""


def eva_downs(
    bundle: ModelBundle, spec: AdapterSpec, layers: Mapping[str, Any], batches: Sequence[Batch]
) -> dict[str, Tensor]:
    """A of every module, [r, in], by its canonical name (EVA, arXiv:2410.07170, section 3).

    PEFT's incremental PCA of the inputs of trained tokens, gone on with until no direction moves
    any more, as PEFT's own initialisation does for rho = 1. Ranks stay as they are.

    Raises:
        AdapterError: too few tokens reach a module, or the rank is too large for it.
    """
    found = {}
    for group in sharing(bundle, batches[0], layers):
        found[group[0]] = _Directions(max(map(spec.rank_of, group))), group
    for number, batch in enumerate(itertools.islice(itertools.cycle(batches), _PASSES)):
        open_ = {name: each.see for name, (each, _) in found.items() if not each.settled}
        if not open_ or (number == len(batches) and any(not e.seen for e, _ in found.values())):
            break
        look(bundle, batch, layers, open_, trained_only=True)
    return {
        spec.pair_of(module)[0]: directions.largest(spec.rank_of(module), module)
        for directions, group in found.values()
        for module in group
    }


class _Directions:
    """The principal directions of one layer's inputs, as far as they were seen."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pca = IncrementalPCA(n_components=count, lowrank=True, lowrank_seed=42)
        self._found: Tensor | None = None
        self.settled = False

    @property
    def seen(self) -> bool:
        """Whether there were rows enough to find any."""
        return self._found is not None

    def see(self, rows: Tensor) -> None:
        """Take in rows, [n, in], if there are enough for PEFT's PCA, which needs twice the rank."""
        if len(rows) < 2 * self._count:
            return
        if 2 * self._count > rows.shape[1]:
            fault = f"'eva' needs a rank of at most {rows.shape[1] // 2} here, not {self._count}."
            raise AdapterError(fault, where="injector.r")
        before = self._found
        self._pca.partial_fit(rows.float())
        found: Tensor = self._pca.components_
        self._found = found
        if before is not None:
            likeness = cosine_similarity(found, before).min().item()
            self.settled = math.isfinite(likeness) and likeness >= _SETTLED

    def largest(self, count: int, module: str) -> Tensor:
        """The first of them, [count, in]."""
        if self._found is None:
            fault = f"'eva' needs micro-batches of {2 * self._count} trained tokens, and no more \
than that reach {module}."
            mend = "Raise injector.init_rows or plan.micro_batch_tokens, or lower injector.r."
            raise AdapterError(fault, where="injector.init", mend=mend)
        return self._found[:count]
