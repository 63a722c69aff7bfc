"""Whether a run may go on from a checkpoint, and with what of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorafw.contracts.engine import TrainingState
from lorafw.contracts.trainer import TrainJob
from lorafw.errors import CheckpointError
from lorafw.training.checkpoints.files import Stored
from lorafw.training.checkpoints.fingerprint import Change, changes, check_changes
from lorafw.training.optimizer_memory import VALUE

_MEMORY_FOLLOWS = {"optimizer", "optimizer_options"}
"""Options of the plan that say what an optimizer remembers."""


def fingerprint_of(job: TrainJob) -> dict[str, Any]:
    """What a checkpoint of this job must agree with, as JSON gives it back."""
    values: dict[str, Any] = json.loads(json.dumps({"seed": job.seed, **job.fingerprint}))
    return values


def accepted_changes(
    job: TrainJob, place: Path, stored: Stored, here: TrainingState
) -> list[Change]:
    """What has changed since a checkpoint was written, all of it accepted.

    Args:
        job: what is to go on.
        place: where the checkpoint lies.
        stored: what it holds.
        here: the engine's state, whole, whose tensors have the shapes that fit.

    Raises:
        CheckpointError: a change was not accepted, or the adapter has other tensors.
    """
    found = changes(fingerprint_of(job), stored.about["fingerprint"])
    _check_tensors(_shapes(here), _shapes(stored.state), found, str(place))
    check_changes(found, job.accept_changed, str(place))
    return found


def _shapes(state: TrainingState) -> dict[str, list[int]]:
    return {name: list(tensors[VALUE].shape) for name, tensors in state.items()}


def _check_tensors(
    mine: Mapping[str, list[int]],
    theirs: Mapping[str, list[int]],
    found: Sequence[Change],
    where: str,
) -> None:
    """See that the adapter has the tensors that were trained; nothing can overrule that."""
    if mine == theirs:
        return
    name = next(n for n in sorted({*mine, *theirs}) if mine.get(n) != theirs.get(n))
    why = next((f"{change}" for change in found if change.part == "adapter"), "another adapter")
    raise CheckpointError(
        f"it was written by a run with {why}, whose tensors do not fit: {name} is "
        f"{theirs.get(name, 'not there')} in it and {mine.get(name, 'not there')} here.",
        where=where,
        mend="Take the adapter's old options, or start a new run.",
    )


def usable(stored: Stored, found: Collection[Change]) -> Stored:
    """What of a checkpoint serves after these changes: not the memory of another optimizer."""
    if not forgets(found):
        return stored
    values = {name: {VALUE: tensors[VALUE]} for name, tensors in stored.state.items()}
    return replace(stored, state=values)


def forgets(found: Collection[Change]) -> bool:
    """Whether these changes leave the optimizer without its memory."""
    plans = [change.options.keys() for change in found if change.part == "plan"]
    return any(options & _MEMORY_FOLLOWS for options in plans)
