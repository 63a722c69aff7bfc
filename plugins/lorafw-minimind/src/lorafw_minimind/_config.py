"""A MiniMind architecture as a transformers config."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedConfig

if TYPE_CHECKING:
    from lorafw_minimind.architecture import Architecture


class MiniMindConfig(PreTrainedConfig):  # type: ignore[misc]
    """What transformers needs to run and generate; made from an `Architecture`."""

    model_type = "minimind"

    vocab_size: int = 0
    hidden_size: int = 0
    intermediate_size: int = 0
    num_hidden_layers: int = 0
    num_attention_heads: int = 0
    num_key_value_heads: int = 0
    head_dim: int = 0
    rms_norm_eps: float = 1e-5
    rope_theta: float = 1e6
    max_position_embeddings: int = 0
    inference_rope_scaling: bool = False
    query_key_norm: bool = False
    num_experts: int = 0
    num_shared_experts: int = 0
    num_experts_per_tok: int = 0
    norm_topk_prob: bool = True
    tie_word_embeddings: bool = True
    eos_token_id: int | None = None
    use_cache: bool = True


_OURS_ALONE = {"generation", "aux_loss_coef", "sequence_balance"}


def transformers_config(form: Architecture, *, tied: bool, eos: int | None) -> MiniMindConfig:
    """The config of an architecture.

    Args:
        form: what the checkpoint is made of.
        tied: the head's weight is the embedding's.
        eos: the id that ends an answer.
    """
    fields: dict[str, Any] = {k: v for k, v in asdict(form).items() if k not in _OURS_ALONE}
    latest = form.generation == "2026"
    # Earlier code leaves the score of a single expert as it is, whatever the config asks for.
    fields["norm_topk_prob"] &= latest or form.num_experts_per_tok > 1
    return MiniMindConfig(
        **fields, query_key_norm=latest, tie_word_embeddings=tied, eos_token_id=eos
    )
