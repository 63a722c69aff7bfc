"""What the console listener shows: a live bar, or plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from lorafw.assembly.hooks import listens

SMOOTHING = 0.9
"""Share of the past in the moving averages of speed."""


class Pace:
    """How fast steps go, as moving averages."""

    def __init__(self) -> None:
        self.tokens_per_second = 0.0
        self._seconds_per_step: float | None = None

    def add(self, tokens: int, seconds: float) -> None:
        """Take one step into account; one that took no measurable time says nothing."""
        if seconds <= 0:
            return
        old = self._seconds_per_step
        share = 0.0 if old is None else SMOOTHING
        self._seconds_per_step = share * (old or 0.0) + (1 - share) * seconds
        self.tokens_per_second = share * self.tokens_per_second + (1 - share) * tokens / seconds

    def left(self, steps: int) -> str:
        """Time that so many steps will take, as h:mm:ss."""
        if self._seconds_per_step is None:
            return "-:--"
        minutes, seconds = divmod(round(self._seconds_per_step * steps), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class _Talker:
    """The lines that a bar and plain lines have in common."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.pace = Pace()

    @listens
    def run_start(self, folder: Path) -> None:
        self.say(f"Run folder: {folder}")

    @listens
    def notice(self, message: str) -> None:
        self.say(f"Notice: {message}")

    @listens
    def evaluation_end(self, step: int, figures: Mapping[str, float], best: bool) -> None:
        shown = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        self.say(f"Held out, step {step}: {shown}{' (best so far)' if best else ''}")

    def tell_end(self, ended: str, best_step: int | None) -> None:
        """Say why training ended, where that is not that its steps were done."""
        if ended == "early stopping":
            since = "" if best_step is None else f" The best step was {best_step}."
            self.say(f"Stopped early: evaluations showed no progress.{since}")

    @listens
    def export_end(self, exporter: str, path: Path) -> None:
        self.say(f"Exported {exporter}: {path}")


class Plain(_Talker):
    """Lines for a log: the first and the last step, and some between."""

    def __init__(self, stream: TextIO, interval: float) -> None:
        super().__init__(lambda line: print(line, file=stream, flush=True))
        self._interval = interval
        self._spoke = float("-inf")

    @listens
    def stage_start(self, stage: str) -> None:
        self.say(f"Stage: {stage}")

    @listens
    def rows_encoded(self, done: int, total: int) -> None:
        if self._due():
            self.say(f"Encoded {done:,} of {total:,} rows.")

    @listens
    def fit_start(self, steps: int, start: int, rows: int, trainable: int, parameters: int) -> None:
        self._spoke = float("-inf")  # the first step is told, whatever was told before
        begun = f" from step {start}" if start else ""
        self.say(
            f"Training {trainable:,} of {parameters:,} parameters on {rows:,} rows, "
            f"{steps:,} steps{begun}."
        )

    @listens
    def step_end(self, step: int, steps: int, loss: float, tokens: int, seconds: float) -> None:
        self.pace.add(tokens, seconds)
        if self._due() or step == steps:
            speed = f"{self.pace.tokens_per_second:,.0f} tokens/s"
            left = self.pace.left(steps - step)
            self.say(f"Step {step}/{steps}: loss {loss:.4f}, {speed}, {left} left")

    @listens
    def fit_end(self, ended: str, best_step: int | None) -> None:
        self.tell_end(ended, best_step)

    def _due(self) -> bool:
        """Whether nothing was said for a while; if so, something is said now."""
        now = time.monotonic()
        if now - self._spoke < self._interval:
            return False
        self._spoke = now
        return True


class Live(_Talker):
    """One bar that moves; lines that should stay are printed above it."""

    def __init__(self, console: Console | None = None) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console or Console(stderr=True),
            transient=True,
        )
        super().__init__(self._print)
        self._task: TaskID | None = None

    def _print(self, line: str) -> None:
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    @listens
    def stage_start(self, stage: str) -> None:
        self._clear()
        self._task = self._bar.add_task(stage, total=None, figures="")
        self._bar.start()

    @listens
    def rows_encoded(self, done: int, total: int) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total, figures="rows encoded")

    @listens
    def fit_start(self, steps: int, start: int) -> None:
        if self._task is None:
            self.stage_start("fit")
        if self._task is not None:
            self._bar.reset(self._task, total=steps, completed=start)

    @listens
    def step_end(self, step: int, steps: int, loss: float, tokens: int, seconds: float) -> None:
        self.pace.add(tokens, seconds)
        speed = f"{self.pace.tokens_per_second:,.0f} tokens/s"
        figures = f"loss {loss:.4f}  {speed}  {self.pace.left(steps - step)} left"
        if self._task is not None:
            self._bar.update(self._task, completed=step, figures=figures)

    @listens
    def fit_end(
        self, steps: int, loss: float | None, seconds: float, ended: str, best_step: int | None
    ) -> None:
        self._clear()
        self.tell_end(ended, best_step)
        last = "" if loss is None else f", last loss {loss:.4f}"
        self.say(f"Trained {steps:,} steps in {seconds:,.1f} s{last}.")

    @listens
    def run_end(self) -> None:
        self._clear()

    @listens
    def run_failed(self) -> None:
        self._clear()

    def _clear(self) -> None:
        if self._task is not None:
            self._bar.stop()
            self._bar.remove_task(self._task)
            self._task = None
