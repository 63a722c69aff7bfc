"""The model `llama` keeps the promises of its kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorafw.testing import ModelContract
from lorafw.testing.toys import toy_folder
from lorafw_llama.model import Llama


class TestLlamaFromFolder(ModelContract):
    @pytest.fixture(params=["fp32", "bf16"])
    def model(self, request: pytest.FixtureRequest, tmp_path: Path) -> Llama:
        path = str(toy_folder(tmp_path / "base"))
        return Llama.from_mapping({"path": path, "dtype": request.param}, where="model")


class TestLlamaOfRandomWeights(ModelContract):
    @pytest.fixture
    def model(self, tmp_path: Path) -> Llama:
        config = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
        config |= {"num_attention_heads": 4, "vocab_size": 64}
        path = str(toy_folder(tmp_path / "base"))
        return Llama.from_mapping({"config": config, "tokenizer_path": path}, where="model")
