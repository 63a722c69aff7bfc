"""How coarse a model's numbers are, and how far two sound computations with them may be apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from lorafw.models.dense import QUANTISED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

Precision: TypeAlias = Literal["fp32", "fp16", "bf16", "quantised"]
"""The coarsest form in which a model holds its weights."""

TOLERANCES: dict[Precision, float] = {
    "fp32": 1e-4,
    "fp16": 8 * 2**-10,
    "bf16": 8 * 2**-7,
    "quantised": 8 * 2**-7,
}
"""Typical (root mean square) difference of a logit, as a share of the logits, that is no fault.

In fp32 it stands for sums in another order, which were never seen to change more than a tenth of
it. fp16 and bf16 round each weight and each activation by up to half a unit in the last place, of
2^-10 and 2^-7; eight units are what a deep model's layers add up to. Quantised layers round their
inputs, or compute in bf16.
"""

_OUTLIER = 4
"""How much further off than is typical one logit of thousands may be where all are rounded."""

TIE = 1e-4
"""Logits nearer to each other than this are a tie: either token may be called the likeliest."""


def most_apart(precision: Precision) -> float:
    """The largest difference of a single logit that is no fault, a share of the largest logit."""
    return TOLERANCES[precision] * (1 if precision == "fp32" else _OUTLIER)


def precision_of(module: nn.Module, trained: Iterable[Tensor] = ()) -> Precision:
    """The coarsest form of a base's weights; what is trained is fp32 beside them.

    Args:
        module: the model, its frozen weights frozen.
        trained: what the weights that are not frozen were in the base: there they compute in its
            dtype again, wherever an adapter is opened.
    """
    import torch

    weights = [*(p for p in module.parameters() if not p.requires_grad), *trained]
    if any(type(weight).__name__ in QUANTISED for weight in weights):
        return "quantised"
    held = {weight.dtype for weight in weights}
    if torch.bfloat16 in held:
        return "bf16"
    return "fp16" if torch.float16 in held else "fp32"
