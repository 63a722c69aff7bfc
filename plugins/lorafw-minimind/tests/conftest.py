"""Tiny MiniMind checkpoints of random weights, as each generation names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lorafw.testing.toys import toy_tokenizer
from lorafw_minimind.generations import Generation, native_name
from lorafw_minimind.model import MiniMind

WIDTH, HEAD_DIM, INNER, EXPERTS = 32, 8, 48, 4


def _tensors(
    generation: Generation, *, experts: bool, vocabulary: int = 64, seed: int = 0
) -> dict[str, Tensor]:
    """Two layers with a tied head, heads of 8, 4 for queries and 2 for keys."""
    chance = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=chance) * 0.2

    tensors = {"model.embed_tokens.weight": drawn(vocabulary, WIDTH)}
    for layer in ("model.layers.0.", "model.layers.1."):
        tensors[f"{layer}self_attn.q_proj.weight"] = drawn(WIDTH, WIDTH)
        tensors[f"{layer}self_attn.k_proj.weight"] = drawn(2 * HEAD_DIM, WIDTH)
        tensors[f"{layer}self_attn.v_proj.weight"] = drawn(2 * HEAD_DIM, WIDTH)
        tensors[f"{layer}self_attn.o_proj.weight"] = drawn(WIDTH, WIDTH)
        if generation is Generation.MINIMIND3:
            tensors[f"{layer}self_attn.q_norm.weight"] = 1 + drawn(HEAD_DIM)
            tensors[f"{layer}self_attn.k_norm.weight"] = 1 + drawn(HEAD_DIM)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{layer}{norm}.weight"] = 1 + drawn(WIDTH)
        for part in _feed_forwards(generation, experts):
            tensors[f"{layer}mlp.{part}gate_proj.weight"] = drawn(INNER, WIDTH)
            tensors[f"{layer}mlp.{part}up_proj.weight"] = drawn(INNER, WIDTH)
            tensors[f"{layer}mlp.{part}down_proj.weight"] = drawn(WIDTH, INNER)
        if experts:
            tensors[f"{layer}mlp.gate.weight"] = drawn(EXPERTS, WIDTH)
    tensors["model.norm.weight"] = 1 + drawn(WIDTH)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    return {native_name(name, generation): tensor for name, tensor in tensors.items()}


def _feed_forwards(generation: Generation, experts: bool) -> list[str]:
    if not experts:
        return [""]
    routed = [f"experts.{number}." for number in range(EXPERTS)]
    return routed if generation is Generation.MINIMIND3 else [*routed, "shared_experts.0."]


@pytest.fixture(scope="session")
def tiny_tensors() -> Callable[..., dict[str, Tensor]]:
    """The tensors of a tiny model of a generation: `tiny_tensors(generation, experts=…)`."""
    return _tensors


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., MiniMind]:
    """A builder of a tiny `.pth` with the toy tokenizer beside it: `tiny(generation, …)`."""

    def build(generation: Generation, *, experts: bool = False, **options: Any) -> MiniMind:
        folder = tmp_path_factory.mktemp("tiny")
        torch.save(_tensors(generation, experts=experts), folder / "tiny.pth")
        toy_tokenizer().save_pretrained(folder)
        mapping = {"path": str(folder / "tiny.pth"), "n_heads": 4, "n_kv_heads": 2, **options}
        return MiniMind.from_mapping(mapping, where="model")

    return build
