"""The model `glm` and the exporter `chatglm-adapter` keep the promises of their kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Glm4Config, Glm4ForCausalLM

import lorafw
from lorafw.adapters.layout.peft_layout import read_adapter
from lorafw.contracts import ExportRequest, ModelRequest
from lorafw.testing import ExporterContract, ModelContract
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_tokenizer
from lorafw.testing.values import as_if_trained, logits_of
from lorafw.types import Encoded, Task
from lorafw_glm.adapter_exporter import ChatGLMAdapterExporter
from lorafw_glm.adapter_names import to_glm
from lorafw_glm.key_map import Rows
from lorafw_glm.model import Glm


def glm(path: Path, **options: Any) -> Glm:
    return Glm.from_mapping({"path": str(path), **options}, where="model")


class TestGlmFromOriginal(ModelContract):
    @pytest.fixture(params=["fp32", "bf16"])
    def model(self, request: pytest.FixtureRequest, make_original: Callable[..., Path]) -> Glm:
        return glm(make_original(), dtype=request.param)


class TestGlmFromTransformers(ModelContract):
    @pytest.fixture
    def model(self, tmp_path: Path, make_glm: Callable[..., Any]) -> Glm:
        make_glm().save_pretrained(tmp_path / "base")
        toy_tokenizer().save_pretrained(tmp_path / "base")
        return glm(tmp_path / "base")


class TestGlm4FromTransformers(ModelContract):
    @pytest.fixture
    def model(self, tmp_path: Path) -> Glm:
        sizes = {"hidden_size": 32, "intermediate_size": 48, "head_dim": 8, "vocab_size": 64}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2}
        config = Glm4Config(**sizes, **heads, pad_token_id=0, initializer_range=0.2)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            Glm4ForCausalLM(config).save_pretrained(tmp_path / "base")
        toy_tokenizer().save_pretrained(tmp_path / "base")
        return glm(tmp_path / "base")


class TestChatGLMAdapterExporter(ExporterContract):
    @pytest.fixture
    def exporter(self) -> ChatGLMAdapterExporter:
        return ChatGLMAdapterExporter()

    @pytest.fixture(autouse=True)
    def _base(self, make_original: Callable[..., Path]) -> None:
        self.base = make_original(name="base")

    def request(self, folder: Path) -> ExportRequest:
        builder = glm(self.base)
        asked = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
        model = ToyInjector(r=4).inject(builder.build(asked, builder.tokenizer()))
        as_if_trained(model)
        recipe = {"lorafw": lorafw.__version__, "base": model.bundle.base}
        return ExportRequest(model, builder, recipe)

    def reload(self, folder: Path, ids: Sequence[int]) -> Tensor:
        """As the original would compute them: its names are turned into Glm's."""
        builder = glm(self.base)
        asked = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
        bundle = builder.build(asked, builder.tokenizer())
        state = to_glm(read_adapter(folder), Rows.of(builder.native_config()))
        adapted = ToyInjector().for_spec(state.spec).inject(bundle)
        adapted.load_state(state.tensors)
        return logits_of(bundle, [Encoded(ids, ids)])
