"""The MiniMind decoder, one for all generations, as a transformers model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import DynamicCache, GenerationMixin, PreTrainedModel
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from lorafw_minimind._attention import Attention
from lorafw_minimind._config import MiniMindConfig
from lorafw_minimind._experts import FeedForward, MixtureOfExperts
from lorafw_minimind._rotary import rotary_tables

if TYPE_CHECKING:
    Tables = tuple[Tensor, Tensor]


class DecoderLayer(nn.Module):
    """Attention and a feed-forward layer, each behind a norm and beside a residual."""

    def __init__(self, config: MiniMindConfig, layer: int) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.rms_norm_eps
        self.self_attn = Attention(config, layer)
        self.input_layernorm = nn.RMSNorm(width, eps=eps)
        self.post_attention_layernorm = nn.RMSNorm(width, eps=eps)
        dense = not config.num_experts
        sizes = width, config.intermediate_size
        self.mlp = FeedForward(*sizes) if dense else MixtureOfExperts(config)

    def forward(self, hidden: Tensor, **attention: Any) -> Tensor:
        """[rows, tokens, width] to [rows, tokens, width]."""
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), **attention)
        out: Tensor = hidden + self.mlp(self.post_attention_layernorm(hidden))
        return out


class MiniMindPreTrained(PreTrainedModel):  # type: ignore[misc]
    """What transformers may do with a MiniMind model."""

    config_class = MiniMindConfig
    base_model_prefix = "model"
    _no_split_modules: ClassVar[list[str]] = ["DecoderLayer"]
    _supports_sdpa = True
    _supports_attention_backend = True


class MiniMindModel(MiniMindPreTrained):
    """The decoder up to its head."""

    def __init__(self, config: MiniMindConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        layers = range(config.num_hidden_layers)
        self.layers = nn.ModuleList(DecoderLayer(config, layer) for layer in layers)
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        **options: Any,
    ) -> BaseModelOutputWithPast:
        """Rows before the head, [rows, tokens, width]."""
        hidden = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            seen = 0 if past_key_values is None else past_key_values.get_seq_length()
            position_ids = torch.arange(hidden.shape[1], device=hidden.device)[None] + seen
        attention = {
            "mask": self._mask(hidden, attention_mask, past_key_values, position_ids),
            "tables": self._tables(position_ids),
            "cache": past_key_values,
        }
        for layer in self.layers:
            hidden = layer(hidden, **attention, **options)
        return BaseModelOutputWithPast(self.norm(hidden), past_key_values)

    def _tables(self, positions: Tensor) -> Tables:
        form = self.config
        stretched = form.inference_rope_scaling
        return rotary_tables(positions, form.head_dim, form.rope_theta, stretched=stretched)

    def _mask(
        self, hidden: Tensor, given: Tensor | None, cache: Any, positions: Tensor
    ) -> Tensor | None:
        mask: Tensor | None = create_causal_mask(
            config=self.config,
            inputs_embeds=hidden,
            attention_mask=given,
            past_key_values=cache,
            position_ids=positions,
        )
        return mask


class MiniMindForCausalLM(MiniMindPreTrained, GenerationMixin):  # type: ignore[misc]
    """The decoder with its head, tied to the embedding or not."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: MiniMindConfig) -> None:
        super().__init__(config)
        self.model = MiniMindModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **options: Any,
    ) -> CausalLMOutputWithPast:
        """Logits [rows, tokens, vocab], of the last `logits_to_keep` tokens if that is not 0."""
        options.pop("return_dict", None)
        output = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **options,
        )
        logits = self.lm_head(output.last_hidden_state[:, -logits_to_keep:])
        return CausalLMOutputWithPast(logits=logits, past_key_values=output.past_key_values)
