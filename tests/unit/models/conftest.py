"""Tiny models of several families, with random weights."""

from __future__ import annotations

from typing import Any

import pytest

_SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 3,
}
_FAMILIES: dict[str, dict[str, Any]] = {
    "llama": _SIZES,
    "qwen2": _SIZES | {"tie_word_embeddings": True},
    "qwen3": _SIZES,
    "glm": _SIZES,
    "gemma2": _SIZES | {"sliding_window": 16, "final_logit_softcapping": 3.0},
    "cohere": _SIZES | {"logit_scale": 0.25},
    "granite": _SIZES | {"logits_scaling": 3.0},
    "hyperclovax": _SIZES | {"logits_scaling": 3.0},
    "mistral": _SIZES,
    "mixtral": _SIZES | {"num_local_experts": 4},
    "phi": _SIZES,
    "bert": _SIZES,
    "gpt2": {
        "vocab_size": 64,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 128,
        "initializer_range": 0.2,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
}


@pytest.fixture(scope="session")
def family() -> Any:
    """A tiny model of a family: `family("gemma2")`; keywords replace its config's fields."""

    def make(name: str, **fields: Any) -> Any:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        from lorafw.models.loading import quiet

        soft = {"attn_implementation": "eager"} if name == "gemma2" else {}
        with quiet(), torch.random.fork_rng():
            torch.manual_seed(0)
            config = AutoConfig.for_model(name, **{**_FAMILIES[name], **fields})
            return AutoModelForCausalLM.from_config(config, **soft)

    return make
