"""Norms of a base's weights, read from its files."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.unit.adapters.states import random_adapter

from lorafw.adapters.algebra import base_norms
from lorafw.adapters.algebra.base_norms import BaseNorms, given_base, noted_base
from lorafw.adapters.layout.adapter_folder import AdapterFolder
from lorafw.errors import AdapterError, ModelError
from lorafw.models.folder import identity

TARGET = "model.layers.1.self_attn.q_proj"


@pytest.fixture
def base(toy_bases: dict[bool, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_bases[False], tmp_path / "base"))


def adapter_of(base: Path | str, known: str = "") -> AdapterFolder:
    recipe = {"model": {"use": "auto", "path": str(base)}, **({"base": known} if known else {})}
    return AdapterFolder(Path("somewhere"), random_adapter(), recipe, {})


@pytest.mark.parametrize("rows", [4096, 5])
def test_norms_and_parameters(base: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(base_norms, "ROWS", rows)
    tensors = load_file(base / "model.safetensors")
    norms = BaseNorms(base)
    assert norms.norm(TARGET) == pytest.approx(float(tensors[f"{TARGET}.weight"].norm()))
    assert norms.parameters == sum(tensor.numel() for tensor in tensors.values())
    assert norms.norm("model.layers.7.self_attn.q_proj") is None


def test_files_may_lack_the_first_parts_of_a_name(base: Path) -> None:
    file = base / "model.safetensors"
    tensors = {name.removeprefix("model."): tensor for name, tensor in load_file(file).items()}
    save_file(tensors, file)
    expected = float(tensors[f"{TARGET.removeprefix('model.')}.weight"].norm())
    assert BaseNorms(base).norm(TARGET) == pytest.approx(expected)


def test_weights_of_few_bits_have_no_norm(base: Path) -> None:
    file = base / "model.safetensors"
    tensors = load_file(file)
    tensors[f"{TARGET}.weight"] = torch.ones(4, 4, dtype=torch.uint8)
    save_file(tensors, file)
    assert BaseNorms(base).norm(TARGET) is None


def test_the_noted_base_is_taken_where_it_is_still_the_same(base: Path, tmp_path: Path) -> None:
    assert noted_base(adapter_of(base)) is not None
    assert noted_base(adapter_of(base, identity(base))) is not None
    assert noted_base(adapter_of("lorafw:demo")) is not None
    assert noted_base(adapter_of(base, "sha256:other")) is None
    assert noted_base(adapter_of(tmp_path / "gone")) is None
    assert noted_base(adapter_of(tmp_path)) is None
    assert noted_base(adapter_of("")) is None
    assert (
        noted_base(replace(adapter_of(""), config={"base_model_name_or_path": "org/name"})) is None
    )


def test_a_base_that_is_named_must_be_the_right_one(base: Path, tmp_path: Path) -> None:
    assert given_base(adapter_of("gone", identity(base)), str(base)).norm(TARGET) is not None
    with pytest.raises(AdapterError, match="somewhere: was trained on the base model sha256:other"):
        given_base(adapter_of("gone", "sha256:other"), str(base))
    with pytest.raises(ModelError, match="there is no such folder"):
        given_base(adapter_of(base), str(tmp_path / "gone"))


def test_a_damaged_base_is_an_error(base: Path) -> None:
    file = base / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelError, match="cut off"):
        noted_base(adapter_of(base))
