"""A trainer whose engine has a fault that an option names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.contracts import Engine, EngineJob, RunningTrainer, World
from lorafw.training.engine_trainer import EngineTrainer
from lorafw.types import Capability

if TYPE_CHECKING:
    from collections.abc import Mapping

_GRADIENTS = "gradients are whole unscaled and unclipped"
_NORM = "the gradient norm is the global one before clipping"
_RATE = "the learning rate is the one given"
_STATE = "the state survives a round trip bit for bit"
_NOT_FINITE = "gradients that are not finite update nothing"
_GIVEN_UP = "a step given up leaves nothing behind"
_MOVES = "its state moves to another engine and back"
_AGAIN = "opened again it computes the same"
_UPDATE = "the update is that of a plain loop however a batch is cut"
_TWICE = "it fits twice in one process"
_RESTART = "it starts again after it was closed"
_FROZEN = "frozen parameters stay bit identical"
_EVENTS = "events come in order and each step once"
_RESUMED = "a resumed run ends as an uninterrupted one bit for bit"
_PREFIX = "a kept prefix changes no bit"
RANKS = "two ranks train what one does"

BREAKS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "mean": (_GRADIENTS, _NORM, _GIVEN_UP, _MOVES, _UPDATE),
    "rate": (_RATE,),
    "norm": (_NORM, _UPDATE),
    "step": (_STATE, _NOT_FINITE, _GIVEN_UP, _MOVES, _RESUMED),
    "hoard": (_GIVEN_UP,),
    "reckless": (_NOT_FINITE,),
    "dialect": (_MOVES,),
    "memory": (_NOT_FINITE, _AGAIN, _TWICE, _RESTART, _RESUMED, _PREFIX),
    "thaw": (
        *(_FROZEN, _STATE, _GIVEN_UP, _NOT_FINITE, _UPDATE),
        *(_TWICE, _RESTART, _EVENTS, _RESUMED, _PREFIX),
    ),
    "echo": (_EVENTS, _UPDATE, _RESUMED),
}
"""The promises that each fault breaks."""


class Faulty(EngineTrainer):
    """DistributedDataParallel, with a fault."""

    fault: str = Field("none", description="Which one.")

    @property
    def breaks(self) -> tuple[str, ...]:
        return BREAKS[self.fault]

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset({Capability.WHOLE_PARAMETERS, Capability.WHOLE_GRADIENTS})

    def connect(self) -> World:
        from lorafw.training.process_group import join

        return join(timeout_minutes=2)

    def open_engine(self, job: EngineJob, world: World) -> Engine:
        from tests.unit.testing.broken.engines import open_engine

        return open_engine(self.fault, job, world)

    def start(self) -> RunningTrainer:
        from tests.unit.testing.broken.engines import EchoingRunner

        return EchoingRunner(self, self.connect()) if self.fault == "echo" else super().start()
