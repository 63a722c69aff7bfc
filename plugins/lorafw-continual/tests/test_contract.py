"""Every scenario keeps the promises of its kind."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.assembly.registry import Registry
from lorafw.contracts import Scenario
from lorafw.testing import ScenarioContract

SCENARIOS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("sequential", {}),
    ("joint", {}),
    ("replay", {"after": True, "memory": 2}),
    ("replay", {"general": "second", "general_rows": 3}),
    ("adapter-per-task", {}),
    ("adapter-per-task", {"router": "similarity"}),
    ("ewc", {}),
    ("gem", {"memory_per_task": 3}),
    ("a-gem", {"reference_rows": 2}),
    ("ogd", {"memories": 3}),
    ("lwf", {}),
    ("lfpt5", {"pseudo_rows": 2}),
    ("o-lora", {}),
    ("progressive-prompts", {}),
    ("l2p", {}),
    ("mbpa++", {"neighbours": 2}),
)


class TestScenarios(ScenarioContract):
    @pytest.fixture(params=SCENARIOS, ids=str)
    def scenario(self, request: pytest.FixtureRequest) -> Scenario:
        name, options = request.param
        loaded = Registry().load("scenario", name).from_mapping(options, where="scenario")
        assert isinstance(loaded, Scenario)
        return loaded
