"""Failure: what one rank has to say about its end, and which of several came first."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lorafw.adapters.files.safe_files import replace_text

Kind = Literal["refused", "crashed", "killed", "stopped", "lost contact"]
"""How a rank came to its end.

refused: lorafw found something wrong; crashed: an exception nobody foresaw; killed: it ended
without a word; stopped: it was asked to; lost contact: the end of another rank was its own.
"""


@dataclass(frozen=True, slots=True)
class Failure:
    """The end of one rank.

    Attributes:
        rank: its number in the whole job.
        reason: one line.
        exit_code: the job's, if this is the cause.
        time: of day, in seconds.
        usage: the request itself was wrong.
        traceback: of an exception that nobody foresaw.
    """

    rank: int
    kind: Kind
    reason: str
    exit_code: int = 1
    time: float = 0.0
    usage: bool = False
    traceback: str = ""

    @property
    def killed_by_signal(self) -> bool:
        """Whether the kernel, or someone, ended it."""
        return self.kind == "killed" and self.exit_code > 128

    def as_json(self) -> str:
        """The inverse of `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Failure:
        """What `as_json` wrote."""
        return cls(**json.loads(text))


def read_report(path: Path) -> Failure | None:
    """What a rank left, if it has left something."""
    return Failure.from_json(path.read_text(encoding="utf-8")) if path.is_file() else None


def write_report(failure: Failure, path: Path) -> None:
    """Leave it where the launcher looks, whole or not at all; the first word stands."""
    if path.exists():
        return
    replace_text(path, failure.as_json())


def without_a_word(rank: int, code: int, time: float) -> Failure:
    """A process that ended and left nothing but its exit code."""
    if code >= 0:
        return Failure(rank, "killed", f"it ended with exit code {code}", code or 1, time)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
    return Failure(rank, "killed", f"it was killed by {name}{hint}", 128 - code, time)


def cause(failures: Iterable[Failure]) -> Failure:
    """The failure that the others followed from."""
    return min(failures, key=lambda failure: (_weight(failure), failure.time, failure.rank))


def _weight(failure: Failure) -> int:
    """Nothing that happens in one rank makes the kernel kill another; the rest may follow."""
    if failure.kind == "killed" and failure.exit_code == 128 + signal.SIGKILL:
        return 0
    return {"refused": 1, "crashed": 1, "killed": 2, "stopped": 3, "lost contact": 4}[failure.kind]
