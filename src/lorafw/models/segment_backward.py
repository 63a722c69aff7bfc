"""Attention over segments for callers who write a backward pass of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lorafw.models import _cpu_segments
from lorafw.models.segment_attention import segment_attention, spans_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from lorafw.models._cpu_segments import Rows

__all__ = ["attend", "attend_backward"]


def attend(rows: Rows, boundaries: Sequence[int], *, scale: float) -> tuple[Tensor, Tensor]:
    """Let every token attend to itself and to the earlier tokens of its own segment.

    Args:
        rows: queries `[tokens, heads, head_dim]`, keys and values `[tokens, kv_heads, head_dim]`;
            views will do.
        boundaries: as in `segment_attention`, plain ints.
        scale: factor of the scores.

    Returns:
        `[tokens, heads, head_dim]`, and what `attend_backward` needs besides: on a CPU the
        log-sum-exp of the scores `[tokens, heads]`, elsewhere nothing, as an empty tensor.
    """
    if rows[0].device.type == "cpu":
        return _cpu_segments.attend(rows, spans_of(boundaries, len(rows[0])), scale)
    query, key, value = rows
    return segment_attention(query, key, value, boundaries, scale=scale), query.new_empty(0)


def attend_backward(
    grads: Rows,
    d_out: Tensor,
    rows: Rows,
    kept: tuple[Tensor, Tensor],
    boundaries: Sequence[int],
    *,
    scale: float,
) -> None:
    """Write the gradients of queries, keys and values.

    Where a device has no backward pass that can be called alone, the forward pass is run again.

    Args:
        grads: where to, in the shapes of `rows`; views will do.
        d_out: the gradient of what `attend` returned first.
        rows: as given to `attend`.
        kept: what `attend` returned.
        boundaries: as given to `attend`.
        scale: as given to `attend`.
    """
    if d_out.device.type == "cpu":
        spans = spans_of(boundaries, len(d_out))
        _cpu_segments.attend_backward(grads, d_out, rows, kept, spans, scale)
        return
    with torch.enable_grad():
        query, key, value = (each.detach().requires_grad_() for each in rows)
        out = segment_attention(query, key, value, boundaries, scale=scale)
    made = torch.autograd.grad(out, (query, key, value), d_out)
    for place, gradient in zip(grads, made, strict=True):
        place.copy_(gradient)
