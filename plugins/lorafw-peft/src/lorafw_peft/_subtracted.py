"""A start that adds to the output, subtracted again so that the base keeps its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peft import LoraConfig

from lorafw.adapters.live.subtracted_starts import with_starts
from lorafw_peft._lora_layers import NAME, factors_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from lorafw.types import AdapterSpec, AdapterState

_START = "start"


class SubtractedStart:
    """A second, frozen adapter in every layer, which takes off what the first began with.

    A layer computes W·x + s·(B·A - B₀·A₀)·x. PEFT itself writes W - s·B₀·A₀ into the base, which
    rounds it to the base's dtype and cannot be done to a quantised one; here that costs two more
    products of rank r per layer, and the memory of A₀ and B₀, but the base is never touched.

    Args:
        layers: PEFT's layers by module; changed in place.
        spec: of the adapter that is trained.

    Attributes:
        factors: A₀ and B₀, fp32, under the names of A and B.
    """

    def __init__(self, layers: Mapping[str, Any], spec: AdapterSpec) -> None:
        self._spec = spec
        self.factors: dict[str, nn.Parameter] = {}
        for module, layer in layers.items():
            _add(layer, spec.rank_of(module), -spec.scaling_of(module))
            for name, factor in zip(spec.pair_of(module), factors_of(layer, _START), strict=True):
                factor.data, factor.requires_grad = factor.data.float(), False
                self.factors[name] = factor

    def as_plain_lora(self, state: AdapterState) -> AdapterState:
        """The same update as LoRA of rank 2r, in the form in which everyone reads it."""
        pairs = {module: self._spec.pair_of(module) for module in self._spec.targets}
        starts = {m: (self.factors[down], self.factors[up]) for m, (down, up) in pairs.items()}
        return with_starts(state, starts)


def _add(layer: Any, rank: int, scaling: float) -> None:
    config = LoraConfig(r=rank, init_lora_weights=False)
    layer.update_layer(_START, rank, rank, config=config)
    layer.scaling[_START] = scaling
    layer.set_adapter([NAME, _START])
