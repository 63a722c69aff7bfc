"""Small models of every family that llama.cpp runs, with a byte-level tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest
import torch

from lorafw.builtin.auto import Auto
from lorafw.contracts import ExportRequest, ModelRequest
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.values import as_if_trained
from lorafw.types import Task, Tokenizer

SIZES = {
    "vocab_size": 1280,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "sliding_window": None,
}


@pytest.fixture(scope="session")
def words() -> Tokenizer:
    """The demo model's tokenizer: byte-level BPE with a chat template."""
    from transformers import AutoTokenizer

    with as_file(files("lorafw.demo") / "base") as folder:
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(folder)
    return tokenizer


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, words: Tokenizer) -> Callable[..., Path]:
    """A folder with a small model: `small("qwen3", tie_word_embeddings=True)`."""
    from transformers import AutoConfig, AutoModelForCausalLM

    def made(family: str = "llama", **fields: Any) -> Path:
        folder = tmp_path_factory.mktemp(family)
        config = AutoConfig.for_model(family, **{**SIZES, "head_dim": 8, **fields})
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(config)
            for name, parameter in model.named_parameters():
                if name.endswith((".bias", "norm.weight")):
                    parameter.data += torch.randn_like(parameter) * 0.1
        model.save_pretrained(folder)
        words.save_pretrained(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def asked() -> Callable[..., ExportRequest]:
    """A request to export a folder's model with an adapter that acts: `asked(folder, r=4)`."""

    def made(
        folder: Path | str, *, encoder: dict[str, Any] | None = None, **options: Any
    ) -> ExportRequest:
        builder = Auto.from_mapping({"path": str(folder)}, where="model")
        request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
        bundle = builder.build(request, builder.tokenizer())
        model = ToyInjector(**{"r": 4, **options}).inject(bundle)
        as_if_trained(model)
        recipe = {
            "base": bundle.base,
            "model": {"use": "auto", **builder.model_dump(mode="json")},
            "encoder": encoder or {"use": "chat"},
        }
        return ExportRequest(model, builder, recipe)

    return made
