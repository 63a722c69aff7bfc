"""The weight of a layer as plain numbers, however it is held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lorafw.models.names import stores_transposed

if TYPE_CHECKING:
    from torch import Tensor


QUANTISED = frozenset({"Params4bit", "Int8Params"})
"""Names of bitsandbytes' classes of weights; it is not imported to ask."""


@torch.no_grad()
def dense_weight(layer: Any) -> Tensor:
    """A layer's weight in the layer's own layout; of 4 or 8 bits, the numbers they stand for.

    Returns:
        The weight itself where it is plain numbers; else a new tensor, of the dtype in which the
        layer computes (4 bits) or fp32 (8 bits).

    Raises:
        TypeError: it is held in a way not known here.
    """
    weight: Tensor = layer.weight
    if type(weight).__name__ in QUANTISED:
        four_bits = type(weight).__name__ == "Params4bit"
        return _from_4_bits(weight) if four_bits else _from_8_bits(layer)
    if weight.is_floating_point():
        return weight.detach()
    raise TypeError(f"its weight is {weight.dtype}, held in a way that lorafw does not know")


def weight_by_output(layer: Any) -> Tensor:
    """The weight as [out, in], of fp32; Conv1D keeps its own as [in, out]."""
    weight = dense_weight(layer)
    return (weight.t() if stores_transposed(layer) else weight).float()


def _from_4_bits(weight: Any) -> Tensor:
    from bitsandbytes.functional import dequantize_4bit

    dense: Tensor = dequantize_4bit(weight.data, weight.quant_state)
    return dense


def _from_8_bits(layer: Any) -> Tensor:
    """Each row has one scale; bitsandbytes moves it to the layer's state in the first pass."""
    scale = layer.state.SCB if layer.state.SCB is not None else layer.weight.SCB
    dense: Tensor = layer.weight.data.float() * (scale.float() / 127)[:, None]
    return dense
