"""The injector `peft` keeps the promises of its kind."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.contracts import ModelBundle
from lorafw.testing import InjectorContract
from lorafw.testing.toy_classifier import toy_classifier
from lorafw.testing.toys import toy_gpt2_bundle
from lorafw_peft.injector import PeftInjector

OTHER = {
    "use_rslora": True,
    "target_modules": ["embed_tokens", "q_proj", "down_proj"],
    "rank_pattern": {"layers.1.mlp.down_proj": 3},
    "alpha_pattern": {"q_proj": 5.0},
}


DORA = {"use_dora": True, "rank_pattern": {"q_proj": 2}}
BY_ROWS = {"init": "lora_ga", "init_rows": 8}


class TestPeftInjector(InjectorContract):
    @pytest.fixture(
        params=[BY_ROWS, OTHER, DORA], ids=["start by rows", "patterns and embeddings", "dora"]
    )
    def injector(self, request: pytest.FixtureRequest) -> PeftInjector:
        options: dict[str, Any] = request.param
        return PeftInjector.from_mapping({"r": 4, **options}, where="injector")


class TestPeftInjectorOnTransposedWeights(InjectorContract):
    """GPT-2's linears hold [in, out], and have biases."""

    @pytest.fixture
    def injector(self) -> PeftInjector:
        return PeftInjector(r=4, bias="all")

    def bundle(self, dtype: str = "fp32") -> ModelBundle:
        return toy_gpt2_bundle(dtype)


class TestPeftInjectorOnAClassifier(InjectorContract):
    """Its head is trained beside the adapter."""

    @pytest.fixture
    def injector(self) -> PeftInjector:
        return PeftInjector(r=4)

    def bundle(self, dtype: str = "fp32") -> ModelBundle:
        return toy_classifier(dtype)
