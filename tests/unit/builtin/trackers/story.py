"""Runs as trackers are told of them, through the same guard as in a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lorafw.assembly.hooks import Announcer, listens
from lorafw.contracts import Listener

CONFIG: dict[str, Any] = {
    "run": {"name": "story", "seed": 0},
    "dataset": {"use": "hf", "path": "some/data", "token": "hf_abcdefghijklmnopqrstuvwx"},
    "model": {"use": "llama", "path": "base", "quantize": None},
    "injector": {"use": "custom", "r": 8, "rank_pattern": {r"layers\.[01]\..*": 4}},
    "plan": {"learning_rate": 2e-4, "betas": [0.9, 0.999], "export_best": False},
    "objective": {"use": "causal-lm"},
    "exporters": [{"use": "adapter"}],
    "listeners": [{"use": "mlflow", "tracking_uri": "postgresql://me:s3cret@host/db"}],
    "versions": {"python": "3.11", "lorafw": "0.1.0"},
}
SECRETS = ("hf_abcdefghijklmnopqrstuvwx", "s3cret")
NOTICE = "2 rows were cut."
RESULT: dict[str, Any] = {
    "steps": 4,
    "last_loss": 1.0,
    "ended": "finished",
    "best_step": None,
    "evaluation_before": {"loss": 3.5},
    "evaluation": {"loss": 1.5},
    "data": {"rows": 40, "tokens": 900},
    "fingerprint": {"data": "cafe"},
    "exports": {"adapter": "adapter"},
}


class Story:
    """Tells one listener of a process's part of a run; one that fails fails the test."""

    def __init__(self, listener: Listener, folder: Path, config: Any = CONFIG) -> None:
        self.folder, self._config = folder, config
        self._announce = Announcer([listener.open(folder), self])

    @listens
    def notice(self, message: str) -> None:
        assert "was dropped" not in message, message

    def tell(self, event: str, **payload: Any) -> None:
        self._announce(event, **payload)

    def begin(self, start: int = 0) -> Story:
        self.tell("run_start", folder=self.folder, config=self._config)
        self.tell("notice", message=NOTICE)
        self.tell("stage_start", stage="train")
        counts = {"rows": 40, "trainable": 1000, "parameters": 100_000}
        self.tell("fit_start", steps=4, start=start, **counts)
        if start == 0:
            self.evaluate(0)
        return self

    def step(self, step: int, **changes: Any) -> Story:
        figures = {"loss": 4.0 / step, "grad_norm": 1.0 * step, "learning_rate": 1e-3 / step}
        spent = {"tokens": 100, "seconds": 0.5, "skipped": False}
        values = {"steps": 4, "epoch": step / 2, **figures, **spent, **changes}
        self.tell("step_end", step=step, **values)
        return self

    def evaluate(self, step: int) -> Story:
        self.tell("evaluation_end", step=step, figures={"loss": 3.5 - step / 2}, best=step > 0)
        return self

    def checkpoint(self, step: int) -> Story:
        place = self.folder / "checkpoints" / "train" / f"step-{step:08}"
        place.mkdir(parents=True, exist_ok=True)
        self.tell("checkpoint_saved", step=step, path=place)
        return self

    def finish(self) -> None:
        self.evaluate(4)
        end = {"ended": "finished", "best_step": None, "best_figure": None}
        self.tell("fit_end", steps=4, loss=1.0, seconds=2.0, **end)
        self.tell("export_end", exporter="adapter", path=self.folder / "adapter")
        self.tell("run_end", folder=self.folder, result=RESULT)

    def fail(self, error: str = "the disk is full.") -> None:
        self.tell("run_failed", error=error)


def whole(listener: Listener, folder: Path) -> None:
    """Four steps, from the start to the end."""
    Story(listener, folder).begin().step(1).step(2).evaluate(2).step(3).step(4).finish()


def broken_off(listener: Listener, folder: Path) -> None:
    """Three steps with a checkpoint after the second, then a failure."""
    Story(listener, folder).begin().step(1).step(2).evaluate(2).checkpoint(2).step(3).fail()


def resumed(listener: Listener, folder: Path) -> None:
    """What follows `broken_off`: the third step again, and the fourth."""
    Story(listener, folder).begin(start=2).step(3).step(4).finish()
