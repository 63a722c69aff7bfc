"""The folder of a run: which one it is, what lies in it, and how its record is written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorafw.adapters.files.safe_files import replace_text
from lorafw.errors import ConfigError, ExportError
from lorafw.training.checkpoints.places import newest_step

CONFIG, RECORD, CHECKPOINTS = "run.yaml", "run.json", "checkpoints"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's folder and the paths in it."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config; itself a valid config."""
        return self.path / CONFIG

    @property
    def record(self) -> Path:
        """What came out; written when the run has ended well."""
        return self.path / RECORD

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints lie."""
        return self.path / CHECKPOINTS

    @property
    def holds_a_run(self) -> bool:
        """Whether a run finished here or left a checkpoint."""
        return self.record.exists() or self.checkpoints.is_dir()

    @property
    def newest_step(self) -> int | None:
        """Step of the newest checkpoint of any stage; None before the first."""
        return newest_step(self.checkpoints)

    def read_record(self) -> dict[str, Any]:
        """What `run.json` holds."""
        record: dict[str, Any] = json.loads(self.record.read_text(encoding="utf-8"))
        return record

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Write `run.json` in one move.

        Raises:
            ExportError: it cannot be written.
        """
        try:
            replace_text(self.record, json.dumps(record, indent=2) + "\n")
        except OSError as error:
            mend = "What was exported is whole; continue with --resume to have the record too."
            fault = f"cannot be written: {error.strerror}."
            raise ExportError(fault, where=str(self.record), mend=mend) from error


def choose(output: Path | None, name: str, *, resume: bool) -> RunFolder:
    """The folder a run writes to.

    Without `output` it is `runs/<name>`, or `runs/<name>-2` and so on when that is taken; a
    resumed run takes the last of them.

    Raises:
        ConfigError: `output` holds another run, or cannot be written to.
    """
    if output is not None:
        folder = RunFolder(output)
        if folder.holds_a_run and not resume:
            raise ConfigError(
                f"'{output}' already holds a run.",
                where="run.output",
                mend="Continue it with --resume, or choose another with --output.",
            )
        return folder
    return _next(name, resume=resume)


def _next(name: str, *, resume: bool) -> RunFolder:
    last, number = None, 1
    while True:
        folder = RunFolder(Path("runs") / (name if number == 1 else f"{name}-{number}"))
        if not folder.path.exists():
            return last if resume and last is not None else folder
        last, number = folder, number + 1


def prepare(folder: RunFolder) -> None:
    """Make the folder and see that it can be written to, before anything heavy starts.

    Raises:
        ConfigError: it cannot be.
    """
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        probe = folder.path / f".write-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        fault = "it is a file" if folder.path.is_file() else error.strerror
        raise ConfigError(
            f"'{folder.path}' cannot be written to: {fault}.",
            where="run.output",
            mend="Choose another with --output.",
        ) from None
