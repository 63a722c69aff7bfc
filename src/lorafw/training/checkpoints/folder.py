"""The folder of checkpoints: which goes, and which is continued."""

from __future__ import annotations

from pathlib import Path

from lorafw.adapters.files.safe_files import clear_unfinished, remove_folder
from lorafw.errors import CheckpointError
from lorafw.training.checkpoints.files import Stored, read_files
from lorafw.training.checkpoints.places import PREFIX, complete, newest_checkpoint, step_of


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
        clear_unfinished(folder, PREFIX)
