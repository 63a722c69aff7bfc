"""What a decoder is called with, rewritten so that virtual tokens come before every sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from lorafw.errors import AdapterError
from lorafw.models.positions import learned_positions
from lorafw.models.segment_attention import segment_inputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Call = dict[str, Any]

BOUNDARIES = "cu_seq_lens_q"
"""The argument that segments come with."""


def starts(call: Call) -> bool:
    """Whether nothing came before this call: there is no cache, or an empty one."""
    cache = call.get("past_key_values")
    return cache is None or int(cache.get_seq_length()) == 0


def rows_of(call: Call, embed: Callable[[Tensor], Tensor]) -> Tensor:
    """The embedded input: [rows, length, width]."""
    given = call.get("inputs_embeds")
    return embed(call["input_ids"]) if given is None else given


def longer_mask(call: Call, virtual: int) -> Tensor | None:
    """The attention mask with virtual tokens, which all may see, in front.

    Raises:
        AdapterError: it is no mask of [rows, length].
    """
    mask = call.get("attention_mask")
    if mask is None:
        return None
    if not isinstance(mask, torch.Tensor) or mask.ndim != 2:
        fault = "virtual tokens need an attention mask of [rows, length]."
        raise AdapterError(fault, mend="Generate with the default cache, which grows.")
    return torch.cat([mask.new_ones(len(mask), virtual), mask], dim=1)


def with_prompt(call: Call, prompt: Tensor, embed: Callable[[Tensor], Tensor]) -> Call:
    """Virtual tokens before each row's first token, or only the places they have in the cache.

    Positions count from the first virtual token, through padding, as they do in PEFT.

    Args:
        call: the decoder's arguments, by name.
        prompt: the virtual tokens, [virtual, width], or [rows, virtual, width].
        embed: token ids to [..., width].

    Raises:
        AdapterError: they are of another number of rows.
    """
    count = prompt.shape[-2]
    call = {**call, "attention_mask": longer_mask(call, count), "position_ids": None}
    if not starts(call):
        return call
    rows = rows_of(call, embed)
    _check_rows(prompt, len(rows))
    virtual = prompt.to(rows.dtype).expand(len(rows), -1, -1)
    if (which := call.get("token_type_ids")) is not None:  # they belong to the first text
        call["token_type_ids"] = F.pad(which, (count, 0))
    return {**call, "input_ids": None, "inputs_embeds": torch.cat([virtual, rows], dim=1)}


def with_prompt_in_segments(
    call: Call, prompt: Tensor, embed: Callable[[Tensor], Tensor]
) -> tuple[Call, Tensor]:
    """Virtual tokens before each segment, and which of the rows then are real: bool [tokens].

    Args:
        call: the decoder's arguments, by name, for one row of segments.
        prompt: the virtual tokens, [virtual, width], or [segments, virtual, width].
        embed: token ids to [..., width].

    Raises:
        AdapterError: they are of another number of segments.
    """
    rows, virtual = rows_of(call, embed)[0], prompt.shape[-2]
    edges = torch.as_tensor(call[BOUNDARIES], device=rows.device)
    _check_rows(prompt, len(edges) - 1)
    segments = torch.arange(len(edges), device=rows.device, dtype=edges.dtype)
    wider = edges + virtual * segments
    segment = torch.repeat_interleave(segments[:-1], wider.diff())
    position = torch.arange(len(segment), device=rows.device) - wider[segment]
    real = position >= virtual
    table = prompt.flatten(0, -2)
    own = segment * virtual if prompt.ndim > 2 else 0  # where a segment's virtual tokens begin
    behind = len(table) - virtual + edges[segment]
    source = torch.where(real, behind, own) + position
    embeds = torch.cat([table.to(rows.dtype), rows])[source]
    call = {**call, **segment_inputs(wider.to(edges.dtype)), "input_ids": None}
    return {**call, "inputs_embeds": embeds[None], "position_ids": position[None]}, real


def _check_rows(prompt: Tensor, rows: int) -> None:
    """Virtual tokens that each row has of its own are of as many rows as there are."""
    if prompt.ndim > 2 and len(prompt) != rows:
        fault = f"virtual tokens were chosen for {len(prompt)} rows, and there are {rows}."
        raise AdapterError(fault)


def with_prefix(call: Call, layers: Tensor, config: Any) -> Call:
    """Keys and values of virtual tokens at the head of the cache; positions come behind them.

    Args:
        call: the decoder's arguments, by name.
        layers: keys and values, [layers, 2, heads, virtual, head_dim].
        config: the model's, which says what kind of cache each layer has.
    """
    from transformers import DynamicCache

    virtual = layers.shape[-2]
    call = {**call, "attention_mask": longer_mask(call, virtual)}
    if call.get("position_ids") is not None:
        call["position_ids"] = call["position_ids"] + virtual
    if starts(call):
        if call.get("past_key_values") is None:
            call["past_key_values"] = DynamicCache(config=config)
        _fill(call["past_key_values"], layers, rows=size_of(call)[0])
    return call


def key_values(prefix: Tensor, layers: int, heads: int) -> Tensor:
    """PEFT's prefix, [virtual, 2·layers·heads·head_dim], by layer and with keys before values.

    Returns:
        [layers, 2, heads, virtual, head_dim]
    """
    return prefix.view(len(prefix), layers, 2, heads, -1).permute(1, 2, 3, 0, 4)


def _fill(cache: Any, layers: Tensor, rows: int) -> None:
    for number, (keys, values) in enumerate(layers):
        cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), number)


def size_of(call: Call) -> tuple[int, int]:
    """Rows and length of the input."""
    given = call.get("inputs_embeds")
    rows, length = (call["input_ids"] if given is None else given).shape[:2]
    return rows, length


def check_positions(config: Any, tokens: int) -> None:
    """Refuse rows that are longer, with their virtual tokens, than a table of positions.

    Raises:
        AdapterError: the model learned fewer positions than that.
    """
    positions = learned_positions(config)
    if positions is not None and tokens > positions:
        raise AdapterError(
            f"a row has {tokens} tokens with its virtual ones, the model {positions} positions.",
            mend="Cut rows to a smaller max_length, or ask for fewer new tokens.",
        )
