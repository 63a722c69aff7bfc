"""`python -m benchmarks.metered_run CONFIG RESULT`: a run of lorafw, its clocks, its memory."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from benchmarks.environment import ROOT, environment
from benchmarks.measure import own_memory

WATCH_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Metered:
    """What a run took.

    Attributes:
        losses: of every step.
        tokens: of every step.
        cpu_seconds: of every step but the first, from the end of the one before.
        seconds: wall time, likewise.
        own_bytes: largest resident size, pages of files not counted; Linux only.
    """

    losses: list[float]
    tokens: list[int]
    cpu_seconds: list[float]
    seconds: list[float]
    own_bytes: int


def metered(config: Mapping[str, Any], folder: Path, caches: Path, *, threads: int) -> Metered:
    """Run a config in a process of its own.

    Args:
        config: as `lorafw.run` takes it; the place of its output is set here.
        folder: a new one, for the run.
        caches: folder for what runs share.
        threads: of the process.
    """
    folder.mkdir(parents=True)
    marks = {"use": "benchmarks.contestants.step_marks:StepMarks", "marks": str(folder / "marks")}
    own = {"output": str(folder / "run")}
    whole = {**config, "run": {**config.get("run", {}), **own}, "listeners": [marks]}
    given, result = folder / "config.json", folder / "result.json"
    given.write_text(json.dumps(whole), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.metered_run", str(given), str(result)],
        cwd=ROOT,
        env=environment(caches, threads=threads),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"a run failed:\n{done.stdout}{done.stderr}")
    return Metered(**json.loads(result.read_text(encoding="utf-8")))


class _Watch(threading.Thread):
    """Looks at the memory of this process again and again."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(WATCH_SECONDS):
            self.most = max(self.most, own_memory())

    def end(self) -> int:
        self._over.set()
        self.join()
        return self.most


def _measure(config: Mapping[str, Any]) -> Metered:
    watch = _Watch()
    watch.start()
    import lorafw

    result = lorafw.run(config)
    events = [json.loads(line) for line in (result.folder / "events.jsonl").open()]
    steps = [event for event in events if event["event"] == "step_end"]
    marks = json.loads(Path(config["listeners"][0]["marks"]).read_text(encoding="utf-8"))
    return Metered(
        losses=[step["loss"] for step in steps],
        tokens=[step["tokens"] for step in steps],
        cpu_seconds=_between(marks["cpu"]),
        seconds=_between(marks["wall"]),
        own_bytes=watch.end(),
    )


def _between(marks: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(marks)]


if __name__ == "__main__":
    given, result = map(Path, sys.argv[1:])
    measured = _measure(json.loads(given.read_text(encoding="utf-8")))
    result.write_text(json.dumps(asdict(measured)), encoding="utf-8")
