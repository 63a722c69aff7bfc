"""The adapter's folder: read back, refused when useless, usable without lorafw."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest
import torch

from lorafw.adapters.layout import peft_layout
from lorafw.adapters.layout.peft_layout import adapter_digest, read_adapter, read_recipe
from lorafw.builtin.adapter_exporter import AdapterExporter
from lorafw.builtin.auto import Auto
from lorafw.contracts import AdaptedModel, ExportRequest, ModelRequest
from lorafw.errors import ExportError
from lorafw.testing.toys import toy_folder
from lorafw.types import AdapterState, Task

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = {"model": {"use": "auto"}, "encoder": {"use": "prompt"}}


@pytest.fixture(params=sorted(entry_points(group="lorafw.injectors").names - {"full"}))
def request_to_export(request: pytest.FixtureRequest, tmp_path: Path) -> ExportRequest:
    """A toy model with a fresh adapter: A random, B zero."""
    (entry,) = entry_points(group="lorafw.injectors", name=request.param)
    builder = Auto(path=str(toy_folder(tmp_path / "base")))
    asked = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
    bundle = builder.build(asked, builder.tokenizer())
    options = {"r": 4, "target_modules": ["q_proj", "down_proj"]}
    model = entry.load().from_mapping(options, where="injector").inject(bundle)
    return ExportRequest(model, builder, RECIPE)


def train(model: AdaptedModel) -> AdapterState:
    """Stands in for training: every B gets a value."""
    for parameter in model.trainable().values():
        parameter.data.add_(0.01)
    return model.state()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_what_is_exported_is_the_live_adapter(
    request_to_export: ExportRequest, folder: Path
) -> None:
    state = train(request_to_export.model)
    files = AdapterExporter().export(request_to_export, folder)
    assert sorted(files) == sorted(folder.iterdir())
    read = read_adapter(folder)
    assert replace(read.spec, targets=state.spec.targets) == state.spec
    assert set(read.spec.targets) == set(state.spec.targets)
    assert all(torch.equal(read.tensors[name], tensor) for name, tensor in state.tensors.items())
    assert read_recipe(folder) == RECIPE


def test_the_config_names_the_base_and_short_targets(
    request_to_export: ExportRequest, folder: Path, tmp_path: Path
) -> None:
    train(request_to_export.model)
    AdapterExporter().export(request_to_export, folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str((tmp_path / "base").resolve())
    assert config["target_modules"] == ["q_proj", "down_proj"]


def test_an_adapter_that_was_not_trained_is_refused(
    request_to_export: ExportRequest, folder: Path
) -> None:
    with pytest.raises(ExportError, match="every B is zero, so nothing was trained"):
        AdapterExporter().export(request_to_export, folder)
    assert not list(folder.iterdir())


def test_one_trained_layer_is_enough(request_to_export: ExportRequest, folder: Path) -> None:
    last = list(request_to_export.model.trainable().values())[-1]
    last.data[0, 0] = 1e-30
    assert AdapterExporter().export(request_to_export, folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_adapter_that_blew_up_is_refused(
    request_to_export: ExportRequest, folder: Path, value: float
) -> None:
    train(request_to_export.model)
    name, parameter = next(iter(request_to_export.model.trainable().items()))
    parameter.data[0, 0] = value
    with pytest.raises(ExportError, match=f"{name} holds NaN or infinity"):
        AdapterExporter().export(request_to_export, folder)


def test_a_difference_when_read_back_is_an_error(
    request_to_export: ExportRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_another(path: Path) -> AdapterState:
        state = read_adapter(path)
        return AdapterState(state.spec, {name: t + 1 for name, t in state.tensors.items()})

    train(request_to_export.model)
    monkeypatch.setattr(peft_layout, "read_adapter", read_another)
    with pytest.raises(ExportError, match="not the one written"):
        AdapterExporter().export(request_to_export, folder)


def test_exporting_leaves_the_model_alone(request_to_export: ExportRequest, folder: Path) -> None:
    model: Any = request_to_export.model
    before = adapter_digest(train(model))
    AdapterExporter().export(request_to_export, folder)
    assert adapter_digest(model.state()) == before
