"""`lorafw adapter inspect`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from tests.cli.adapters import assert_one_line, call, cut_off, written
from tests.unit.adapters.states import SHAPES, random_adapter

from lorafw.models.folder import DEMO
from lorafw.types import AdapterSpec, AdapterState

TARGET = "model.layers.0.self_attn.q_proj"


def test_an_adapter_in_words(tmp_path: Path) -> None:
    state = random_adapter(rank_pattern={"layers.0.up": 2}, use_rslora=True)
    result = call("inspect", written(tmp_path / "a", state))
    assert result.exit_code == 0
    facts, table = result.stdout.split("\n\n")
    told = dict(line.split(maxsplit=1) for line in facts.splitlines())
    assert told["method"] == "rsLoRA"
    assert told["rank"] == "2 to 3, mostly 3"
    assert (told["alpha"], told["modules"], told["parameters"]) == ("5", "3", "92")
    rows = [line.split() for line in table.splitlines()[1:]]
    assert [row[0] for row in rows] == list(SHAPES)
    assert rows[1][1:6] == ["2", "3.53553", "9", "x", "4"]


def test_the_base_gives_shares(tmp_path: Path) -> None:
    state = random_adapter(shapes={TARGET: (128, 128)})
    adapter = written(tmp_path / "a", state, model={"use": "auto", "path": DEMO})
    alone = call("inspect", written(tmp_path / "b", state))
    noted, given = call("inspect", adapter), call("inspect", tmp_path / "b", "--base", DEMO)
    assert noted.stdout == given.stdout
    assert "parameters  768, 0.08% of the base's 967,808" in noted.stdout
    assert "of the base's" not in alone.stdout


def test_an_adapter_as_json(tmp_path: Path) -> None:
    found = json.loads(call("inspect", written(tmp_path / "a"), "--json").stdout)
    assert (found["method"], found["rank"], found["base_parameters"]) == ("LoRA", 3, None)
    assert [module["name"] for module in found["modules"]] == list(SHAPES)
    assert len(found["modules"][0]["singular_values"]) == 3


def test_another_method_is_shown_by_its_tensors(shared: Path) -> None:
    result = call("inspect", shared / "golden" / "peft" / "ia3")
    assert result.exit_code == 0
    assert "IA3" in result.stdout
    assert "model.layers.0.mlp.down_proj.ia3_l" in result.stdout


def test_magnitudes_are_shown_apart(tmp_path: Path) -> None:
    result = call("inspect", written(tmp_path / "a", random_adapter(use_dora=True)))
    assert "DoRA" in result.stdout
    assert result.stdout.splitlines()[-1].split()[:2] == ["layers.1.q.lora_magnitude_vector", "6"]


def test_plots_are_written_and_json_stays_json(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = call("inspect", written(tmp_path / "a"), "--json", "--plots", tmp_path / "plots")
    assert json.loads(result.stdout)["rank"] == 3
    assert sorted(file.name for file in (tmp_path / "plots").iterdir()) == [
        "heat-map.png",
        "norm-per-layer.png",
        "spectra.png",
    ]
    assert "Wrote" in result.stderr


def test_plots_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = call("inspect", written(tmp_path / "a"), "--plots", tmp_path / "plots")
    assert result.exit_code == 1
    assert result.stderr.endswith("Run: pip install 'lorafw[plots]'\n")


def test_what_is_no_adapter_or_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_one_line(call("inspect", tmp_path / "none"), 1, "none", "is missing")
    assert_one_line(call("inspect", tmp_path / "empty"), 1, "empty", "is missing")
    assert_one_line(call("inspect", cut_off(written(tmp_path / "a"))), 1, "is damaged")
    broken = written(tmp_path / "b")
    (broken / "adapter_config.json").write_text("{")
    assert_one_line(call("inspect", broken), 1, "b", "JSON")


def test_a_wrong_base_is_one_line(tmp_path: Path) -> None:
    adapter = written(tmp_path / "a", base="sha256:0")
    assert_one_line(call("inspect", adapter, "--base", DEMO), 1, "was trained on the base model")
    assert_one_line(call("inspect", adapter, "--base", tmp_path / "x"), 1, "no such folder")


def test_a_trained_head_is_shown(tmp_path: Path) -> None:
    spec = AdapterSpec(rank=2, alpha=2, targets=("a",), trained=("head",))
    shapes = {"a.lora_A.weight": (2, 4), "a.lora_B.weight": (3, 2), "head.weight": (5, 4)}
    state = AdapterState(spec, {name: torch.ones(shape) for name, shape in shapes.items()})
    shown = call("inspect", written(tmp_path / "a", state)).stdout
    assert shown.splitlines()[-1].split() == ["head.weight", "5", "x", "4", "4.472"]
