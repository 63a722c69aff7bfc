"""The injector `custom` keeps the promises of its kind."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.contracts import ModelBundle
from lorafw.testing import InjectorContract
from lorafw.testing.toy_classifier import toy_classifier
from lorafw.testing.toys import toy_gpt2_bundle
from lorafw_custom.injector import CustomInjector

OTHER = {
    "use_rslora": True,
    "target_modules": ["q_proj", "down_proj"],
    "rank_pattern": {"layers.1.mlp.down_proj": 3},
    "alpha_pattern": {"q_proj": 5.0},
}
DORA_FROM_PISSA = {**OTHER, "use_dora": True, "init": "pissa", "lora_plus_ratio": 4.0}
GROUPS = {
    "target_modules": ["q_proj", "k_proj", "v_proj", "up_proj", "embed_tokens"],
    "rank_pattern": {"attention": 2, "mlp": 6},
    "init": "gaussian",
}


class TestCustomInjector(InjectorContract):
    @pytest.fixture(
        params=[{}, OTHER, {"use_dora": True}, {"init": "pissa"}, DORA_FROM_PISSA, GROUPS],
        ids=["default", "patterns", "dora", "pissa", "dora-pissa", "groups"],
    )
    def injector(self, request: pytest.FixtureRequest) -> CustomInjector:
        options: dict[str, Any] = request.param
        return CustomInjector.from_mapping({"r": 4, **options}, where="injector")


class TestCustomInjectorOnTransposedWeights(InjectorContract):
    """GPT-2's linears hold [in, out]."""

    @pytest.fixture(params=[False, True], ids=["lora", "dora"])
    def injector(self, request: pytest.FixtureRequest) -> CustomInjector:
        return CustomInjector(r=4, use_dora=request.param)

    def bundle(self, dtype: str = "fp32") -> ModelBundle:
        return toy_gpt2_bundle(dtype)


class TestCustomInjectorOnAClassifier(InjectorContract):
    """Its head is trained beside the adapter."""

    @pytest.fixture
    def injector(self) -> CustomInjector:
        return CustomInjector(r=4)

    def bundle(self, dtype: str = "fp32") -> ModelBundle:
        return toy_classifier(dtype)
