"""Modules of transformers from a config alone."""

from __future__ import annotations

from typing import Any

import torch

from lorafw_gguf._parameters import plain_frequencies


def without_numbers(config: Any) -> Any:
    """The model of a config on the meta device: names and shapes."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def with_room(config: Any, dtype: torch.dtype, factors: torch.Tensor | None) -> Any:
    """The model of a config on the CPU, whose parameters are still to be filled.

    Args:
        config: of transformers.
        dtype: of the parameters.
        factors: what the rotary frequencies are divided by, [head / 2]; None for nothing.
    """
    model = without_numbers(config).to(dtype).to_empty(device="cpu")
    rotary = type(model.model.rotary_emb)(config)
    if factors is not None:
        plain = plain_frequencies(float(config.rope_parameters["rope_theta"]), 2 * len(factors))
        rotary.inv_freq = plain / factors
    model.model.rotary_emb = rotary
    model.tie_weights()
    return model.eval().requires_grad_(requires_grad=False)
