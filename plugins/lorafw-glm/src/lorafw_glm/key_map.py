"""The names of an original ChatGLM checkpoint, and those of transformers' Glm."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

QKV = "query_key_value"
"""The original's one linear for queries, keys and values, in this order of rows."""

PROJECTIONS = ("q_proj", "k_proj", "v_proj")

_MODULES = {
    "transformer.embedding.word_embeddings": "model.embed_tokens",
    "transformer.encoder.final_layernorm": "model.norm",
    "transformer.output_layer": "lm_head",
}
_LAYER_MODULES = {
    "input_layernorm": "input_layernorm",
    "self_attention.dense": "self_attn.o_proj",
    "post_attention_layernorm": "post_attention_layernorm",
    "mlp.dense_h_to_4h": "mlp.gate_up_proj",
    "mlp.dense_4h_to_h": "mlp.down_proj",
}
_BACK = {ours: theirs for theirs, ours in _MODULES.items()}
_LAYER_BACK = {ours: theirs for theirs, ours in _LAYER_MODULES.items()}
_ORIGINAL = re.compile(r"transformer\.encoder\.layers\.(\d+)\.(.+)")
_GLM = re.compile(r"model\.layers\.(\d+)\.(.+)")

_RECOMPUTED = "transformer.rotary_pos_emb.inv_freq"


@dataclass(frozen=True, slots=True)
class Rows:
    """How many rows of the fused linear are queries, and how many each keys and values."""

    query: int
    key: int

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Rows:
        """The rows by the fields of a `GlmConfig`."""
        head = fields["head_dim"]
        return cls(fields["num_attention_heads"] * head, fields["num_key_value_heads"] * head)

    @property
    def sizes(self) -> list[int]:
        """Rows of queries, keys and values."""
        return [self.query, self.key, self.key]


def is_recomputed(name: str) -> bool:
    """Whether a tensor of the original is a buffer that Glm computes itself."""
    return name == _RECOMPUTED


def glm_modules(original: str) -> tuple[str, ...]:
    """The Glm modules that one module of the original becomes: three for the fused linear.

    Empty if the original has no such module.
    """
    if original in _MODULES:
        return (_MODULES[original],)
    if (match := _ORIGINAL.fullmatch(original)) is None:
        return ()
    layer, part = match.groups()
    if part == f"self_attention.{QKV}":
        return tuple(f"model.layers.{layer}.self_attn.{name}" for name in PROJECTIONS)
    found = _LAYER_MODULES.get(part)
    return (f"model.layers.{layer}.{found}",) if found else ()


def original_module(glm: str) -> str | None:
    """The module of the original that a Glm module is, or is a part of; None if there is none.

    >>> original_module("model.layers.7.self_attn.k_proj")
    'transformer.encoder.layers.7.self_attention.query_key_value'
    """
    if glm in _BACK:
        return _BACK[glm]
    if (match := _GLM.fullmatch(glm)) is None:
        return None
    layer, part = match.groups()
    if part.removeprefix("self_attn.") in PROJECTIONS:
        return f"transformer.encoder.layers.{layer}.self_attention.{QKV}"
    found = _LAYER_BACK.get(part)
    return f"transformer.encoder.layers.{layer}.{found}" if found else None
