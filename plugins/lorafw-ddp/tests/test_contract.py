"""The trainer `ddp` keeps the promises of its kind."""

from __future__ import annotations

import pytest

from lorafw.testing import TrainerContract
from lorafw_ddp.trainer import DDPTrainer


class TestDDPTrainer(TrainerContract):
    @pytest.fixture
    def trainer(self) -> DDPTrainer:
        return DDPTrainer()
