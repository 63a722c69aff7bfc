"""The factors of updates of experts that are one tensor: A and B of all of them in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.models.experts import ExpertSizes


def by_expert(a: Tensor, b: Tensor, experts: int) -> tuple[Tensor, Tensor]:
    """Views of A and B with the experts in front, in the order that PEFT gives them.

    Args:
        a: [experts * r, in], expert by expert.
        b: [out, r * experts], where the experts' first columns come first.
        experts: how many there are.

    Returns:
        A as [experts, r, in] and B as [experts, out, r].
    """
    down = a.view(experts, -1, a.shape[-1])
    up = b.view(b.shape[0], -1, experts).permute(2, 0, 1)
    return down, up


@torch.no_grad()
def merged_experts(
    weight: Tensor, a: Tensor, b: Tensor, scaling: float, sizes: ExpertSizes
) -> Tensor:
    """W + scaling * B A of every expert, formed in fp32, one expert at a time, and rounded once.

    Args:
        weight: as the base stores it, of `sizes`.
        a: see `by_expert`.
        b: see `by_expert`.
        scaling: the factor of the update.
        sizes: of the weight.

    Returns:
        A new tensor of the weight's shape and dtype.
    """
    wide = torch.promote_types(weight.dtype, torch.float32)
    merged = torch.empty_like(weight)
    for expert, (down, up) in enumerate(zip(*by_expert(a, b, sizes.experts), strict=True)):
        update = (up.to(wide) @ down.to(wide)).mul_(scaling)
        merged[expert] = (update.t() if sizes.transposed else update) + weight[expert].to(wide)
    return merged
