"""The injector `peft` keeps the promises of its kind on experts that are one tensor."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.contracts import ModelBundle
from lorafw.testing import InjectorContract
from lorafw.testing.toy_experts import toy_experts_bundle
from lorafw_peft.injector import PeftInjector

EXPERTS: dict[str, Any] = {"target_modules": ["experts"]}
WITH_ATTENTION: dict[str, Any] = {
    "target_modules": ["q_proj", "experts.down_proj", "layers.1.mlp.experts.gate_up_proj"],
    "rank_pattern": {"gate_up_proj": 2, "experts": 3},
}


class TestPeftInjectorOnMixtral(InjectorContract):
    @pytest.fixture(params=[EXPERTS, WITH_ATTENTION], ids=["experts", "with-attention"])
    def injector(self, request: pytest.FixtureRequest) -> PeftInjector:
        options: dict[str, Any] = request.param
        return PeftInjector.from_mapping({"r": 4, **options}, where="injector")

    def bundle(self, dtype: str = "fp32") -> ModelBundle:
        return toy_experts_bundle("mixtral", dtype)


class TestPeftInjectorOnQwen3(InjectorContract):
    @pytest.fixture
    def injector(self) -> PeftInjector:
        return PeftInjector(r=4, target_modules=("experts",))

    def bundle(self, dtype: str = "fp32") -> ModelBundle:
        return toy_experts_bundle("qwen3_moe", dtype)
