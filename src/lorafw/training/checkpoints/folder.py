"""The folder of checkpoints: which are there, which goes, and which is continued.

A folder named `step-…` is whole. What is not yet, or no longer, has a dot in front of its name.
"""

from __future__ import annotations

import re
from pathlib import Path

from lorafw.adapters.files.safe_files import clear_unfinished, remove_folder
from lorafw.errors import CheckpointError
from lorafw.training.checkpoints.files import Stored, read_files

_PREFIX = "step-"
_NAME = re.compile(rf"{_PREFIX}\d+")


def place_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"{_PREFIX}{step:08d}"


def step_of(place: Path) -> int:
    """The step a checkpoint was written after, by its name."""
    return int(place.name.removeprefix(_PREFIX))


def complete(folder: Path | None) -> list[Path]:
    """All that are whole, oldest first."""
    if folder is None or not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if _NAME.fullmatch(p.name)), key=step_of)


def newest_checkpoint(folder: Path | None) -> Path | None:
    """The newest complete checkpoint in a folder of checkpoints, or None."""
    found = complete(folder)
    return found[-1] if found else None


def any_checkpoint(folder: Path) -> bool:
    """Whether a run whose stages keep their checkpoints in this folder has got as far as one."""
    return any(newest_checkpoint(stage) for stage in folder.glob("*"))


def read_newest(folder: Path | None) -> tuple[Path, Stored] | None:
    """The newest checkpoint and what it holds; None if there is none.

    Raises:
        CheckpointError: it is damaged; says which older one could be continued. None is taken
            unasked, for the steps between the two would be trained again without a word.
    """
    newest = newest_checkpoint(folder)
    if newest is None:
        return None
    try:
        return newest, read_files(newest)
    except CheckpointError as error:
        mend = error.mend or _way_round(newest)
        raise CheckpointError(error.what, where=error.where, mend=mend) from error


def _way_round(damaged: Path) -> str:
    for older in reversed(complete(damaged.parent)[:-1]):
        if _is_whole(older):
            return f"Delete '{damaged}' to continue from step {step_of(older)}, which is whole."
    return "No other checkpoint is whole; start a new run."


def _is_whole(place: Path) -> bool:
    try:
        read_files(place)
    except CheckpointError:
        return False
    return True


def prune(folder: Path, *, keep: int, best: int | None) -> None:
    """Remove all but the newest `keep`, and the one of the best step."""
    for old in complete(folder)[:-keep]:
        if step_of(old) != best:
            remove_folder(old)


def clear(folder: Path | None) -> None:
    """Remove what a process left that died while it was writing or removing a checkpoint."""
    if folder is not None and folder.is_dir():
        clear_unfinished(folder, _PREFIX)
