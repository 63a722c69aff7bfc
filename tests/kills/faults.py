"""Faults that are built in on purpose, to see that the tests would find them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from lorafw import run_folder
from lorafw.training.checkpoints import folder, keeper
from lorafw.training.checkpoints.progress import Checkpoint


def _repeat_a_step() -> None:
    """The cursor is one step behind the weights."""
    real = Checkpoint.from_mapping

    def behind(progress: Mapping[str, Any]) -> Checkpoint:
        found = real(progress)
        return replace(found, step=found.step - 1)

    Checkpoint.from_mapping = behind  # type: ignore[method-assign, assignment]


def _write_in_place() -> None:
    """A checkpoint is written where it is looked for."""

    def publish(build: Callable[[Path], Any], final: Path) -> Any:
        final.mkdir(parents=True)
        return build(final)

    keeper.publish = publish  # type: ignore[attr-defined]


def _have_no_files() -> None:
    """Ranks other than 0 are on a machine without the run's folder."""
    if os.environ["RANK"] == "0":
        return

    def missing(*_: Any) -> NoReturn:
        raise AssertionError("this rank has no files")

    run_folder.newest_step = lambda _: None  # type: ignore[attr-defined]
    for name in ("complete", "read_files", "clear_unfinished"):
        setattr(folder, name, missing)
    keeper.publish = keeper.read_files = missing  # type: ignore[attr-defined, assignment]


FAULTS = {
    "repeats a step": _repeat_a_step,
    "writes in place": _write_in_place,
    "others have no files": _have_no_files,
}


def build_in(fault: str) -> None:
    """Break this process in one way."""
    FAULTS[fault]()
