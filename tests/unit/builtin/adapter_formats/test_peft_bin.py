"""PEFT's older folder, with the tensors in a pickle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lorafw.adapters.conversion.conversion import write_format
from lorafw.adapters.layout.peft_layout import adapter_digest, read_adapter
from lorafw.builtin.adapter_formats.peft import Peft
from lorafw.builtin.adapter_formats.peft_bin import PeftBin
from lorafw.contracts import AdapterBase
from lorafw.errors import AdapterError
from lorafw.types import AdapterSpec, AdapterState, canonical_pair

MODULE = "model.layers.0.self_attn.q_proj"
STATE = AdapterState(
    AdapterSpec(2, 4.0, (MODULE,)),
    dict(zip(canonical_pair(MODULE), (torch.ones(2, 4), torch.full((6, 2), 0.5)), strict=True)),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    PeftBin().write(STATE, tmp_path / "adapter", AdapterBase(path="/models/base"))
    return tmp_path / "adapter"


def test_the_pickle_holds_what_the_safetensors_file_would(folder: Path, tmp_path: Path) -> None:
    Peft().write(STATE, tmp_path / "safe", AdapterBase(path="/models/base"))
    pickled = torch.load(folder / "adapter_model.bin", weights_only=True)
    safe = load_file(tmp_path / "safe" / "adapter_model.safetensors")
    assert pickled.keys() == safe.keys()
    assert all(torch.equal(pickled[name], safe[name]) for name in safe)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "/models/base"
    assert not (folder / "adapter_model.safetensors").exists()


def test_peft_itself_loads_it(folder: Path) -> None:
    peft = pytest.importorskip("peft")
    loaded = peft.utils.load_peft_weights(str(folder), device="cpu")
    assert {name.removeprefix("base_model.model.") for name in loaded} == STATE.tensors.keys()


def test_lorafw_reads_safetensors_and_names_the_command(folder: Path) -> None:
    with pytest.raises(AdapterError, match=r"lorafw adapter convert .* --to peft"):
        read_adapter(folder)
    assert adapter_digest(PeftBin().read(folder, AdapterBase())) == adapter_digest(STATE)


def test_a_safetensors_file_goes_before_the_pickle(folder: Path) -> None:
    assert PeftBin.recognises(folder)
    (folder / "adapter_model.safetensors").touch()
    assert not PeftBin.recognises(folder)


def test_errors_name_the_users_own_file(folder: Path) -> None:
    file = folder / "adapter_model.bin"
    tensors = torch.load(file, weights_only=True)
    name = f"base_model.model.{MODULE}.lora_A.weight"
    torch.save({**tensors, name: tensors[name] * torch.nan}, file)
    with pytest.raises(AdapterError) as caught:
        PeftBin().read(folder, AdapterBase())
    assert str(file) in str(caught.value)
    assert "NaN" in str(caught.value)


def test_a_pickle_of_more_than_tensors_is_not_opened(folder: Path) -> None:
    torch.save({"run": Path("anything")}, folder / "adapter_model.bin")
    with pytest.raises(AdapterError, match=r"adapter_model\.bin: holds more than plain tensors"):
        PeftBin().read(folder, AdapterBase())


FIXTURES = [
    "dora_all_linear",
    "ia3",
    "lora_modules_to_save",
    "lora_patterns",
    "prefix_tuning",
    "prompt_tuning",
    "rslora_qv",
]


@pytest.mark.parametrize("name", FIXTURES)
def test_every_method_goes_there_and_back(shared: Path, tmp_path: Path, name: str) -> None:
    folder = shared / "golden" / "peft" / name
    state = read_adapter(folder)
    assert write_format(state, PeftBin(), tmp_path / "old", AdapterBase()).change == 0
    back = PeftBin().read(tmp_path / "old", AdapterBase())
    assert write_format(back, Peft(), tmp_path / "new", AdapterBase()).change == 0
    assert adapter_digest(read_adapter(tmp_path / "new")) == adapter_digest(state)
