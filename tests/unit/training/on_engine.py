"""A trainer whose engine is whatever a test makes of it; several ranks meet in torch's DDP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lorafw.contracts import Engine, EngineJob, World
from lorafw.testing.toy_training import Trained, started, train
from lorafw.training.engine_trainer import EngineTrainer
from lorafw.training.whole_engine import WholeEngine


class OnEngine(EngineTrainer):
    """Opens an engine of the given kind, on the CPU wherever the tests run."""

    kind: Any = WholeEngine

    def connect(self) -> World:
        return replace(super().connect(), device=torch.device("cpu"))

    def open_engine(self, job: EngineJob, world: World) -> Engine:
        wrapped: nn.Module = job.module
        if world.world_size > 1:
            wrapped = DistributedDataParallel(job.module)
        engine = self.kind(job, world, wrapped)
        assert isinstance(engine, Engine)
        return engine


def trained(kind: type[Engine] = WholeEngine, **request: Any) -> Trained:
    """The toy training on one rank, on an engine of this kind."""
    torch.set_num_threads(1)
    with started(OnEngine(kind=kind)) as running:
        return train(running, **request)


def notices(done: Trained) -> list[str]:
    return [str(payload["message"]) for event, payload in done.events if event == "notice"]
