"""The injector `custom` keeps the promises of its kind on experts that are one tensor."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.contracts import ModelBundle
from lorafw.testing import InjectorContract
from lorafw.testing.toy_experts import toy_experts_bundle
from lorafw_custom.injector import CustomInjector

EXPERTS: dict[str, Any] = {"target_modules": ["experts"]}
WITH_ATTENTION: dict[str, Any] = {
    "target_modules": ["q_proj", "experts.down_proj", "layers.1.mlp.experts.gate_up_proj"],
    "rank_pattern": {"gate_up_proj": 2, "experts": 3},
    "alpha_pattern": {"layers.0.mlp.experts.down_proj": 5.0},
    "use_rslora": True,
}


class TestCustomInjectorOnMixtral(InjectorContract):
    @pytest.fixture(params=[EXPERTS, WITH_ATTENTION], ids=["experts", "with-attention"])
    def injector(self, request: pytest.FixtureRequest) -> CustomInjector:
        options: dict[str, Any] = request.param
        return CustomInjector.from_mapping({"r": 4, **options}, where="injector")

    def bundle(self, dtype: str = "fp32") -> ModelBundle:
        return toy_experts_bundle("mixtral", dtype)


class TestCustomInjectorOnQwen3(InjectorContract):
    @pytest.fixture
    def injector(self) -> CustomInjector:
        return CustomInjector(r=4, target_modules=("experts",))

    def bundle(self, dtype: str = "fp32") -> ModelBundle:
        return toy_experts_bundle("qwen3_moe", dtype)
