"""Causal attention over segments on a CPU, forward and backward."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["CpuSegments", "Rows", "Spans", "attend", "attend_backward"]

Spans: TypeAlias = list[tuple[int, int]]
"""Start and end of every segment."""

Rows: TypeAlias = "tuple[Tensor, Tensor, Tensor]"
"""Queries `[tokens, heads, dim]`, keys and values `[tokens, kv_heads, dim]`; views will do."""

# Query rows whose scores are held at once in the backward pass: more would leave the cache and
# waste work on the masked half, fewer would leave the matrix products too thin.
_BLOCK = 128

# Up to this head size a product with so few columns is formed with the thin factor on the left,
# which CPU libraries do several times faster in fp32 and never much slower.
_THIN = 16

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001


class CpuSegments(torch.autograd.Function):
    """Flash attention forward, and backward in blocks of plain matrix products."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, spans: Spans, scale: float
    ) -> Tensor:
        out, log_sum_exp = attend((query, key, value), spans, scale)
        ctx.save_for_backward(query, key, value, out, log_sum_exp)
        ctx.spans, ctx.scale = spans, scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        # Looked at once: where layers are computed again, they are made for one look.
        query, key, value, *kept = ctx.saved_tensors
        rows = query, key, value
        grads = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
        attend_backward(grads, d_out, rows, (kept[0], kept[1]), ctx.spans, ctx.scale)
        return *grads, None, None


def attend(rows: Rows, spans: Spans, scale: float) -> tuple[Tensor, Tensor]:
    """Causal attention within each span.

    Args:
        rows: query, key and value.
        spans: together all tokens.
        scale: factor of the scores.

    Returns:
        `[tokens, heads, dim]`, and the log-sum-exp of every row's scores `[tokens, heads]`, fp32
        or wider.
    """
    query = rows[0]
    out = query.new_empty(query.shape)
    log_sum_exp = query.new_empty(query.shape[:2], dtype=_wide(query.dtype))
    for start, stop in spans:
        heads_first = (each[None, start:stop].transpose(1, 2) for each in rows)
        segment, scores = _flash(*heads_first, 0.0, True, scale=scale)
        out[start:stop] = segment[0].transpose(0, 1)
        log_sum_exp[start:stop] = scores[0].t()
    return out, log_sum_exp


def attend_backward(
    grads: Rows,
    d_out: Tensor,
    rows: Rows,
    kept: tuple[Tensor, Tensor],
    spans: Spans,
    scale: float,
) -> None:
    """Write the gradients of `rows`, which are query, key and value, into `grads`.

    Both passes follow Dao et al. 2022 (arXiv:2205.14135, algorithm 1 and appendix B.4). With `L`
    the log-sum-exp of a row's scores and `D = rowsum(dO * O)`:

        P = exp(scale Q K^T - L)    dV = P^T dO      dS = P * (dO V^T - D)
                                    dK = scale dS^T Q    dQ = scale dS K

    `L` and `D` are subtracted inside the products: two more columns of `Q` and `dO` hold them,
    split into a high and a low part, and meet two columns of ones. So they enter before the product
    is rounded to bf16, which is nearer the truth than rounding large scores first, and leaves two
    passes over them in the dtype of the inputs. Query heads that share a key head are rows of one
    product; keys are never repeated.
    """
    (query, key, value), (out, log_sum_exp) = rows, kept
    kv_heads, group = key.shape[1], query.shape[1] // key.shape[1]
    delta = (d_out.to(log_sum_exp.dtype) * out).sum(-1)
    q = _fold(query, log_sum_exp / -scale, kv_heads)
    d_o = _fold(d_out, -delta, kv_heads)
    k, v = _with_ones(key), _with_ones(value)
    d_q, d_k, d_v = (torch.empty_like(rows[..., :-2]) for rows in (q, k, v))
    for start, stop in spans:
        queries, keys = slice(start * group, stop * group), slice(start, stop)
        d_k[:, keys], d_v[:, keys] = _segment_gradients(
            q[:, queries], d_o[:, queries], k[:, keys], v[:, keys], d_q[:, queries], scale=scale
        )
    by_token = d_q.view(kv_heads, len(query), group, -1).transpose(0, 1)
    grads[0].view(by_token.shape).copy_(by_token)
    grads[1].copy_(d_k.transpose(0, 1))
    grads[2].copy_(d_v.transpose(0, 1))


def _segment_gradients(
    q: Tensor, d_o: Tensor, k: Tensor, v: Tensor, d_q: Tensor, *, scale: float
) -> tuple[Tensor, Tensor]:
    """Fill `d_q` of one segment and return its gradients of keys and values, in fp32 or wider."""
    length, group = k.shape[1], q.shape[1] // k.shape[1]
    d_k, d_v = (torch.zeros_like(rows[..., :-2], dtype=_wide(k.dtype)) for rows in (k, v))
    for start in range(0, length, _BLOCK):
        stop = min(start + _BLOCK, length)
        rows = slice(start * group, stop * group)
        k_seen, v_seen = k[:, :stop], v[:, :stop]
        chances = _chances(q[:, rows], k_seen, start, scale)
        d_scores = torch.bmm(d_o[:, rows], v_seen.transpose(1, 2)).mul_(chances)
        d_q[:, rows] = _product(d_scores, k_seen[..., :-2], scale)
        d_k[:, :stop] += _product(d_scores.transpose(1, 2), q[:, rows, :-2])
        d_v[:, :stop] += _product(chances.transpose(1, 2), d_o[:, rows, :-2])
    return d_k.mul_(scale), d_v


def _product(scores: Tensor, rows: Tensor, scale: float = 1.0) -> Tensor:
    """`scale * scores @ rows`, scaled before it is rounded to bf16."""
    if rows.shape[-1] > _THIN:
        wide = rows.new_empty(*scores.shape[:2], rows.shape[-1])
        return wide.baddbmm_(scores, rows, beta=0, alpha=scale)
    thin = rows.new_empty(len(rows), rows.shape[-1], scores.shape[1])
    left, right = rows.transpose(1, 2), scores.transpose(1, 2)
    return thin.baddbmm_(left, right, beta=0, alpha=scale).transpose(1, 2)


def _chances(q: Tensor, k: Tensor, start: int, scale: float) -> Tensor:
    """Recompute `P` of the query tokens `start..` and all keys up to the last of them."""
    kv_heads, keys = k.shape[:2]
    scores = q.new_empty(kv_heads, q.shape[1], keys)
    chances = scores.baddbmm_(q, k.transpose(1, 2), beta=0, alpha=scale).exp_()
    # A future key may have given infinity; tril_ writes zeros, it does not multiply by them.
    for head in chances.view(kv_heads, keys - start, -1, keys).unbind(2):
        head[..., start:].tril_()
    return chances


def _fold(rows: Tensor, offset: Tensor, kv_heads: int) -> Tensor:
    """Lay `[tokens, heads, dim]` out as `[kv_heads, tokens * group, dim + 2]`.

    The last two columns add up to `offset` `[tokens, heads]`, more exactly than one could.
    """
    tokens, heads, dim = rows.shape
    folded = rows.new_empty(kv_heads, tokens, heads // kv_heads, dim + 2)
    by_token = folded.transpose(0, 1)
    offset = offset.view(by_token.shape[:-1])
    by_token[..., :-2] = rows.reshape(*offset.shape, dim)
    by_token[..., -2] = offset
    by_token[..., -1] = offset - by_token[..., -2]
    return folded.flatten(1, 2)


def _with_ones(rows: Tensor) -> Tensor:
    """Lay `[tokens, kv_heads, dim]` out as `[kv_heads, tokens, dim + 2]`, ones at the end."""
    return F.pad(rows.transpose(0, 1), (0, 2), value=1.0)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
