"""Where checkpoints lie: `checkpoints/STAGE/step-…` in a run's folder, and which of them are whole.

A folder named `step-…` is whole. What is not yet, or no longer, has a dot in front of its name.
"""

from __future__ import annotations

import re
from pathlib import Path

PREFIX = "step-"
_NAME = re.compile(rf"{PREFIX}\d+")


def place_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"{PREFIX}{step:08d}"


def step_of(place: Path) -> int:
    """The step a checkpoint was written after, by its name."""
    return int(place.name.removeprefix(PREFIX))


def complete(folder: Path | None) -> list[Path]:
    """All that are whole, oldest first."""
    if folder is None or not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if _NAME.fullmatch(p.name)), key=step_of)


def newest_checkpoint(folder: Path | None) -> Path | None:
    """The newest complete checkpoint in a folder of checkpoints, or None."""
    found = complete(folder)
    return found[-1] if found else None


def newest_step(folder: Path) -> int | None:
    """Step of the newest checkpoint of any stage that keeps its own in this folder, or None."""
    stages = folder.iterdir() if folder.is_dir() else ()
    newest = (newest_checkpoint(stage) for stage in stages)
    return max((step_of(place) for place in newest if place is not None), default=None)
