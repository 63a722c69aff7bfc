"""Core's scenarios keep the promises of their kind."""

from __future__ import annotations

import pytest

from lorafw.builtin.single import Single
from lorafw.testing import ScenarioContract


class TestSingle(ScenarioContract):
    @pytest.fixture
    def scenario(self) -> Single:
        return Single()
