from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import lorafw
from lorafw.errors import AdapterError, ConfigError, ModelError, UsageError
from lorafw.testing.toys import toy_folder
from lorafw.types import AdapterState, canonical_pair

IDS = [1, 5, 9, 7, 12, 6]


def edit(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def merged_by_hand(base: Path, state: AdapterState, folder: Path) -> Path:
    """The base with W + alpha / r · B·A written into its files."""
    shutil.copytree(base, folder)
    tensors = load_file(folder / "model.safetensors")
    for target in state.spec.targets:
        down, up = (state.tensors[name] for name in canonical_pair(target))
        tensors[f"{target}.weight"] += state.spec.scaling_of(target) * up @ down
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_an_adapter_is_applied_by_any_injector(
    adapter: Path, injector: str, toy: Path, state: AdapterState, tmp_path: Path
) -> None:
    edit(adapter / "lorafw.json", injector={"use": injector})
    model = lorafw.load(adapter, device="cpu")
    want = lorafw.load(merged_by_hand(toy, state, tmp_path / "whole"), device="cpu").logits(IDS)
    torch.testing.assert_close(model.logits(IDS), want, rtol=1e-4, atol=1e-4)
    base = lorafw.load(toy, device="cpu").logits(IDS)
    torch.testing.assert_close(model.logits(IDS, adapter=False), base, rtol=1e-5, atol=1e-5)
    assert (base - want).abs().max() > 0.1


def test_the_adapter_can_be_folded_in(adapter: Path) -> None:
    live = lorafw.load(adapter, device="cpu")
    folded = lorafw.load(adapter, device="cpu", adapter_merged=True)
    torch.testing.assert_close(folded.logits(IDS), live.logits(IDS), rtol=1e-4, atol=1e-4)
    with pytest.raises(UsageError, match="part of the weights"):
        folded.logits(IDS, adapter=False)


def test_the_encoder_is_the_recipes(adapter: Path) -> None:
    assert lorafw.load(adapter, device="cpu").encoder.model_dump()["separator"] == " "


def test_an_injector_that_is_not_installed_is_replaced(adapter: Path) -> None:
    edit(adapter / "lorafw.json", injector={"use": "not-installed"})
    assert lorafw.load(adapter, device="cpu").adapted is not None


def test_another_base_is_refused(adapter: Path, tmp_path: Path) -> None:
    other = toy_folder(tmp_path / "other", seed=1)
    wanted = json.loads((adapter / "lorafw.json").read_text())["base"]
    with pytest.raises(AdapterError, match=wanted):
        lorafw.load(adapter, base=other, device="cpu")


def test_a_base_that_is_gone_can_be_named_anew(adapter: Path, toy: Path, tmp_path: Path) -> None:
    edit(adapter / "lorafw.json", model={"use": "auto", "path": str(tmp_path / "gone")})
    with pytest.raises(AdapterError, match=r"no such folder.*base="):
        lorafw.load(adapter, device="cpu")
    moved = Path(shutil.copytree(toy, tmp_path / "moved"))
    assert lorafw.load(adapter, base=moved, device="cpu").adapted is not None


def test_a_base_that_is_damaged_is_a_model_error(tmp_path: Path) -> None:
    toy_folder(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="there are no weights"):
        lorafw.load(tmp_path, device="cpu")


def test_a_recipe_with_an_unknown_option_is_an_error(adapter: Path, toy: Path) -> None:
    model = {"use": "auto", "path": str(toy), "no_such_option": 1}
    edit(adapter / "lorafw.json", model=model)
    with pytest.raises(ConfigError, match=r"model\.no_such_option"):
        lorafw.load(adapter, device="cpu")


def test_an_unknown_device_is_an_error(toy: Path) -> None:
    with pytest.raises(UsageError, match="no device 'abacus'"):
        lorafw.load(toy, device="abacus")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error(toy: Path) -> None:
    with pytest.raises(UsageError, match="no GPU"):
        lorafw.load(toy, device="cuda")
