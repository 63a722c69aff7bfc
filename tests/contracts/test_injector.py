"""The toy injector, by which other parts are tried, keeps the promises of its kind."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.contracts import ModelBundle
from lorafw.testing import InjectorContract
from lorafw.testing.toy_classifier import toy_classifier
from lorafw.testing.toy_injector import ToyInjector


class TestToyInjector(InjectorContract):
    @pytest.fixture(params=[{}, {"use_rslora": True, "alpha": 4.0}], ids=["default", "rslora"])
    def injector(self, request: pytest.FixtureRequest) -> ToyInjector:
        options: dict[str, Any] = request.param
        return ToyInjector.from_mapping({"r": 4, **options}, where="injector")


class TestToyInjectorOnAClassifier(InjectorContract):
    @pytest.fixture
    def injector(self) -> ToyInjector:
        return ToyInjector(r=4)

    def bundle(self, dtype: str = "fp32") -> ModelBundle:
        return toy_classifier(dtype)
