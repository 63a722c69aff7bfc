"""Causal attention over several sequences laid end to end, alone and inside transformers models.

`segment_attention` is the computation. `register` makes it an attention implementation of
transformers called `NAME`, and `segment_inputs` gives what a model's forward needs to use it,
without the `[tokens, tokens]` mask that rows laid end to end otherwise cost.
"""

from __future__ import annotations

import functools
import inspect
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Spans = list[tuple[int, int]]

__all__ = ["NAME", "register", "segment_attention", "segment_inputs"]

NAME = "lorafw"
"""The `attn_implementation` under which `register` makes segments known."""

# Query rows whose scores are held at once in the backward pass on a CPU: more would leave its cache
# and waste work on the masked half, fewer would leave the matrix products too thin.
_BLOCK = 128

# Up to this head size a product with so few columns is formed with the thin factor on the left,
# which CPU libraries do several times faster in fp32 and never much slower.
_THIN = 16

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001


def segment_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    boundaries: Tensor | Sequence[int],
    *,
    scale: float,
    longest: int | None = None,
) -> Tensor:
    """Let every token attend to itself and to the earlier tokens of its own segment.

    Args:
        query: `[tokens, heads, head_dim]`, in the dtype of key and value unless under autocast.
        key: `[tokens, kv_heads, head_dim]`; `kv_heads` divides `heads`.
        value: `[tokens, kv_heads, head_dim]`.
        boundaries: where each segment starts, then the number of tokens: `0 = b[0] <= ... <=
            b[segments] = tokens`. An int32 tensor or plain ints. A tensor on a GPU is read back,
            which waits for the GPU, unless `longest` is given and the variable-length flash kernel
            serves (fp16, bf16).
        scale: factor of the scores, usually `head_dim ** -0.5`.
        longest: length of the longest segment, where the caller knows it.

    Returns:
        `[tokens, heads, head_dim]` in the dtype of the inputs.

    Raises:
        ValueError: `boundaries` do not rise from 0 to `tokens` (unchecked where not read back).
    """
    device = query.device
    if torch.is_autocast_enabled(device.type):
        dtype = torch.get_autocast_dtype(device.type)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    if (varlen := _varlen_kernel(query, value)) is not None:
        longest = longest or _longest(boundaries)
        edges = torch.as_tensor(boundaries, dtype=torch.int32, device=device)
        out: Tensor = varlen(query, key, value, edges, edges, longest, longest, scale=scale)
        return out
    spans = _spans(boundaries, len(query))
    if device.type == "cpu" and query.shape[-1] == value.shape[-1]:
        out = _CpuSegments.apply(  # type: ignore[no-untyped-call]
            query, key, value, spans, scale
        )
        return out
    return _each_alone(query, key, value, spans, scale)


def segment_inputs(boundaries: Tensor | Sequence[int]) -> dict[str, Any]:
    """Return what to pass to a model's forward so that its rows are taken as segments.

    The model must use the attention implementation `NAME` and get `input_ids` and `position_ids` of
    shape `[1, tokens]`, positions starting anew in every segment:

        model(input_ids=ids, position_ids=positions, use_cache=False, **segment_inputs(boundaries))

    The names are those under which transformers hands boundaries to flash attention. The empty
    four-dimensional mask is for transformers, which returns such a mask as it is where it would
    build one of `[tokens, tokens]`; `NAME` never looks at it, and any other attention that gets it
    by mistake fails on its shape rather than mixing segments.

    Args:
        boundaries: as in `segment_attention`, each layer of which gets them as they are here.
    """
    longest = _longest(boundaries)
    return {
        "attention_mask": torch.empty(1, 1, 0, 0, dtype=torch.bool),
        "cu_seq_lens_q": boundaries,
        "cu_seq_lens_k": boundaries,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def register() -> None:
    """Make `NAME` an `attn_implementation` of transformers; calling it again is harmless.

    Given `segment_inputs`, it runs `segment_attention`. All else, such as padded batches and
    generation with a cache, gets the mask and the computation of `sdpa`.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, functools.partial(_attend, padded=sdpa_attention_forward))
    AttentionMaskInterface.register(NAME, sdpa_mask)


def _attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    padded: Callable[..., tuple[Tensor, None]],
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers asks: `[rows, heads, tokens, dim]` to `[rows, tokens, heads, dim]`."""
    boundaries = options.get("cu_seq_lens_q")
    if boundaries is None:
        return padded(module, query, key, value, attention_mask, scaling=scaling, **options)
    longest = options.get("max_length_q") or _longest(boundaries)
    _refuse(module, query, key, longest, options)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    q, k, v = (heads[0].transpose(0, 1) for heads in (query, key, value))
    return segment_attention(q, k, v, boundaries, scale=scale, longest=longest)[None], None


def _refuse(
    module: torch.nn.Module, query: Tensor, key: Tensor, longest: int, options: dict[str, Any]
) -> None:
    """Raise NotImplementedError for what segments cannot be combined with."""
    window = options.get("sliding_window")
    causal = options.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    unable = {
        "several rows": len(query) != 1,
        "a key-value cache": query.shape[2] != key.shape[2] or options.get("cache") is not None,
        "attention that is not causal": not causal,
        "attention dropout": options.get("dropout", 0.0) > 0,
        f"a sliding window of {window}": window is not None and window < longest,
        "attention sinks": options.get("s_aux") is not None,
        "a soft cap": options.get("softcap") is not None,
        "a position bias": options.get("position_bias") is not None,
    }
    if found := [name for name, present in unable.items() if present]:
        raise NotImplementedError(
            f"attention over segments (longest: {longest} tokens) cannot be combined with "
            f"{' or '.join(found)}; use padded batches for this model"
        )


class _CpuSegments(torch.autograd.Function):
    """Flash attention forward, and backward in blocks of plain matrix products.

    Both follow Dao et al. 2022 (arXiv:2205.14135, algorithm 1 and appendix B.4). With `L` the
    log-sum-exp of a row's scores, which the forward pass keeps, and `D = rowsum(dO * O)`:

        P = exp(scale Q K^T - L)    dV = P^T dO      dS = P * (dO V^T - D)
                                    dK = scale dS^T Q    dQ = scale dS K

    `L` and `D` are subtracted inside the products: two more columns of `Q` and `dO` hold them,
    split into a high and a low part, and meet two columns of ones. So they enter before the product
    is rounded to bf16, which is nearer the truth than rounding large scores first, and leaves two
    passes over them in the dtype of the inputs. Query heads that share a key head are rows of one
    product; keys are never repeated.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, spans: Spans, scale: float
    ) -> Tensor:
        out = query.new_empty(query.shape)
        log_sum_exp = query.new_empty(query.shape[:2], dtype=_wide(query.dtype))
        for start, stop in spans:
            heads_first = (rows[None, start:stop].transpose(1, 2) for rows in (query, key, value))
            segment, scores = _flash(*heads_first, 0.0, True, scale=scale)
            out[start:stop] = segment[0].transpose(0, 1)
            log_sum_exp[start:stop] = scores[0].t()
        ctx.save_for_backward(query, key, value, out, log_sum_exp)
        ctx.spans, ctx.scale = spans, scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, log_sum_exp = ctx.saved_tensors
        kv_heads, group = key.shape[1], query.shape[1] // key.shape[1]
        delta = (d_out.to(log_sum_exp.dtype) * out).sum(-1)
        q = _fold(query, log_sum_exp / -ctx.scale, kv_heads)
        d_o = _fold(d_out, -delta, kv_heads)
        k, v = _with_ones(key), _with_ones(value)
        d_q, d_k, d_v = (torch.empty_like(rows[..., :-2]) for rows in (q, k, v))
        for start, stop in ctx.spans:
            rows, keys = slice(start * group, stop * group), slice(start, stop)
            d_k[:, keys], d_v[:, keys] = _segment_gradients(
                q[:, rows], d_o[:, rows], k[:, keys], v[:, keys], d_q[:, rows], scale=ctx.scale
            )
        d_query = d_q.view(kv_heads, -1, group, d_q.shape[-1]).transpose(0, 1).reshape(query.shape)
        return d_query, d_k.transpose(0, 1), d_v.transpose(0, 1), None, None


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


def _each_alone(query: Tensor, key: Tensor, value: Tensor, spans: Spans, scale: float) -> Tensor:
    """One call of PyTorch's attention per segment, for devices and shapes without a better way."""
    attend = functools.partial(
        F.scaled_dot_product_attention, is_causal=True, scale=scale, enable_gqa=True
    )
    q, k, v = (rows.transpose(0, 1)[None] for rows in (query, key, value))
    segments = [attend(q[:, :, a:b], k[:, :, a:b], v[:, :, a:b]) for a, b in spans]
    return torch.cat(segments, dim=2)[0].transpose(0, 1)


def _varlen_kernel(query: Tensor, value: Tensor) -> Callable[..., Any] | None:
    """The variable-length flash kernel, if this GPU, dtype and head size have it."""
    head_dim = query.shape[-1]
    fits = head_dim == value.shape[-1] and head_dim <= 256 and head_dim % 8 == 0
    half = query.dtype in (torch.float16, torch.bfloat16)
    return _load_varlen(query.device) if query.is_cuda and half and fits else None


@functools.cache
def _load_varlen(device: torch.device) -> Callable[..., Any] | None:
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    # Older releases take equal head counts only; older GPUs have no flash attention.
    if "enable_gqa" not in inspect.signature(varlen_attn).parameters:
        return None
    if torch.cuda.get_device_capability(device) < (8, 0):
        return None
    return functools.partial(varlen_attn, window_size=(-1, 0), enable_gqa=True)


def _spans(boundaries: Tensor | Sequence[int], tokens: int) -> Spans:
    """Return start and end of every segment that has tokens."""
    edges = _edges(boundaries)
    if not edges or edges[0] != 0 or edges[-1] != tokens or edges != sorted(edges):
        raise ValueError(f"boundaries must rise from 0 to the {tokens} tokens; got {edges}")
    return [(start, stop) for start, stop in pairwise(edges) if start < stop]


def _longest(boundaries: Tensor | Sequence[int]) -> int:
    return max((stop - start for start, stop in pairwise(_edges(boundaries))), default=0)


def _edges(boundaries: Tensor | Sequence[int]) -> list[int]:
    edges: list[int] = boundaries.tolist() if isinstance(boundaries, Tensor) else list(boundaries)
    return edges


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
