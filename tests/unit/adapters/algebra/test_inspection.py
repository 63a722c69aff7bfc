"""What is told of an adapter is true of its dense updates."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.unit.adapters.states import SHAPES, dense_update, random_adapter

from lorafw.adapters.algebra.base_norms import given_base
from lorafw.adapters.algebra.inspection import inspect_adapter
from lorafw.adapters.layout.adapter_folder import open_adapter
from lorafw.types import AdapterSpec, AdapterState

GOLDEN = (
    "dora_all_linear",
    "ia3",
    "lora_modules_to_save",
    "lora_patterns",
    "prefix_tuning",
    "prompt_tuning",
    "rslora_patterns",
)


def test_modules_are_measured_as_their_dense_updates() -> None:
    state = random_adapter(rank_pattern={"layers.0.up": 2}, alpha_pattern={"layers.0.q": 1.0})
    report = inspect_adapter(state)
    assert [module.name for module in report.modules] == list(SHAPES)
    for module in report.modules:
        dense = dense_update(state, module.name)
        values = torch.linalg.svdvals(dense)[: module.rank]
        assert (module.outputs, module.inputs) == SHAPES[module.name]
        assert module.singular_values == pytest.approx(values.tolist())
        assert module.norm == pytest.approx(float(dense.norm()))
        assert module.scaling == state.spec.scaling_of(module.name)
        assert module.parameters == module.rank * (module.outputs + module.inputs)
        assert module.relative_norm is None
        assert 1 <= module.stable_rank <= module.effective_rank <= module.rank
    assert [module.alpha for module in report.modules] == [1, 5, 5]
    assert report.parameters == sum(module.parameters for module in report.modules)
    assert report.norm**2 == pytest.approx(sum(module.norm**2 for module in report.modules))


def test_magnitudes_and_trained_modules_are_other_tensors() -> None:
    extra = {"head.weight": torch.full((2, 2), 3.0)}
    report = inspect_adapter(random_adapter(use_dora=True, extra=extra, trained=("head",)))
    assert report.method == "DoRA"
    assert len(report.modules) == 3
    names = [other.name for other in report.others]
    assert names == [*(f"{module}.lora_magnitude_vector" for module in SHAPES), "head.weight"]
    assert (report.others[-1].shape, report.others[-1].norm) == ((2, 2), 6.0)


def test_of_other_methods_tensors_alone() -> None:
    spec = AdapterSpec(rank=4, alpha=4, targets=("a",), method="IA3", options={"x": 1})
    report = inspect_adapter(AdapterState(spec, {"a.ia3_l": torch.ones(4)}))
    assert (report.method, report.modules, report.rank) == ("IA3", (), 0)
    assert [(other.name, other.norm) for other in report.others] == [("a.ia3_l", 2.0)]
    assert (report.parameters, dict(report.options)) == (4, {"x": 1})


@pytest.mark.parametrize("name", GOLDEN)
def test_adapters_that_peft_wrote(shared: Path, name: str) -> None:
    from safetensors.torch import load_file

    golden = shared / "golden" / "peft"
    adapter = open_adapter(golden / name)
    report = inspect_adapter(adapter.state, given_base(adapter, str(golden / "base")))
    stored = load_file(golden / name / "adapter_model.safetensors")
    assert report.parameters == sum(tensor.numel() for tensor in stored.values())
    base = load_file(golden / "base" / "model.safetensors")
    assert report.base_parameters == sum(tensor.numel() for tensor in base.values())
    for module in report.modules:
        weight = float(base[f"{module.name}.weight"].norm())
        assert module.relative_norm == pytest.approx(module.norm / weight)
