from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors import safe_open

from lorafw.models.names import checkpoint_names, layer_linears

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["llama", "qwen2", "gpt2", "gemma2", "phi"])
def test_checkpoint_names_are_those_transformers_stores(
    family: Any, name: str, tmp_path: Path
) -> None:
    model = family(name)
    model.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as stored:
        assert sorted(checkpoint_names(model)) == sorted(stored.keys())


def test_a_tied_head_has_no_name_of_its_own(family: Any) -> None:
    assert "lm_head.weight" in checkpoint_names(family("llama"))
    assert "lm_head.weight" not in checkpoint_names(family("llama", tie_word_embeddings=True))


def test_a_plain_module_keeps_all_names() -> None:
    assert checkpoint_names(torch.nn.Linear(2, 2)) == ("weight", "bias")


def test_linears_are_those_of_the_layers(family: Any) -> None:
    names = layer_linears(family("llama"))
    assert len(names) == 14
    assert names[0] == "model.layers.0.self_attn.q_proj"
    assert "lm_head" not in names


def test_routers_are_left_out() -> None:
    layer = torch.nn.ModuleDict(
        {name: torch.nn.Linear(2, 2) for name in ("gate", "gate_proj", "shared_expert_gate")}
    )
    model = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([layer])})
    assert layer_linears(model) == ("layers.0.gate_proj",)
