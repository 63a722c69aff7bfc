"""Core's objectives keep the promises of their kind."""

from __future__ import annotations

import pytest

from lorafw.builtin.causal_lm import CausalLM
from lorafw.builtin.classification import Classification
from lorafw.testing import ObjectiveContract


class TestCausalLM(ObjectiveContract):
    @pytest.fixture(params=[3, 512])
    def objective(self, request: pytest.FixtureRequest) -> CausalLM:
        return CausalLM(chunk_rows=request.param)


class TestClassification(ObjectiveContract):
    @pytest.fixture
    def objective(self) -> Classification:
        return Classification()
