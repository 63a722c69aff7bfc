"""The trainer `accelerate` keeps the promises of its kind."""

from __future__ import annotations

import pytest

from lorafw.testing import TrainerContract
from lorafw_accelerate.trainer import AccelerateTrainer


class TestAccelerateTrainer(TrainerContract):
    @pytest.fixture
    def trainer(self) -> AccelerateTrainer:
        return AccelerateTrainer()
