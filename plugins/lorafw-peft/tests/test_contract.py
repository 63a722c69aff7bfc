"""The injector `peft` keeps the promises of its kind."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.testing import InjectorContract
from lorafw_peft.injector import PeftInjector

OTHER = {
    "use_rslora": True,
    "target_modules": ["q_proj", "down_proj"],
    "rank_pattern": {"layers.1.mlp.down_proj": 3},
    "alpha_pattern": {"q_proj": 5.0},
}


class TestPeftInjector(InjectorContract):
    @pytest.fixture(params=[{}, OTHER], ids=["default", "patterns"])
    def injector(self, request: pytest.FixtureRequest) -> PeftInjector:
        options: dict[str, Any] = request.param
        return PeftInjector.from_mapping({"r": 4, **options}, where="injector")
