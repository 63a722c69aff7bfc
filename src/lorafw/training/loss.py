"""Summed cross-entropy of the labelled rows, without ever holding all of their logits.

Only positions that have a label reach the head, a chunk of rows at a time. `label_loss` is for a
plain frozen head and finishes its gradient during the forward pass; `chunked_loss` takes any head
and leaves the gradient to autograd. Both return a sum, not a mean, and both run as they are under
`torch.no_grad()` for evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["chunked_loss", "label_loss"]

# Rows turned to fp32 at a time on a CPU: few enough that they stay in its cache from the softmax
# until the gradient has been written back.
_CACHED_ROWS = 16


def label_loss(
    rows: Tensor, targets: Tensor, head_weight: Tensor, *, chunk_rows: int = 512
) -> Tensor:
    """Sum the cross-entropies of `rows` under a frozen head without a bias.

    Logits `z` are computed for `chunk_rows` rows at a time, in the dtype of `rows` (under autocast,
    in autocast's). From there all is fp32: a row costs `logsumexp(z) - z[target]`. The gradient for
    `z`, which is `softmax(z) - onehot(target)`, is rounded to the dtype of `z` and multiplied by
    the head while the chunk is at hand. So backward needs neither logits nor head, and a sharded
    head need only be gathered for the forward pass.

    Args:
        rows: hidden rows that have a label, `[n, width]`; `n` may be 0.
        targets: their vocabulary ids, `[n]` int64, each in `0..vocab-1`.
        head_weight: `[vocab, width]`; cast to the dtype of the logits where it differs.
        chunk_rows: how many rows have logits at any one time.

    Returns:
        A scalar, fp64 for fp64 rows and fp32 otherwise; exactly 0 when there are no rows.

    Raises:
        ValueError: `head_weight` wants a gradient; use `chunked_loss`.
    """
    if torch.is_grad_enabled() and head_weight.requires_grad:
        raise ValueError("label_loss gives head_weight no gradient; use chunked_loss for this head")
    if torch.is_autocast_enabled(rows.device.type):
        rows = rows.to(torch.get_autocast_dtype(rows.device.type))
    rows = rows if torch.is_grad_enabled() else rows.detach()
    loss: Tensor = _LabelLoss.apply(  # type: ignore[no-untyped-call]
        rows, targets, head_weight.to(rows.dtype), chunk_rows
    )
    return loss


def chunked_loss(
    rows: Tensor, targets: Tensor, logits: Callable[[Tensor], Tensor], *, chunk_rows: int = 512
) -> Tensor:
    """Sum the cross-entropies of `rows` under any head: trainable, biased, soft-capped.

    Each chunk is checkpointed: its logits are dropped after the forward pass and computed anew in
    the backward pass. Without rows the head is still called once, on `[0, width]`, so that its
    parameters take part in the graph and get zero gradients.

    Args:
        rows: hidden rows that have a label, `[n, width]`; `n` may be 0.
        targets: their vocabulary ids, `[n]` int64, each in `0..vocab-1`.
        logits: the head, from `[k, width]` to `[k, vocab]`.
        chunk_rows: how many rows have logits at any one time.

    Returns:
        A scalar, fp64 for fp64 logits and fp32 otherwise; exactly 0 when there are no rows.
    """

    def chunk_loss(chunk: Tensor, wanted: Tensor) -> Tensor:
        scores = logits(chunk)
        return F.cross_entropy(scores.to(_wide(scores.dtype)), wanted, reduction="sum")

    pieces = zip(torch.split(rows, chunk_rows), torch.split(targets, chunk_rows), strict=True)
    losses = [checkpoint(chunk_loss, *piece, use_reentrant=False) for piece in pieces]
    return torch.stack(losses).sum()


class _LabelLoss(torch.autograd.Function):
    """The loss of `label_loss`, and its gradient computed on the way."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, targets: Tensor, head: Tensor, chunk_rows: int) -> Tensor:
        total = rows.new_zeros((), dtype=_wide(rows.dtype))
        d_rows = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        buffer = rows.new_empty(min(chunk_rows, len(rows)), len(head))
        for start in range(0, len(rows), chunk_rows):
            chunk = slice(start, min(start + chunk_rows, len(rows)))
            logits = torch.mm(rows[chunk], head.t(), out=buffer[: chunk.stop - start])
            total += _sum_losses(logits, targets[chunk], gradient=d_rows is not None)
            if d_rows is not None:
                torch.mm(logits, head, out=d_rows[chunk])
        if d_rows is not None:
            ctx.save_for_backward(d_rows)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor | None, ...]:
        (d_rows,) = ctx.saved_tensors
        return d_rows * d_loss, None, None, None


def _sum_losses(logits: Tensor, targets: Tensor, *, gradient: bool) -> Tensor:
    """Sum the losses of a chunk; with `gradient`, write the logits' gradient over them."""
    block_rows = _CACHED_ROWS if logits.device.type == "cpu" else len(logits)
    total = logits.new_zeros((), dtype=_wide(logits.dtype))
    blocks = torch.split(logits, block_rows), torch.split(targets[:, None], block_rows)
    for block, wanted in zip(*blocks, strict=True):
        scores = block.to(total.dtype)
        # Softmax instead of exp, sum and division: fewer passes, and unlike exp alone it stays fast
        # where scores lie so far below the largest that their exponentials are subnormal.
        chances = scores.softmax(dim=-1)
        # The largest chance is exp(0) / sum(exp(scores - largest)): hence the log-sum-exp.
        log_sum_exp = scores.amax(-1, keepdim=True) - chances.amax(-1, keepdim=True).log()
        total += (log_sum_exp - scores.gather(1, wanted)).sum()
        if gradient:
            block.copy_(chances.scatter_add_(1, wanted, chances.new_full(wanted.shape, -1.0)))
    return total


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
