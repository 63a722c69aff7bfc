"""The trainer `deepspeed` keeps the promises of its kind, at every stage of ZeRO."""

from __future__ import annotations

import pytest

from lorafw.testing import TrainerContract
from lorafw_deepspeed.trainer import DeepSpeedTrainer


class TestDeepSpeedTrainer(TrainerContract):
    @pytest.fixture(params=[0, 1, 2, 3], ids="stage-{}".format)
    def trainer(self, request: pytest.FixtureRequest) -> DeepSpeedTrainer:
        return DeepSpeedTrainer(zero_stage=request.param, persistence_threshold=0)
