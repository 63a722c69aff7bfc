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


class TestCustomInjector(InjectorContract):
    @pytest.fixture(params=[{}, OTHER], ids=["default", "patterns"])
    def injector(self, request: pytest.FixtureRequest) -> CustomInjector:
        options: dict[str, Any] = request.param
        return CustomInjector.from_mapping({"r": 4, **options}, where="injector")


class TestCustomInjectorOnTransposedWeights(InjectorContract):
    """GPT-2's linears hold [in, out]."""

    @pytest.fixture
    def injector(self) -> CustomInjector:
        return CustomInjector(r=4)

    def bundle(self, dtype: str = "fp32") -> ModelBundle:
        return toy_gpt2_bundle(dtype)


class TestCustomInjectorOnAClassifier(InjectorContract):
    """Its head is trained beside the adapter."""

    @pytest.fixture
    def injector(self) -> CustomInjector:
        return CustomInjector(r=4)

    def bundle(self, dtype: str = "fp32") -> ModelBundle:
        return toy_classifier(dtype)
