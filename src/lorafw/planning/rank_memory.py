"""A step's memory on one of several ranks, by what a trainer takes apart."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lorafw.contracts.trainer import Trainer
from lorafw.planning.step_memory import StepMemory
from lorafw.types import Capability


@dataclass(frozen=True, slots=True)
class RankMemory:
    """What a rank holds at the height of a step, in bytes.

    Attributes:
        weights, adapter, gradients, optimizer, activations, head: as in `StepMemory`, this rank's
            share.
        engine: what the engine adds: buckets in which gradients meet, copies in whole precision,
            weights gathered for one layer.
        libraries, holes: as in `StepMemory`, whole on every rank.
    """

    weights: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    head: int
    engine: int
    libraries: int
    holes: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return sum(asdict(self).values())

    @property
    def resting(self) -> int:
        """What does not grow with the micro-batch."""
        return self.total - self.growing

    @property
    def growing(self) -> int:
        """What does, in step with its tokens."""
        return self.activations + self.head + self.holes


def rank_memory(step: StepMemory, trainer: Trainer, world_size: int) -> RankMemory:
    """The share of each of `world_size` ranks.

    What a trainer's capabilities call whole lies on every rank, the rest is shared evenly (ZeRO,
    Rajbhandari et al. 2020, arXiv:1910.02054, section 5).
    """
    able = trainer.capabilities
    apart = Capability.WHOLE_PARAMETERS not in able
    shared = Capability.WHOLE_OPTIMIZER not in able
    engine = step.adapter if world_size > 1 else 0
    if shared:
        engine += step.adapter // world_size
    if apart:
        engine += step.layer
    return RankMemory(
        weights=step.weights // (world_size if apart else 1),
        adapter=step.adapter,
        gradients=step.gradients,
        optimizer=step.optimizer // (world_size if shared else 1),
        activations=step.activations,
        head=step.head,
        engine=engine,
        libraries=step.libraries,
        holes=step.holes,
    )
