"""Core's model builder keeps the promises of its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorafw.builtin.auto import Auto
from lorafw.testing import ModelContract
from lorafw.testing.toys import toy_folder, toy_gpt2_bundle, toy_tokenizer


class TestAuto(ModelContract):
    @pytest.fixture(params=[False, True], ids=["untied", "tied"])
    def model(self, request: pytest.FixtureRequest, tmp_path: Path) -> Auto:
        folder = toy_folder(tmp_path / "base", tie_word_embeddings=request.param)
        return Auto.from_mapping({"path": str(folder)}, where="model")


class TestAutoOnTransposedWeights(ModelContract):
    """GPT-2's linears hold [in, out]."""

    @pytest.fixture
    def model(self, tmp_path: Path) -> Auto:
        bundle: Any = toy_gpt2_bundle()
        bundle.module.save_pretrained(tmp_path / "base")
        toy_tokenizer().save_pretrained(tmp_path / "base")
        return Auto.from_mapping({"path": str(tmp_path / "base")}, where="model")


class TestAutoOnPretrainedWeights(ModelContract):
    @pytest.fixture
    def model(self, shared: Path) -> Auto:
        folder = shared / "models" / "stories260k-llama"
        return Auto.from_mapping({"path": str(folder)}, where="model")
