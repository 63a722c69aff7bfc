"""Plots show what was measured, and say what they need."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import torch
from tests.unit.adapters.states import random_adapter

from lorafw.adapters.algebra.inspection import inspect_adapter
from lorafw.adapters.algebra.layer_sizes import layer_sizes
from lorafw.adapters.algebra.plots import heat_map, norms, spectra, write_plots
from lorafw.errors import LorafwError
from lorafw.types import AdapterSpec, AdapterState

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("matplotlib")
REPORT = inspect_adapter(random_adapter())


def test_files_are_pictures_and_pyplot_is_left_alone(tmp_path: Path) -> None:
    files = write_plots(REPORT, tmp_path / "new" / "plots")
    assert len(files) == 3
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
    assert "matplotlib.pyplot" not in sys.modules


def test_the_heat_map_has_a_cell_for_each_kind_and_layer() -> None:
    axes = heat_map(REPORT).axes[0]
    cells = axes.images[0].get_array()
    sizes = layer_sizes(REPORT)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["q", "up"]
    assert cells[0].tolist() == pytest.approx([sizes["q"][0], sizes["q"][1]])
    assert cells[1, 0] == pytest.approx(sizes["up"][0])
    assert cells.mask[1].tolist() == [False, True]


def test_the_lines_are_the_norms_and_the_spectra() -> None:
    lines = {line.get_label(): line for line in norms(REPORT).axes[0].lines}
    sizes = layer_sizes(REPORT)["q"]
    assert lines["q"].get_ydata().tolist() == pytest.approx([sizes[0], sizes[1]])
    curve = spectra(REPORT).axes[0].lines[0].get_ydata()
    values = REPORT.modules[0].singular_values
    assert curve.tolist() == pytest.approx([value / values[0] for value in values])


@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_heads_and_silent_modules_are_drawn_too(factor: float) -> None:
    state = random_adapter(shapes={"head": (4, 3)})
    tensors = {name: tensor * factor for name, tensor in state.tensors.items()}
    report = inspect_adapter(AdapterState(state.spec, tensors))
    assert heat_map(report).axes[0].images[0].get_array().shape == (1, 1)
    assert len(norms(report).axes[0].lines) == 0
    assert len(spectra(report).axes[0].lines) == factor


def test_what_has_no_factors_cannot_be_drawn(tmp_path: Path) -> None:
    spec = AdapterSpec(rank=0, alpha=0, targets=("a",), method="IA3")
    with pytest.raises(LorafwError, match="nothing to plot"):
        write_plots(inspect_adapter(AdapterState(spec, {"a.ia3_l": torch.ones(3)})), tmp_path)


def test_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "plots").write_text("x")
    with pytest.raises(LorafwError, match=r"plots: cannot be written: "):
        write_plots(REPORT, tmp_path / "plots")


def test_without_matplotlib_the_command_to_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(LorafwError, match=r"Run: pip install 'lorafw\[plots\]'"):
        write_plots(REPORT, tmp_path)
