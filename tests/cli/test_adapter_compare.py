"""`lorafw adapter compare`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.adapters import assert_one_line, call, cut_off, written
from tests.unit.adapters.states import SHAPES, random_adapter


def test_two_adapters_in_words(tmp_path: Path) -> None:
    one = written(tmp_path / "a", random_adapter(0), base="sha256:1")
    some = random_adapter(1, rank=2, modules=["layers.0.q", "layers.1.q"])
    two = written(tmp_path / "b", some, base="sha256:2")
    result = call("compare", one, two)
    assert result.exit_code == 0
    facts, settings, modules = result.stdout.split("\n\n")
    assert facts.splitlines()[0].split(maxsplit=1) == ["base", "different"]
    assert "2 in both, 0 of them identical" in facts
    assert "only in A  layers.0.up" in facts
    assert "rank     3  2" in settings
    assert [line.split()[0] for line in modules.splitlines()[1:]] == ["layers.0.q", "layers.1.q"]


def test_an_adapter_and_its_copy(tmp_path: Path) -> None:
    one, two = (written(tmp_path / name, base="sha256:1") for name in "ab")
    shown = call("compare", one, two).stdout
    assert "base     the same" in shown
    assert "overall  identical bit for bit" in shown
    assert "SETTING" not in shown


def test_two_adapters_as_json(tmp_path: Path) -> None:
    one = written(tmp_path / "a", random_adapter(0, alpha=10.0))
    two = written(tmp_path / "b", random_adapter(0))
    found = json.loads(call("compare", one, two, "--json").stdout)
    assert (found["same_base"], found["identical"]) == (None, False)
    assert found["settings"] == {"alpha": [10, 5]}
    assert found["overall"]["cosine"] == pytest.approx(1)
    assert found["overall"]["norm_ratio"] == pytest.approx(0.5)
    assert [module["name"] for module in found["modules"]] == list(SHAPES)


def test_magnitudes_are_compared_too(tmp_path: Path) -> None:
    one, two = (
        written(tmp_path / str(seed), random_adapter(seed, use_dora=True)) for seed in (0, 1)
    )
    assert "layers.0.q.lora_magnitude_vector" in call("compare", one, two).stdout


def test_methods_that_have_nothing_in_common(shared: Path) -> None:
    golden = shared / "golden" / "peft"
    result = call("compare", golden / "ia3", golden / "lora_qv")
    assert result.exit_code == 0
    facts, settings = result.stdout.split("\n\n")
    assert "only in A  model.layers.0.mlp.down_proj.ia3_l, model.layers.0.self_attn.k" in facts
    assert "overall" not in facts
    assert [row.split()[0] for row in settings.splitlines()] == ["SETTING", "method", "options"]


def test_what_is_no_adapter_or_a_damaged_one(tmp_path: Path) -> None:
    good = written(tmp_path / "a")
    assert_one_line(call("compare", good, tmp_path / "none"), 1, "none", "is missing")
    assert_one_line(call("compare", cut_off(written(tmp_path / "b")), good), 1, "is damaged")
    assert call("compare", good).exit_code == 2
