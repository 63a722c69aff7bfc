"""Finished stages: what a run over several tasks keeps of each, in `stages/STAGE` of its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lorafw.errors import CheckpointError
from lorafw.training.checkpoints.files import ABOUT

STAGES = "stages"


@dataclass(frozen=True, slots=True)
class FinishedStage:
    """One fit of a run.

    Attributes:
        name: of its own in the run.
        task: what it was trained on.
        number: how many fits came before.
        place: folder of the values it left, as `read_files` reads them.
    """

    name: str
    task: str
    number: int
    place: Path


def finished_stages(run: Path) -> list[FinishedStage]:
    """Those in a run's folder, in the order in which they were trained.

    Raises:
        CheckpointError: what is told of one cannot be read.
    """
    places = (place for place in (run / STAGES).glob("*") if (place / ABOUT).is_file())
    return sorted(map(_finished, places), key=lambda stage: stage.number)


def _finished(place: Path) -> FinishedStage:
    file = place / ABOUT
    try:
        told = json.loads(file.read_text(encoding="utf-8"))["progress"]
        return FinishedStage(place.name, str(told["task"]), int(told["number"]), place)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"cannot be read: {error}.", where=str(file)) from error
