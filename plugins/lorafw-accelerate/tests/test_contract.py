"""The trainer `accelerate` keeps the promises of its kind, with parameters whole and sharded."""

from __future__ import annotations

import pytest

from lorafw.testing import TrainerContract
from lorafw_accelerate.trainer import AccelerateTrainer


class TestAccelerateTrainer(TrainerContract):
    @pytest.fixture(params=[False, True], ids=["whole", "sharded"])
    def trainer(self, request: pytest.FixtureRequest) -> AccelerateTrainer:
        return AccelerateTrainer(fsdp=request.param)
