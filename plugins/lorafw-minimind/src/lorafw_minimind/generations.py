"""The three generations of MiniMind checkpoints: how they are told apart, named and filled in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from lorafw.errors import ModelError


class Generation(StrEnum):
    """A generation, by the month its checkpoints began."""

    LMCONFIG = "2025-02"
    """`tok_embeddings`, `attention.wq`: rotary positions over neighbouring pairs of channels."""
    MINIMIND2 = "2025-04"
    """`model.embed_tokens`, `self_attn.q_proj`: rotary positions over halves of a head."""
    MINIMIND3 = "2026"
    """The same names, with norms of queries and keys."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What upstream's code of a generation takes where no file says.

    Attributes:
        full_dtype, lora_dtype: of the checkpoints and LoRA files that upstream writes.
        sequence_balance: the routers' balance is asked of every sequence, not of the whole batch.
    """

    heads: int
    kv_heads: int
    norm_eps: float
    positions: int
    experts_per_token: int
    aux_loss_coef: float
    sequence_balance: bool
    full_dtype: Literal["fp32", "fp16"]
    lora_dtype: Literal["fp32", "fp16"]


DEFAULTS: Mapping[Generation, Defaults] = {
    Generation.LMCONFIG: Defaults(
        heads=8,
        kv_heads=2,
        norm_eps=1e-5,
        positions=8192,
        experts_per_token=2,
        aux_loss_coef=0.1,
        sequence_balance=True,
        full_dtype="fp32",
        lora_dtype="fp32",
    ),
    Generation.MINIMIND2: Defaults(
        heads=8,
        kv_heads=2,
        norm_eps=1e-5,
        positions=32768,
        experts_per_token=2,
        aux_loss_coef=0.01,
        sequence_balance=True,
        full_dtype="fp16",
        lora_dtype="fp32",
    ),
    Generation.MINIMIND3: Defaults(
        heads=8,
        kv_heads=4,
        norm_eps=1e-6,
        positions=32768,
        experts_per_token=1,
        aux_loss_coef=5e-4,
        sequence_balance=False,
        full_dtype="fp16",
        lora_dtype="fp16",
    ),
}

# The first generation's parts of names, and what they are called since; both ways unambiguous.
_FIRST = {
    "tok_embeddings": "model.embed_tokens",
    "layers": "model.layers",
    "norm": "model.norm",
    "output": "lm_head",
}
_INNER = {
    "attention": "self_attn",
    "feed_forward": "mlp",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "wq": "q_proj",
    "wk": "k_proj",
    "wv": "v_proj",
    "wo": "o_proj",
    "w1": "gate_proj",
    "w2": "down_proj",
    "w3": "up_proj",
    "shared_experts": "shared_experts.0",
}
_BACK = [(new, old) for table in (_FIRST, _INNER) for old, new in table.items()]


def detect(names: Collection[str], *, where: str) -> Generation:
    """The generation whose names these tensors have.

    Raises:
        ModelError: they are no MiniMind's.
    """
    if "tok_embeddings.weight" in names:
        return Generation.LMCONFIG
    if "model.embed_tokens.weight" in names:
        normed = any(name.endswith(".self_attn.q_norm.weight") for name in names)
        return Generation.MINIMIND3 if normed else Generation.MINIMIND2
    if any(".lora." in name for name in names):
        mend = "Give the base model's file; for this one: lorafw adapter convert"
        raise ModelError("is a LoRA file, not a model.", where=where, mend=mend)
    first = min(names, default="nothing")
    mend = "Expected: tok_embeddings.weight or model.embed_tokens.weight."
    raise ModelError(f"holds no MiniMind weights; it holds {first}.", where=where, mend=mend)


def canonical_name(name: str, generation: Generation) -> str:
    """The name since 2025-04 of a tensor or module.

    >>> canonical_name("layers.0.attention.wq", Generation.LMCONFIG)
    'model.layers.0.self_attn.q_proj'
    """
    if generation is not Generation.LMCONFIG:
        return name
    first, *inner = name.split(".")
    return ".".join([_FIRST.get(first, first), *(_INNER.get(part, part) for part in inner)])


def native_name(name: str, generation: Generation) -> str:
    """The name in its own generation of a tensor or module; inverts `canonical_name`.

    >>> native_name("model.layers.0.mlp.gate_proj.weight", Generation.LMCONFIG)
    'layers.0.feed_forward.w1.weight'
    """
    if generation is not Generation.LMCONFIG:
        return name
    dotted = f".{name}."
    for new, old in _BACK:
        dotted = dotted.replace(f".{new}.", f".{old}.")
    return dotted[1:-1]
