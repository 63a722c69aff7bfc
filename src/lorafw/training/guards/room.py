"""Room on the disk for what a run is about to write."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from lorafw.contracts._sizes import numel
from lorafw.contracts.trainer import TrainJob
from lorafw.errors import TrainingError

_PER_NUMBER = 12
"""Bytes a checkpoint has for each trained number: itself and two moments, in fp32."""
_MARGIN = 1.02
"""Headers, configs, and blocks that are not full."""


def require_room(job: TrainJob, folder: Path, exports: int) -> None:
    """See that checkpoints and exports will find room.

    A checkpoint that is written lies beside those that are kept; one more is kept where the best
    one is. Those that are there already, as in a resumed run, need no further room.

    Args:
        job: what is trained.
        folder: the run's; it exists.
        exports: bytes that exporters will write.

    Raises:
        TrainingError: there is less free space than that; both are named.
    """
    needed = int((checkpoints_bytes(job) + exports) * _MARGIN) - _size(job.checkpoints)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise TrainingError(
            f"checkpoints and exports need about {readable(needed)}, and {readable(free)} are "
            "free.",
            where=str(folder),
            mend="Make room, choose another disk with --output, or lower plan.keep_checkpoints.",
        )


def checkpoints_bytes(job: TrainJob) -> int:
    """The most that checkpoints take at any one time; none are written without a place for them."""
    if job.checkpoints is None:
        return 0
    numbers = sum(numel(parameter) for parameter in job.model.trainable().values())
    method = sum(t.numel() * t.element_size() for t in job.model.training_state().values())
    most = job.plan.keep_checkpoints + 1 + job.plan.export_best
    return most * (_PER_NUMBER * numbers + method)


def _size(folder: Path | None) -> int:
    if folder is None or not folder.is_dir():
        return 0
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def readable(size: float) -> str:
    """Bytes in words, such as `1.2 GB`."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = min(len(units) - 1, int(math.log(max(size, 1), 1000)))
    return f"{size / 1000**power:.3g} {units[power]}"
