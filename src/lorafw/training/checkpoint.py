"""Checkpoints: one format, whichever engine and however many ranks wrote it.

A checkpoint is a folder `step-00000042` that holds `state.safetensors` (per canonical parameter
name the fp32 `value` and the optimizer's tensors, as `<key>/<name>`), where a method has more to
remember `method.safetensors` (`AdaptedModel.training_state`), and `checkpoint.json` (the step, the
fingerprint of the run, the first loss and what evaluations have shown). Rows and random numbers
are functions of (seed, step), so the step is the whole cursor.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lorafw.adapters.files.safe_files import publish
from lorafw.adapters.files.safe_tensors import write_tensors
from lorafw.contracts.engine import Engine, TrainingState
from lorafw.contracts.trainer import TrainJob
from lorafw.errors import CheckpointError
from lorafw.training.best import Best

FORMAT = 1
_STATE, _METHOD, _ABOUT = "state.safetensors", "method.safetensors", "checkpoint.json"
_PREFIX = "step-"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint knows beside tensors.

    Attributes:
        evaluation_before: held-out figures from before the first step.
        evaluation: those of the last evaluation.
        evaluated: the step after which that was; None before any.
        best: what evaluations after a step have shown so far.
    """

    step: int = 0
    first_loss: float | None = None
    last_loss: float | None = None
    evaluation_before: Mapping[str, float] = field(default_factory=dict)
    evaluation: Mapping[str, float] = field(default_factory=dict)
    evaluated: int | None = None
    best: Best = field(default_factory=Best)

    @classmethod
    def from_mapping(cls, progress: Mapping[str, Any]) -> Checkpoint:
        """The inverse of `asdict`."""
        return cls(**{**progress, "best": Best(**progress.get("best", {}))})


class Checkpoints:
    """Writes, finds, prunes and reads the checkpoints of one job."""

    def __init__(self, job: TrainJob, engine: Engine) -> None:
        self._job, self._engine = job, engine
        self._folder = job.checkpoints

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint; every rank calls it, rank 0 writes."""
        if self._folder is None:
            return
        state, method = self._engine.state(), self._job.model.training_state()
        if self._engine.world.rank != 0:
            return
        final = _place(self._folder, checkpoint.step)
        about = {
            "format": FORMAT,
            "seed": self._job.seed,
            "fingerprint": dict(self._job.fingerprint),
            "progress": asdict(checkpoint),
        }
        publish(lambda folder: _write(folder, state, method, about), final)
        self._prune(checkpoint.best.step)
        self._job.emit("checkpoint_saved", step=checkpoint.step, path=final)

    def resume(self) -> Checkpoint:
        """Load the newest checkpoint into the engine, if the job asks for it; collective."""
        self._clear_unfinished()
        newest = newest_checkpoint(self._folder) if self._job.resume else None
        if newest is None:
            return Checkpoint()
        return Checkpoint.from_mapping(self._load(newest)["progress"])

    def load_best(self, best: Best) -> None:
        """Load the checkpoint of the best step into the engine; collective.

        Raises:
            CheckpointError: there are no checkpoints, or this one is missing or damaged.
        """
        if self._folder is None or best.step is None:
            raise CheckpointError("the best step's weights were kept nowhere.")
        self._load(_place(self._folder, best.step))

    def _load(self, folder: Path) -> dict[str, Any]:
        about, state = read_checkpoint(folder)
        self._check(folder, about)
        self._engine.load_state(state)
        self._job.model.load_training_state(_read_method(folder))
        return about

    def _clear_unfinished(self) -> None:
        """Remove what a process left that died while it was writing."""
        if self._folder is not None and self._engine.world.rank == 0:
            for left in self._folder.glob(f".{_PREFIX}*.new-*"):
                shutil.rmtree(left)

    def _check(self, folder: Path, about: Mapping[str, Any]) -> None:
        mine = {"seed": self._job.seed, **self._job.fingerprint}
        theirs = {"seed": about["seed"], **about["fingerprint"]}
        other = [name for name in mine if mine[name] != theirs.get(name)]
        if other:
            raise CheckpointError(
                f"it was written by a run with another {' and another '.join(other)}.",
                where=str(folder),
                mend="Resume with the config that is saved beside it, or start a new run.",
            )

    def _prune(self, best: int | None) -> None:
        """Remove all but the newest and the one of the best step."""
        assert self._folder is not None
        kept = None if best is None else _place(self._folder, best)
        for old in _complete(self._folder)[: -self._job.plan.keep_checkpoints]:
            if old != kept:
                shutil.rmtree(old)


def _place(folder: Path, step: int) -> Path:
    return folder / f"{_PREFIX}{step:08d}"


def _complete(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_PREFIX}[0-9]*")) if folder.is_dir() else []


def newest_checkpoint(folder: Path | None) -> Path | None:
    """The newest complete checkpoint in a folder of checkpoints, or None."""
    found = _complete(folder) if folder is not None else []
    return found[-1] if found else None


def any_checkpoint(folder: Path) -> bool:
    """Whether a run whose stages keep their checkpoints in this folder has got as far as one."""
    return any(newest_checkpoint(stage) for stage in folder.glob("*"))


def _write(
    folder: Path, state: TrainingState, method: Mapping[str, Tensor], about: Mapping[str, Any]
) -> None:
    """Write into a temporary folder and read it back; the caller renames it."""
    if method:
        write_tensors(folder / _METHOD, method)
    tensors = {f"{key}/{name}": t for name, keys in state.items() for key, t in keys.items()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / _STATE)
    (folder / _ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    read_about, read_state = read_checkpoint(folder)
    # As text: nan, which a figure may be, is not equal to itself.
    same = json.dumps(read_about) == json.dumps(about) and all(
        torch.equal(read_state[name][key], tensor)
        for name, keys in state.items()
        for key, tensor in keys.items()
    )
    if not same:
        raise CheckpointError("what was read back is not what was written.", where=str(folder))


def _read_method(folder: Path) -> dict[str, Tensor]:
    """What the adapter's method had to remember; mostly nothing."""
    if not (folder / _METHOD).is_file():
        return {}
    try:
        stored: dict[str, Tensor] = load_file(folder / _METHOD)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot be read: {error}.", where=str(folder / _METHOD)) from error
    return stored


def read_checkpoint(folder: Path) -> tuple[dict[str, Any], TrainingState]:
    """A checkpoint's description and tensors.

    Raises:
        CheckpointError: a file is missing, cut off, or of another format.
    """
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        tensors = load_file(folder / _STATE)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"cannot be read: {error}.", where=str(folder)) from error
    if about.get("format") != FORMAT:
        raise CheckpointError(f"has format {about.get('format')}, not {FORMAT}.", where=str(folder))
    state: TrainingState = {}
    for label, tensor in tensors.items():
        key, _, name = label.partition("/")
        state.setdefault(name, {})[key] = tensor
    return about, state
