"""Whether to go on after a failure."""

from __future__ import annotations

from dataclasses import dataclass

from lorafw.training.launching.failure import Failure


@dataclass(frozen=True, slots=True)
class Progress:
    """Newest checkpoint (its step; None without one) when an attempt began, and when it ended."""

    before: int | None
    after: int | None

    @property
    def made(self) -> bool:
        """Whether the attempt got as far as a new checkpoint."""
        return self.after is not None and self.after != self.before


def may_help(failure: Failure, progress: Progress) -> bool:
    """Whether another attempt could end otherwise.

    What lorafw refused, it will refuse again. A rank that was killed, or a network that failed,
    may do better next time. An exception is tried again only if it let a new checkpoint be
    written: rows and random numbers follow from the step, so a mere bug would return at once.
    """
    if failure.kind in {"refused", "stopped"}:
        return False
    return failure.killed_by_signal or failure.kind == "lost contact" or progress.made


def fewer(nproc: int, fewest: int, killed: int) -> int:
    """Ranks of this machine in the next attempt: those that the kernel killed are left out."""
    return max(fewest, nproc - killed)
