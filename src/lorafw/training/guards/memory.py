"""Running out of memory: smaller micro-batches, and the same step once more."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from lorafw.contracts.engine import Engine
from lorafw.contracts.trainer import TrainJob
from lorafw.errors import TrainingError
from lorafw.training.batches import MicroBatch, cost_of

_SAYINGS = ("allocate memory", "out of memory", "bad_alloc", "STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that an allocation failed, on a GPU or on the CPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(saying in str(error) for saying in _SAYINGS)


@contextmanager
def explained(what: str, tokens: int) -> Iterator[None]:
    """Turn running out of memory into an error for the user, where nothing can be cut smaller.

    Args:
        what: what there was no memory for.
        tokens: the micro-batch budget.

    Raises:
        TrainingError: memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"memory does not suffice for {what}: {str(error).partition(chr(10))[0]}",
            mend=f"Lower plan.micro_batch_tokens, now {tokens}, or train fewer parameters; "
            "continue with --resume.",
        ) from error


def free_what_failed() -> None:
    """Give back what the failed pass still holds."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class TokenBudget:
    """Most tokens in a micro-batch: the plan's, or less where memory ran out on some rank.

    A global batch gives the same update however it is cut, so the budget may change between two
    tries of one step.
    """

    def __init__(self, job: TrainJob, engine: Engine) -> None:
        self._job, self._engine = job, engine
        self.tokens = job.plan.token_budget

    def offers(self) -> list[float]:
        """This rank's budget at this rank's place, so that their sum over ranks shows them all."""
        world = self._engine.world
        return [float(self.tokens * (rank == world.rank)) for rank in range(world.world_size)]

    def agree(self, offers: Sequence[float]) -> bool:
        """Take the smallest budget of all ranks; whether that is less than this rank's was."""
        lowest = int(min(offers))
        if lowest == self.tokens:
            return False
        self._lower(lowest)
        return True

    def halve(self, failed: MicroBatch, lengths: Sequence[int], *, reducing: bool) -> None:
        """Lower the budget so that what failed is cut in two.

        Args:
            failed: the micro-batch for which memory did not suffice.
            lengths: tokens of every row.
            reducing: gradients were on their way to other ranks, which wait for them.

        Raises:
            TrainingError: it is a single row, or other ranks are in the middle of the same pass.
        """
        cost = cost_of([lengths[row] for row in failed.rows], self._job.layout)
        refuse_single(failed.rows, self._job.row_name(failed.rows[0]), cost)
        refuse_others_waiting(self._engine, cost, reducing=reducing)
        self._lower(max(1, min(self.tokens, cost) // 2))

    def _lower(self, tokens: int) -> None:
        self.tokens = tokens
        if self._engine.world.rank == 0:
            self._job.emit(
                "notice",
                message=f"Memory ran out: micro-batches have at most {tokens} tokens from now on, "
                f"instead of plan.micro_batch_tokens {self._job.plan.token_budget}.",
            )


def refuse_single(rows: Sequence[int], name: str, tokens: int) -> None:
    """Refuse what cannot be cut any smaller.

    Raises:
        TrainingError: it is a single row.
    """
    if len(rows) > 1:
        return
    raise TrainingError(
        f"memory does not suffice for {name} alone: it has {tokens} tokens.",
        mend="Lower encoder.max_length, set plan.activations: checkpoint, or train a base of "
        "fewer bits.",
    )


def refuse_others_waiting(engine: Engine, tokens: int, *, reducing: bool = False) -> None:
    """Refuse to try again in smaller portions where other ranks are in the same pass.

    Args:
        engine: where memory ran out.
        tokens: in the micro-batch for which it did.
        reducing: gradients were on their way to other ranks.

    Raises:
        TrainingError: there are other ranks, and they wait for this one.
    """
    world = engine.world
    if world.world_size == 1 or not (engine.lockstep or reducing):
        return
    raise TrainingError(
        f"rank {world.rank} ran out of memory in a micro-batch of {tokens} tokens, for which other "
        "ranks wait.",
        where="plan.micro_batch_tokens",
        mend=f"Set it to {max(1, tokens // 2)} and continue with --resume.",
    )
