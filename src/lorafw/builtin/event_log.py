"""Listener `events`: every event of a run as one line of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

from lorafw.assembly.hooks import Events, listens
from lorafw.contracts.listener import Listener

FILE = "events.jsonl"


class EventLog(Listener):
    """Writes events.jsonl into the run's folder; a resumed run goes on where it ended."""

    def open(self, folder: Path) -> object:
        """A listener to every event there is."""
        return _Recorder(folder / FILE)


class _Recorder:
    """Appends a line for each event and flushes it, so that a killed run leaves whole lines."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def write(self, event: str, payload: Mapping[str, Any]) -> None:
        line = {"time": datetime.now(UTC).isoformat(), "event": event, **_plain(payload)}
        self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        self._file.flush()
        if event in {"run_end", "run_failed"}:
            self._file.close()


def _receiver(event: str, announced: Callable[..., None]) -> Callable[..., None]:
    names = tuple(name for name in announced.__annotations__ if name != "return")

    # pluggy reads the signature of what is wrapped, and hands its arguments over in that order.
    @wraps(announced)
    def receive(self: _Recorder, *values: Any) -> None:
        self.write(event, dict(zip(names, values, strict=True)))

    return listens(receive)


# Made from the events themselves, so that none can be forgotten.
for _event, _announced in vars(Events).items():
    if callable(_announced) and not _event.startswith("_"):
        setattr(_Recorder, _event, _receiver(_event, _announced))


def _plain(value: Any) -> Any:
    """The value as JSON; a number that JSON has no word for becomes text such as "nan"."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return str(value) if isinstance(value, Path) else value
