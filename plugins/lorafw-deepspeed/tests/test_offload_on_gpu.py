"""On a GPU, what is offloaded lies on the CPU in pinned memory, and trains the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lorafw.testing.engine import CLOSE, EngineContract, largest_difference
from lorafw.testing.reference import train_plainly
from lorafw.testing.toy_engine import advance, opened, values_of
from lorafw_deepspeed._partitions import masters
from lorafw_deepspeed.trainer import DeepSpeedTrainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
STAGES = {
    "stage-1": {"zero_stage": 1},
    "stage-2": {"zero_stage": 2},
    "stage-3": {"zero_stage": 3, "persistence_threshold": 0},
    "stage-3-parameters": {
        "zero_stage": 3,
        "persistence_threshold": 0,
        "offload_parameters": True,
    },
}


class TestOffload(EngineContract):
    @pytest.fixture(params=STAGES.values(), ids=STAGES)
    def trainer(self, request: pytest.FixtureRequest) -> DeepSpeedTrainer:
        return DeepSpeedTrainer(offload_optimizer=True, **request.param)


def held(engine: Any) -> list[torch.Tensor]:
    """Masters and what the optimizer remembers of them, single values apart."""
    flats = list(masters(engine._zero))
    states = [engine._zero.optimizer.state[flat].values() for flat in flats]
    tensors = [v for state in states for v in state if isinstance(v, torch.Tensor) and v.dim()]
    return [*flats, *tensors]


@pytest.mark.parametrize("options", STAGES.values(), ids=STAGES)
@pytest.mark.parametrize("offload", [True, False])
def test_the_optimizer_is_where_it_was_wanted(options: dict[str, Any], offload: bool) -> None:
    trainer = DeepSpeedTrainer(offload_optimizer=offload, **options)
    with opened(trainer) as engine:
        advance(engine, range(5))
        places = {tensor.device.type for tensor in held(engine)}
        found = {name: value.cpu() for name, value in values_of(engine).items()}
    assert places == {"cpu" if offload else "cuda"}
    assert largest_difference(found, train_plainly().values) <= CLOSE


@pytest.mark.parametrize("pinned", [True, False])
def test_parameters_wait_on_the_cpu(pinned: bool) -> None:
    trainer = DeepSpeedTrainer(pin_memory=pinned, **STAGES["stage-3-parameters"])
    with opened(trainer) as engine:
        advance(engine, [0])
        parts = [p.ds_tensor for p in engine._job.module.parameters()]  # type: ignore[attr-defined]
        assert {part.device.type for part in parts} == {"cpu"}
        assert all(part.is_pinned() is pinned for part in parts)
