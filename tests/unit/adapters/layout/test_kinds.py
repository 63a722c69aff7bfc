"""What adapters are called, and what is in them beside A and B."""

from __future__ import annotations

import pytest
import torch
from tests.unit.adapters.states import SHAPES, random_adapter

from lorafw.adapters.layout.kinds import beside_factors, factored, method_name, refuse_other_methods
from lorafw.errors import AdapterError
from lorafw.types import AdapterSpec, AdapterState

IA3 = AdapterState(
    AdapterSpec(rank=0, alpha=0, targets=("a",), method="IA3"), {"a.ia3_l": torch.ones(4)}
)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({}, "LoRA"),
        ({"use_rslora": True}, "rsLoRA"),
        ({"use_dora": True}, "DoRA"),
        ({"use_dora": True, "use_rslora": True}, "DoRA + rsLoRA"),
    ],
)
def test_names(spec: dict[str, bool], name: str) -> None:
    assert method_name(random_adapter(**spec).spec) == name


def test_other_methods_have_no_factors() -> None:
    assert method_name(IA3.spec) == "IA3"
    assert factored(IA3) == ()
    assert beside_factors(IA3) == ("a.ia3_l",)
    with pytest.raises(AdapterError, match="x: holds no factors A and B; its method is IA3"):
        refuse_other_methods(IA3, "x")


def test_magnitudes_and_trained_modules_are_beside_the_factors() -> None:
    state = random_adapter(extra={"head.weight": torch.ones(2, 2)}, trained=("head",))
    assert factored(state) == tuple(SHAPES)
    assert beside_factors(state) == ("head.weight",)
    assert beside_factors(random_adapter(use_dora=True)) == tuple(
        f"{module}.lora_magnitude_vector" for module in SHAPES
    )
    refuse_other_methods(state)
