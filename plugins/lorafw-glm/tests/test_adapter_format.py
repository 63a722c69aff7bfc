"""Adapters of the original ChatGLM, to lorafw's names and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import lorafw
from lorafw.adapters.conversion.conversion import largest_change
from lorafw.adapters.layout.peft_layout import adapter_digest, read_adapter
from lorafw.builtin.adapter_formats.peft_bin import PeftBin
from lorafw.cli.main import main
from lorafw.contracts import AdapterBase, ModelRequest
from lorafw.errors import AdapterError
from lorafw.testing import AdapterFormatContract
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_folder, toy_tokenizer
from lorafw.testing.values import as_if_trained
from lorafw.types import AdapterState, Task
from lorafw_glm.adapter_format import ChatGLMAdapter
from lorafw_glm.model import Glm


def convert(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["adapter", "convert", *map(str, arguments)])


def trained_state(folder: Path, **options: Any) -> AdapterState:
    """An adapter of a small original, its values not zero."""
    builder = Glm.from_mapping({"path": str(folder)}, where="model")
    request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
    bundle = builder.build(request, builder.tokenizer())
    model = ToyInjector.from_mapping({"r": 2, **options}, where="injector").inject(bundle)
    as_if_trained(model)
    return model.state()


class TestChatGLMAdapter(AdapterFormatContract):
    @pytest.fixture(autouse=True)
    def made_here(self, make_original: Callable[..., Path]) -> None:
        self.folder = make_original(name="base")

    @pytest.fixture
    def adapter_format(self) -> ChatGLMAdapter:
        return ChatGLMAdapter()

    def base(self, folder: Path) -> AdapterBase:
        builder = Glm.from_mapping({"path": str(self.folder)}, where="model")
        return AdapterBase(builder, str(self.folder))

    def state(self) -> AdapterState:
        patterns = {"rank_pattern": {"k_proj": 3}, "alpha_pattern": {"v_proj": 6.0}}
        return trained_state(self.folder, **patterns)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    toy_tokenizer().save_pretrained(tmp_path / "words")
    return tmp_path / "words"


def test_the_reference_adapter_there_and_back(shared: Path, tmp_path: Path) -> None:
    original = shared / "golden" / "chatglm2" / "adapter_qkv_lora"
    base = shared / "golden" / "chatglm2" / "hf-safetensors"
    there = convert(original, tmp_path / "split", "--to", "peft", "--base", base)
    assert there.exit_code == 0, there.output
    assert "as chatglm: 6 modules, rank 4, scaling 3." in there.output
    assert "bit for bit the same" in there.output
    back = convert(tmp_path / "split", tmp_path / "fused", "--to", "chatglm", "--base", base)
    assert back.exit_code == 0, back.output
    assert adapter_digest(read_adapter(tmp_path / "fused")) == adapter_digest(
        read_adapter(original)
    )


@torch.no_grad()
@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("injector", ["custom", "peft"])
def test_the_reference_adapter_is_loaded_as_it_is(
    shared: Path,
    words: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    injector: str,
    *,
    merged: bool,
) -> None:
    pytest.importorskip(f"lorafw_{injector}")
    golden, adapter = shared / "golden" / "chatglm2", tmp_path / "adapter"
    shutil.copytree(golden / "adapter_qkv_lora", adapter)
    (adapter / "lorafw.json").write_text(json.dumps({"injector": {"use": injector}}))
    monkeypatch.setattr(Glm, "tokenizer_folder", lambda _: words)
    base = golden / "hf-safetensors"
    model = lorafw.load(adapter, base=base, device="cpu", adapter_merged=merged)
    arrays = np.load(golden / "arrays.npz")
    for ids, wanted in zip(arrays["input_ids"], arrays["logits_lora"], strict=True):
        found = model.logits([int(token) for token in ids])
        torch.testing.assert_close(found, torch.tensor(wanted), atol=1e-4, rtol=0)


def test_a_pickle_under_the_original_names_is_read(
    make_original: Callable[..., Path], tmp_path: Path
) -> None:
    from lorafw.adapters.conversion.pickled_adapter import pickle_tensors

    folder = make_original()
    base = AdapterBase(Glm.from_mapping({"path": str(folder)}, where="model"))
    state = trained_state(folder)
    ChatGLMAdapter().write(state, tmp_path / "fused", base)
    safe = ChatGLMAdapter().read(tmp_path / "fused", base)
    pickle_tensors(tmp_path / "fused")
    assert PeftBin.recognises(tmp_path / "fused")
    assert ChatGLMAdapter.recognises(tmp_path / "fused")
    pickled = ChatGLMAdapter().read(tmp_path / "fused", base)
    assert adapter_digest(pickled) == adapter_digest(safe)
    assert largest_change(state, pickled) <= ChatGLMAdapter().rounding


def test_the_base_must_be_known_and_a_glm(
    make_original: Callable[..., Path], tmp_path: Path
) -> None:
    from lorafw.builtin.auto import Auto

    folder = make_original()
    base = AdapterBase(Glm.from_mapping({"path": str(folder)}, where="model"))
    state = trained_state(folder)
    ChatGLMAdapter().write(state, tmp_path / "fused", base)
    with pytest.raises(AdapterError, match=r"needed to know which rows are queries.*--base PATH"):
        ChatGLMAdapter().read(tmp_path / "fused", AdapterBase())
    llama = Auto.from_mapping({"path": str(toy_folder(tmp_path / "llama"))}, where="model")
    with pytest.raises(AdapterError, match=r"type 'llama'; only 'glm' has names of ChatGLM"):
        ChatGLMAdapter().read(tmp_path / "fused", AdapterBase(llama))


def test_more_than_lora_is_refused(make_original: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_original()
    base = AdapterBase(Glm.from_mapping({"path": str(folder)}, where="model"))
    state = trained_state(folder)
    dora = replace(state, spec=replace(state.spec, use_dora=True))
    with pytest.raises(AdapterError, match=r"this adapter has DoRA's magnitudes.*as peft"):
        ChatGLMAdapter().write(dora, tmp_path / "fused", base)
