"""Methods other than LoRA keep the promises of injectors."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.contracts import LoRAInjector
from lorafw.testing import InjectorContract
from lorafw.testing.toys import toy_bundle
from lorafw.testing.values import equal
from lorafw_peft.injector import PeftInjector

FEW = {"target_modules": ("q_proj", "down_proj")}
ONE_START: dict[str, dict[str, Any]] = {
    "ia3": {"target_modules": ("v_proj", "down_proj")},
    "vera": {**FEW, "r": 8},
}


class TestAdaLoRA(InjectorContract):
    @pytest.fixture
    def injector(self) -> PeftInjector:
        return PeftInjector(method="adalora", r=4, method_options={"target_r": 2}, **FEW)


class TestMethodsWithOneStart(InjectorContract):
    """Nothing that these train is random at the start."""

    @pytest.fixture(params=ONE_START)
    def injector(self, request: pytest.FixtureRequest) -> PeftInjector:
        return PeftInjector(method=request.param, **ONE_START[request.param])

    def test_reset_is_a_function_of_the_seed_alone(self, injector: LoRAInjector) -> None:
        model = injector.inject(toy_bundle())
        fresh = model.state().tensors
        model.load_state({name: tensor + 1 for name, tensor in fresh.items()})
        for seed in (1, 2):
            model.reset(seed)
            assert equal(model.state().tensors, fresh)
