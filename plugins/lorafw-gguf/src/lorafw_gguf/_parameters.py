"""A transformers config as the keys of a GGUF file, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gguf
import torch

from lorafw.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from lorafw_gguf.families import Family

_YARN = {"beta_fast": 32.0, "beta_slow": 1.0}
"""What both libraries take where a config says nothing."""
_MEND = "Use exporter merged."


def head_width(config: Any) -> int:
    """Numbers of one head of queries."""
    return int(
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    )


def add_parameters(writer: gguf.GGUFWriter, config: Any, *, vocabulary: int) -> None:
    """Write sizes, positions and epsilons.

    Args:
        writer: of the file.
        config: of the model.
        vocabulary: rows of the embedding.

    Raises:
        ExportError: the model does something that llama.cpp's network of this family does not.
    """
    if config.hidden_act != "silu":
        fault = f"the model's activation is {config.hidden_act}; llama.cpp has silu there."
        raise ExportError(fault, mend=_MEND)
    width = head_width(config)
    if config.model_type == "qwen2" and width * config.num_attention_heads != config.hidden_size:
        fault = "llama.cpp's Qwen 2 has as many numbers in all heads as the model is wide."
        raise ExportError(fault, mend=_MEND)
    writer.add_vocab_size(vocabulary)
    writer.add_context_length(_context(config))
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(width)
    _add_rope(writer, dict(config.rope_parameters))


def _context(config: Any) -> int:
    """How far the model can look back as llama.cpp computes it: without a sliding window."""
    limit = int(config.max_position_embeddings)
    slides = getattr(config, "use_sliding_window", True)
    window = getattr(config, "sliding_window", None) if slides else None
    return min(limit, int(window)) if window else limit


def _add_rope(writer: gguf.GGUFWriter, rope: Mapping[str, Any]) -> None:
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    kind = rope.get("rope_type", "default")
    if kind in ("default", "llama3"):  # llama3's are in a tensor
        return
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(rope["factor"]))
    elif kind == "yarn" and not _unlike_llama_cpp(rope):
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(float(rope["factor"]))
        writer.add_rope_scaling_orig_ctx_len(int(rope["original_max_position_embeddings"]))
    else:
        fault = f"llama.cpp does not scale positions as this model does (rope_type '{kind}')."
        raise ExportError(fault, mend=_MEND)


def _unlike_llama_cpp(rope: Mapping[str, Any]) -> bool:
    """Whether options of YaRN are set that llama.cpp reads in another way."""
    others = ("attention_factor", "mscale", "mscale_all_dim", "truncate")
    set_otherwise = any(rope.get(name) not in (None, value) for name, value in _YARN.items())
    return set_otherwise or any(rope.get(name) not in (None, True) for name in others)


def rope_factors(module: Any) -> Tensor | None:
    """What llama.cpp divides each wavelength's frequency by, fp32 [head / 2]; None for nothing.

    Of `rope_type: llama3`, whose frequencies transformers has computed already.
    """
    rope = module.config.rope_parameters
    if rope.get("rope_type") != "llama3":
        return None
    scaled: Tensor = module.model.rotary_emb.inv_freq.detach().float().cpu()
    return plain_frequencies(float(rope["rope_theta"]), 2 * len(scaled)) / scaled


def plain_frequencies(theta: float, width: int) -> Tensor:
    """The frequencies of rotary positions, fp32 [width / 2] (Su et al., arXiv:2104.09864)."""
    return 1.0 / theta ** (torch.arange(0, width, 2, dtype=torch.float32) / width)


def config_of(family: Family, keys: Mapping[str, Any], *, tied: bool) -> dict[str, Any]:
    """The transformers config that a file's keys speak of.

    Args:
        family: that its architecture belongs to.
        keys: of the file.
        tied: it has no head of its own.
    """

    def value(name: str) -> Any:
        return keys[f"{family.architecture}.{name}"]

    return {
        "model_type": family.model_type,
        "hidden_act": "silu",
        "vocab_size": value("vocab_size"),
        "max_position_embeddings": value("context_length"),
        "hidden_size": value("embedding_length"),
        "num_hidden_layers": value("block_count"),
        "intermediate_size": value("feed_forward_length"),
        "num_attention_heads": value("attention.head_count"),
        "num_key_value_heads": value("attention.head_count_kv"),
        "head_dim": value("attention.key_length"),
        "rms_norm_eps": value("attention.layer_norm_rms_epsilon"),
        "rope_parameters": _rope_of(family, keys),
        "tie_word_embeddings": tied,
    }


def _rope_of(family: Family, keys: Mapping[str, Any]) -> dict[str, Any]:
    prefix = f"{family.architecture}.rope"
    rope = {"rope_type": "default", "rope_theta": keys[f"{prefix}.freq_base"]}
    if kind := keys.get(f"{prefix}.scaling.type"):
        rope |= {"rope_type": kind, "factor": keys[f"{prefix}.scaling.factor"]}
    if kind == "yarn":
        length = keys[f"{prefix}.scaling.original_context_length"]
        rope["original_max_position_embeddings"] = length
    return rope
