"""The methods that train virtual tokens keep the promises of injectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lorafw.contracts import LoRAInjector, ModelBundle
from lorafw.testing import InjectorContract
from lorafw.testing.exchange import load_with_peft
from lorafw.testing.toy_classifier import toy_classifier
from lorafw.testing.toys import ToyEncoder, toy_gpt2_bundle, toy_rows
from lorafw.testing.values import distance
from lorafw.types import Layout
from lorafw_peft.injector import PeftInjector

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "prompt": ("prompt_tuning", {"num_virtual_tokens": 4}),
    "prefix": ("prefix_tuning", {"num_virtual_tokens": 3}),
    "encoder": ("p_tuning", {"encoder_hidden_size": 24}),
}


def injector_of(name: str) -> PeftInjector:
    method, options = METHODS[name]
    return PeftInjector(method=method, method_options=options)


class TestPromptMethods(InjectorContract):
    @pytest.fixture(params=METHODS)
    def injector(self, request: pytest.FixtureRequest) -> PeftInjector:
        return injector_of(request.param)


class TestPromptMethodsOnLearnedPositions(InjectorContract):
    """GPT-2 calls its decoder by position, and has a table of positions."""

    @pytest.fixture
    def injector(self) -> PeftInjector:
        return injector_of("prefix")

    def bundle(self, dtype: str = "fp32") -> ModelBundle:
        return toy_gpt2_bundle(dtype)


class TestPromptMethodsOnAClassifier(InjectorContract):
    """Its head is trained beside the virtual tokens."""

    @pytest.fixture
    def injector(self) -> PeftInjector:
        return injector_of("prompt")

    def bundle(self, dtype: str = "fp32") -> ModelBundle:
        return toy_classifier(dtype)

    def test_plain_peft_loads_the_written_adapter(
        self, injector: LoRAInjector, tmp_path: Path
    ) -> None:
        model, base = self.trained(injector), self.bundle()
        plain = load_with_peft(base, model, tmp_path)
        rows = ToyEncoder().collate(toy_rows(3), Layout.PADDED, base.pad_id).inputs
        with torch.no_grad():
            assert distance(model.bundle.hidden(rows).rows, plain(**rows).logits) <= 1e-5
