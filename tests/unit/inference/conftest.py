"""A toy base, an adapter that was trained on it, and who can apply it."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest
import torch

from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.models import folder as folders
from lorafw.testing.toys import toy_folder
from lorafw.types import AdapterSpec, AdapterState, canonical_pair

if TYPE_CHECKING:
    from pathlib import Path

INJECTORS = sorted(entry_points(group="lorafw.injectors").names - {"full"})
TARGETS = ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj")
SHAPES = {TARGETS[0]: (32, 32), TARGETS[1]: (48, 32)}


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("base") / "toy")


@pytest.fixture
def state() -> AdapterState:
    """An adapter with an effect that shows."""
    tensors = {}
    generator = torch.Generator().manual_seed(0)
    for target, (rows, columns) in SHAPES.items():
        down, up = canonical_pair(target)
        tensors[down] = torch.randn(4, columns, generator=generator)
        tensors[up] = torch.randn(rows, 4, generator=generator)
    return AdapterState(AdapterSpec(rank=4, alpha=8.0, targets=TARGETS), tensors)


@pytest.fixture(params=INJECTORS)
def injector(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def recipe(toy: Path) -> dict[str, Any]:
    return {
        "lorafw": "0.1.0",
        "base": folders.identity(toy),
        "model": {"use": "auto", "path": str(toy)},
        "encoder": {"use": "prompt", "separator": " "},
        "injector": {"use": INJECTORS[0] if INJECTORS else "peft"},
        "seed": 0,
    }


@pytest.fixture
def adapter(tmp_path: Path, state: AdapterState, recipe: dict[str, Any]) -> Path:
    folder = tmp_path / "run" / "adapter"
    folder.mkdir(parents=True)
    write_adapter(folder, state, base_path=recipe["model"]["path"], recipe=recipe)
    return folder
