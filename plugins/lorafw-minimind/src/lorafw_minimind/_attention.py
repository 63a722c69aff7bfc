"""MiniMind's attention, through whichever implementation transformers is told to use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from lorafw_minimind._config import MiniMindConfig
from lorafw_minimind._rotary import rotate

if TYPE_CHECKING:
    Tables = tuple[Tensor, Tensor]


class Attention(nn.Module):
    """Causal attention with grouped keys, rotary positions and, since 2026, normed heads."""

    is_causal = True

    def __init__(self, config: MiniMindConfig, layer: int) -> None:
        super().__init__()
        self.config, self.layer_idx, self.head_dim = config, layer, config.head_dim
        width, head_dim = config.hidden_size, config.head_dim
        queries, keys = (
            heads * head_dim for heads in (config.num_attention_heads, config.num_key_value_heads)
        )
        self.num_key_value_groups = config.num_attention_heads // config.num_key_value_heads
        self.q_proj = nn.Linear(width, queries, bias=False)
        self.k_proj = nn.Linear(width, keys, bias=False)
        self.v_proj = nn.Linear(width, keys, bias=False)
        self.o_proj = nn.Linear(queries, width, bias=False)
        if config.query_key_norm:
            self.q_norm = nn.RMSNorm(head_dim, eps=config.rms_norm_eps)
            self.k_norm = nn.RMSNorm(head_dim, eps=config.rms_norm_eps)

    def forward(
        self, hidden: Tensor, tables: Tables, mask: Tensor | None, cache: Any, **options: Any
    ) -> Tensor:
        """[rows, tokens, width] to [rows, tokens, width]."""
        queries, keys, values = self._heads(hidden)
        queries, keys = rotate(queries, tables), rotate(keys, tables)
        if cache is not None:
            keys, values = cache.update(keys, values, self.layer_idx)
        attend = ALL_ATTENTION_FUNCTIONS[self.config._attn_implementation]  # noqa: SLF001
        out, _ = attend(
            self, queries, keys, values, mask, scaling=self.head_dim**-0.5, dropout=0.0, **options
        )
        back: Tensor = self.o_proj(out.flatten(2))
        return back

    def _heads(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each [rows, heads, tokens, head_dim]."""
        split = (*hidden.shape[:-1], -1, self.head_dim)
        queries, keys = self.q_proj(hidden).view(split), self.k_proj(hidden).view(split)
        if self.config.query_key_norm:
            queries, keys = self.q_norm(queries), self.k_norm(keys)
        values = self.v_proj(hidden).view(split)
        return queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)
