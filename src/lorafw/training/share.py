"""What one rank trains on in one step: rows, cut into micro-batches, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lorafw.contracts.engine import World
from lorafw.contracts.trainer import TrainJob
from lorafw.data.encoded.packed import lengths_of
from lorafw.training.batches import BatchPlan, MicroBatch
from lorafw.training.collation import collated
from lorafw.types import Batch


@dataclass(frozen=True, slots=True)
class Share:
    """One rank's micro-batches of a step, as row numbers and as tensors."""

    parts: list[MicroBatch]
    batches: list[Batch]


class Shares:
    """Cuts the steps of a job for one rank."""

    def __init__(self, job: TrainJob, world: World) -> None:
        plan, self._job, self._world = job.plan, job, world
        self.lengths = lengths_of(job.rows)
        self._batches = BatchPlan(
            self.lengths,
            plan.global_batch_size,
            plan.token_budget,
            job.layout,
            job.seed,
            fixed=plan.composition == "fixed",
        )

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass over the rows."""
        return self._batches.steps_per_epoch

    def tokens_in(self, steps: int) -> int:
        """Real tokens in so many steps, as if all steps had equally many."""
        return round(sum(self.lengths) * steps / self.steps_per_epoch)

    def rows_of(self, step: int) -> list[int]:
        """The rows of one step, of all ranks."""
        return self._batches.rows_of(step)

    def of(self, step: int, budget: int) -> Share:
        """This rank's share of a step, in micro-batches of at most so many tokens."""
        cut = replace(self._batches, budget=budget)
        parts = cut.step(step, self._world.rank, self._world.world_size)
        return Share(parts, list(collated(self._job, self._job.rows, parts, self._world.device)))

    def tokens_of(self, share: Share) -> int:
        """Real tokens of a share, neither padding nor fillers counted."""
        rows = [row for part in share.parts if not part.filler for row in part.rows]
        return sum(self.lengths[row] for row in rows)
