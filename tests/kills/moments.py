"""Named moments at which a run is killed: it kills itself there, in the middle of what it does."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import safetensors.torch
import torch.distributed as dist

from lorafw.adapters.files import safe_files
from lorafw.builtin import adapter_exporter
from lorafw.run_folder import RunFolder
from lorafw.training.checkpoints import files, folder
from lorafw.training.checkpoints.keeper import Checkpoints
from lorafw.training.loop import Loop
from lorafw.training.step import Stepper

Call = Callable[..., Any]
"""What dies: it is given what it stands in for, and that one's arguments."""


def die(*_: Any, **__: Any) -> NoReturn:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a killed process went on")


def _after(real: Call, *given: Any, **named: Any) -> NoReturn:
    real(*given, **named)
    die()


def _half_written(real: Call, tensors: Any, path: Path, *given: Any, **named: Any) -> NoReturn:
    real(tensors, path, *given, **named)
    with Path(path).open("r+b") as file:
        file.truncate(Path(path).stat().st_size // 2)
    die()


def _half_removed(_: Call, place: Path, *__: Any, **___: Any) -> NoReturn:
    next(path for path in Path(place).iterdir() if path.suffix == ".safetensors").unlink()
    die()


def _always(*_: Any, **__: Any) -> bool:
    return True


def _is_going(place: Path, *_: Any, **__: Any) -> bool:
    return Path(place).name.startswith(".step-") and ".old-" in Path(place).name


@dataclass(frozen=True)
class Moment:
    """A function that is replaced, how it dies, and which of its calls count."""

    owner: Any
    name: str
    deadly: Call
    counts: Callable[..., bool] = _always


MOMENTS = {
    "before a step": Moment(Loop, "_advance", die),
    "before an update": Moment(Stepper, "_update", die),
    "after an update": Moment(Stepper, "_update", _after),
    "in a file of tensors": Moment(safetensors.torch, "save_file", _half_written),
    "between the files": Moment(files, "write_json", die),
    "before the rename": Moment(safe_files, "_put_in_place", die),
    "after the rename": Moment(safe_files, "_put_in_place", _after),
    "in pruning": Moment(shutil, "rmtree", _half_removed, _is_going),
    "after pruning": Moment(folder, "remove_folder", _after),
}
"""Where rank 0 may die after each of several steps."""
ENDING = {
    "in the export": Moment(adapter_exporter.AdapterExporter, "export", _after),
    "before the record": Moment(RunFolder, "write_record", die),
}
"""Where rank 0 may die once."""
TOGETHER = {"in the all-reduce": Moment(dist, "all_reduce", die)}
"""Where either of two ranks may die."""
RESUMING = {
    "while reading": Moment(folder, "read_files", _after),
    "while loading": Moment(Checkpoints, "_load", _after),
}
"""Where rank 0 may die while it continues from a checkpoint."""


def die_at(place: str, turn: int) -> None:
    """Arrange that this process dies when it comes to a place for the `turn`-th time."""
    moment = {**MOMENTS, **ENDING, **TOGETHER, **RESUMING}[place]
    real, turns = getattr(moment.owner, moment.name), itertools.count(1)

    @functools.wraps(real)
    def counting(*given: Any, **named: Any) -> Any:
        if moment.counts(*given, **named) and next(turns) == turn:
            moment.deadly(real, *given, **named)
        return real(*given, **named)

    setattr(moment.owner, moment.name, counting)
