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

from lorafw.models._cpu_segments import CpuSegments, Spans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["NAME", "register", "segment_attention", "segment_inputs", "spans_of"]

NAME = "lorafw"
"""The `attn_implementation` under which `register` makes segments known."""


def segment_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    boundaries: Tensor | Sequence[int],
    *,
    scale: float,
    longest: int | None = None,
    window: int | None = None,
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
        window: how many tokens a token sees, itself among them; None for all.

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
        longest, left = longest or _longest(boundaries), -1 if window is None else window - 1
        edges = torch.as_tensor(boundaries, dtype=torch.int32, device=device)
        rows = query, key, value
        out: Tensor = varlen(
            *rows, edges, edges, longest, longest, scale=scale, window_size=(left, 0)
        )
        return out
    spans = spans_of(boundaries, len(query))
    if device.type == "cpu" and query.shape[-1] == value.shape[-1] and window is None:
        out = CpuSegments.apply(  # type: ignore[no-untyped-call]
            query, key, value, spans, scale
        )
        return out
    return _each_alone(query, key, value, spans, scale, window)


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


def register(name: str = NAME, told: list[int | None] | None = None) -> None:
    """Make `name` an `attn_implementation` of transformers; calling it again is harmless.

    Given `segment_inputs`, it runs `segment_attention`. All else, such as padded batches and
    generation with a cache, gets the mask and the computation of `sdpa`.

    Args:
        name: what the implementation is called.
        told: gets, from every call with segments, the sliding window it was told of.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    attend = functools.partial(_attend, padded=sdpa_attention_forward, told=told)
    AttentionInterface.register(name, attend)
    AttentionMaskInterface.register(name, sdpa_mask)


def _attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    padded: Callable[..., tuple[Tensor, None]],
    told: list[int | None] | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers asks: `[rows, heads, tokens, dim]` to `[rows, tokens, heads, dim]`."""
    boundaries = options.get("cu_seq_lens_q")
    if boundaries is None:
        return padded(module, query, key, value, attention_mask, scaling=scaling, **options)
    longest = options.get("max_length_q") or _longest(boundaries)
    _refuse(module, query, key, longest, options)
    window = options.get("sliding_window")
    if told is not None:
        told.append(window)
    if window is not None and window >= longest:
        window = None
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    q, k, v = (heads[0].transpose(0, 1) for heads in (query, key, value))
    out = segment_attention(q, k, v, boundaries, scale=scale, longest=longest, window=window)
    return out[None], None


def _refuse(
    module: torch.nn.Module, query: Tensor, key: Tensor, longest: int, options: dict[str, Any]
) -> None:
    """Raise NotImplementedError for what segments cannot be combined with."""
    causal = options.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    unable = {
        "several rows": len(query) != 1,
        "a key-value cache": query.shape[2] != key.shape[2] or options.get("cache") is not None,
        "attention that is not causal": not causal,
        "attention dropout": options.get("dropout", 0.0) > 0,
        "attention sinks": options.get("s_aux") is not None,
        "a soft cap": options.get("softcap") is not None,
        "a position bias": options.get("position_bias") is not None,
    }
    if found := [name for name, present in unable.items() if present]:
        raise NotImplementedError(
            f"attention over segments (longest: {longest} tokens) cannot be combined with "
            f"{' or '.join(found)}; use padded batches for this model"
        )


def _each_alone(
    query: Tensor, key: Tensor, value: Tensor, spans: Spans, scale: float, window: int | None
) -> Tensor:
    """One call of PyTorch's attention per segment, for devices and shapes without a better way."""
    attend = functools.partial(F.scaled_dot_product_attention, scale=scale, enable_gqa=True)
    q, k, v = (rows.transpose(0, 1)[None] for rows in (query, key, value))
    segments = [
        attend(q[:, :, a:b], k[:, :, a:b], v[:, :, a:b], **_past(b - a, window, query.device))
        for a, b in spans
    ]
    return torch.cat(segments, dim=2)[0].transpose(0, 1)


def _past(length: int, window: int | None, device: torch.device) -> dict[str, Any]:
    """What tells PyTorch's attention that a token sees its past, or only the end of it."""
    if window is None or window >= length:
        return {"is_causal": True}
    past = torch.ones(length, length, dtype=torch.bool, device=device).tril_()
    return {"attn_mask": past.triu_(1 - window)}


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
    return functools.partial(varlen_attn, enable_gqa=True)


def spans_of(boundaries: Tensor | Sequence[int], tokens: int) -> Spans:
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
