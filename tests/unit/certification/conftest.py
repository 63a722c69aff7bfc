"""A toy with an adapter, and what was exported of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.builtin.adapter_exporter import AdapterExporter
from lorafw.builtin.merged_exporter import MergedExporter
from lorafw.certification.live import Live
from lorafw.certification.sources import live_model
from lorafw.contracts import Exporter
from lorafw.models import folder as folders
from lorafw.testing.toys import toy_folder
from lorafw.types import AdapterSpec, AdapterState, canonical_pair

TARGETS = ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj")
SHAPES = {TARGETS[0]: (32, 32), TARGETS[1]: (48, 32)}
EXPORTERS: dict[str, Exporter] = {"adapter": AdapterExporter(), "merged": MergedExporter()}


@dataclass(frozen=True)
class Toy:
    """A base, an adapter for it, and both as exports."""

    folder: Path

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def adapter(self) -> Path:
        return self.folder / "trained"

    def export(self, name: str) -> Path:
        return self.folder / name

    def live(self) -> Live:
        return live_model(self.adapter)

    def copied(self, name: str, to: Path) -> Path:
        """A copy of an export, to be tampered with."""
        shutil.copytree(self.export(name), to / name)
        return to / name


def write_toy_adapter(folder: Path, base: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for target, (rows, columns) in SHAPES.items():
        down, up = canonical_pair(target)
        tensors[down] = torch.randn(4, columns, generator=generator) * 0.3
        tensors[up] = torch.randn(rows, 4, generator=generator) * 0.3
    recipe = {
        "model": {"use": "auto", "path": str(base)},
        "base": folders.identity(base),
        "encoder": {"use": "prompt"},
    }
    folder.mkdir()
    state = AdapterState(AdapterSpec(rank=4, alpha=8.0, targets=TARGETS), tensors)
    write_adapter(folder, state, base_path=str(base), recipe=recipe)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    toy = Toy(tmp_path_factory.mktemp("toy"))
    toy_folder(toy.base)
    write_toy_adapter(toy.adapter, toy.base)
    live = toy.live()
    for name, exporter in EXPORTERS.items():
        toy.export(name).mkdir()
        live.exported(exporter, toy.export(name), toy.export(name))
    return toy
