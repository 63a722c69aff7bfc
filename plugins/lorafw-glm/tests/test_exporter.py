"""What `chatglm` writes is a checkpoint of the original layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lorafw.contracts import ExportRequest, ModelRequest
from lorafw.errors import ExportError
from lorafw.testing import ExporterContract
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_tokenizer
from lorafw.testing.values import as_if_trained, logits_of
from lorafw.types import Encoded, Task
from lorafw_glm.exporter import ChatGLMExporter
from lorafw_glm.model import Glm

QKV = "transformer.encoder.layers.1.self_attention.query_key_value"
IDS = (5, 9, 11, 4, 7)


def asked(folder: Path, **lora: Any) -> ExportRequest:
    builder = Glm.from_mapping({"path": str(folder)}, where="model")
    request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
    model = ToyInjector(**{"r": 2, **lora}).inject(builder.build(request, builder.tokenizer()))
    as_if_trained(model)
    recipe = {"base": model.bundle.base, "encoder": {"use": "glm"}}
    return ExportRequest(model, builder, recipe)


class TestChatGLMExporter(ExporterContract):
    @pytest.fixture
    def exporter(self) -> ChatGLMExporter:
        return ChatGLMExporter.from_mapping({"max_shard_size": "10kB"}, where="exporters")

    @pytest.fixture(autouse=True)
    def _base(self, make_original: Callable[..., Path]) -> None:
        self.base = make_original(name="base")

    def request(self, folder: Path) -> ExportRequest:
        return asked(self.base)


def test_what_the_adapter_left_alone_is_bit_equal(
    make_original: Callable[..., Path], tmp_path: Path
) -> None:
    (folder := tmp_path / "out").mkdir()
    base = make_original()
    (base / "modeling_chatglm.py").write_text("# the original's code\n")
    request = asked(base, target_modules=["k_proj"])
    ChatGLMExporter().export(request, folder)
    before, after = (load_file(place / "model.safetensors") for place in (base, folder))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {QKV.replace("1", str(layer)) + ".weight" for layer in (0, 1)}
    # Queries take 4 heads of 8 rows, keys the next 2, values the rest.
    rows = (before[f"{QKV}.weight"] != after[f"{QKV}.weight"]).any(dim=1)
    assert rows.nonzero().flatten().tolist() == list(range(32, 48))
    for name in ("tokenizer.model", "modeling_chatglm.py"):
        assert (folder / name).read_bytes() == (base / name).read_bytes()
    stored, written = (json.loads((place / "config.json").read_text()) for place in (base, folder))
    assert {**written, "torch_dtype": None} == {**stored, "torch_dtype": None}


def test_the_reader_of_original_checkpoints_computes_what_the_live_model_does(
    make_original: Callable[..., Path], tmp_path: Path
) -> None:
    request = asked(make_original())
    exporter = ChatGLMExporter()
    (folder := tmp_path / "out").mkdir()
    exporter.export(request, folder)
    found = exporter.reopen(folder, request.builder).logits(IDS)
    wanted = logits_of(request.model.bundle, [Encoded(IDS, IDS)])
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_a_base_in_transformers_own_layout_is_refused(
    make_glm: Callable[..., Any], tmp_path: Path
) -> None:
    make_glm().save_pretrained(tmp_path / "base")
    toy_tokenizer().save_pretrained(tmp_path / "base")
    with pytest.raises(ExportError, match=r"not published under.*Use exporter merged"):
        ChatGLMExporter().export(asked(tmp_path / "base"), tmp_path)


def test_added_tokens_are_refused(make_original: Callable[..., Path], tmp_path: Path) -> None:
    request = asked(make_original())
    request.model.bundle.token_rows = {"model.embed_tokens": (7,)}
    with pytest.raises(ExportError, match="no place for added tokens"):
        ChatGLMExporter().export(request, tmp_path)
