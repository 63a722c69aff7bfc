"""Which Llama a config is of; sizes as the published configs have them."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw_llama.generation import generation


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"vocab_size": 32000, "max_position_embeddings": 2048}, "Llama 1"),
        ({"vocab_size": 32000, "max_position_embeddings": 4096}, "Llama 2"),
        ({"vocab_size": 128256, "max_position_embeddings": 8192, "rope_scaling": None}, "Llama 3"),
        ({"vocab_size": 128256, "rope_scaling": {"rope_type": "llama3"}}, "Llama 3.1 or later"),
        ({"vocab_size": 128256, "rope_parameters": {"rope_type": "llama3"}}, "Llama 3.1 or later"),
        ({"vocab_size": 49152, "max_position_embeddings": 2048}, ""),
        ({}, ""),
    ],
)
def test_generations(config: dict[str, Any], name: str) -> None:
    assert generation(config) == name
