"""The trainer `deepspeed` keeps the promises of its kind, at every stage of ZeRO."""

from __future__ import annotations

import pytest

from lorafw.testing import TrainerContract
from lorafw.testing.engine import EngineContract
from lorafw_deepspeed.trainer import DeepSpeedTrainer


class TestDeepSpeedTrainer(TrainerContract):
    @pytest.fixture(params=[0, 1, 2, 3], ids="stage-{}".format)
    def trainer(self, request: pytest.FixtureRequest) -> DeepSpeedTrainer:
        return DeepSpeedTrainer(zero_stage=request.param, persistence_threshold=0)


class TestOffload(EngineContract):
    @pytest.fixture(
        params=[  # 1 goes the way of 2
            pytest.param((2, "optimizer"), marks=pytest.mark.slow),
            (3, "optimizer parameters"),
        ],
        ids=lambda case: f"stage-{case[0]}-{case[1].replace(' ', '-')}",
    )
    def trainer(self, request: pytest.FixtureRequest) -> DeepSpeedTrainer:
        stage, moved = request.param
        options = {f"offload_{what}": True for what in moved.split()}
        return DeepSpeedTrainer(zero_stage=stage, persistence_threshold=0, **options)
