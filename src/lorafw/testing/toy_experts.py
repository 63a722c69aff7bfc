"""Tiny models whose experts are one tensor for all of a layer."""

from __future__ import annotations

from typing import Any

from lorafw.contracts.model import ModelBundle
from lorafw.testing.toys import toy_tokenizer

FAMILIES = ("mixtral", "qwen3_moe")


def toy_experts_model(family: str = "mixtral", seed: int = 2, **config: Any) -> Any:
    """A two-layer mixture of experts of random fp32 weights.

    Args:
        family: transformers' model type.
        seed: of the weights.
        config: fields that replace the toy's.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    values = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "moe_intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "num_experts_per_tok": 2,
        "num_local_experts" if family == "mixtral" else "num_experts": 4,
        "max_position_embeddings": 128,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 3,
        "initializer_range": 0.2,
        **config,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **values))
    for name, parameter in model.named_parameters():
        if name.endswith(".gate.weight"):  # so clear a choice that rounding seldom changes it
            parameter.data *= 3
    return model


def toy_experts_bundle(
    family: str = "mixtral", dtype: str = "fp32", seed: int = 2, **config: Any
) -> ModelBundle:
    """That model as injectors, objectives and trainers are given it.

    Args:
        family: transformers' model type.
        dtype: of the frozen weights, `fp32` or `bf16`.
        seed: of the weights.
        config: fields that replace the toy's.
    """
    import torch

    from lorafw.models.transformers_bundle import TransformersBundle

    model = toy_experts_model(family, seed, **config)
    model = model.to({"fp32": torch.float32, "bf16": torch.bfloat16}[dtype])
    return TransformersBundle(model, toy_tokenizer(), base=f"toy-{family}-{seed}")
