"""What a listener promises: to hear every event without raising."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pluggy

from lorafw.assembly.hooks import Events
from lorafw.contracts import Listener
from lorafw.testing.component import ComponentContract

Told = list[tuple[str, dict[str, Any]]]


def sample_run(folder: Path, *, fails: bool = False) -> Told:
    """Every event with a payload as a real run has it; one that succeeds, or one that fails."""
    step = {"steps": 2, "epoch": 0.5, "loss": 1.25, "grad_norm": 3.5, "learning_rate": 2e-4}
    step = {**step, "skipped": False}
    told: Told = [
        ("run_start", {"folder": folder, "config": {"run": {"seed": 0}, "trainer": {"use": "x"}}}),
        ("rows_encoded", {"done": 40, "total": 40}),
        ("notice", {"message": "2 of 40 rows were cut."}),
        ("stage_start", {"stage": "train"}),
        (
            "fit_start",
            {"steps": 2, "start": 0, "rows": 40, "trainable": 1_000, "parameters": 100_000},
        ),
        ("evaluation_end", {"step": 0, "figures": {"loss": 2.5}, "best": False}),
        ("step_end", {"step": 1, **step, "tokens": 900, "seconds": 0.25}),
        ("step_end", {"step": 2, **step, "tokens": 800, "seconds": 0.0}),
        ("checkpoint_saved", {"step": 2, "path": folder / "checkpoints" / "step-00000002"}),
    ]
    if fails:
        return [*told, ("run_failed", {"error": "trainer: the loss of step 3 is nan."})]
    return [
        *told,
        (
            "fit_end",
            {"steps": 2, "loss": 1.25, "seconds": 0.25, "ended": "finished"}
            | {"best_step": 2, "best_figure": 1.5},
        ),
        ("score_end", {"stage": "train", "task": "train", "figures": {"loss": 1.5}}),
        ("export_end", {"exporter": "adapter", "path": folder / "adapter"}),
        ("run_end", {"folder": folder, "result": {"steps": 2, "last_loss": 1.25}}),
    ]


class ListenerContract(ComponentContract, kind="listener"):
    """Promises of a `Listener`; the fixture is called `listener`."""

    def test_it_listens_to_something(self, listener: Listener, tmp_path: Path) -> None:
        manager = _attached(listener, tmp_path)
        (live,) = manager.get_plugins()
        _tell(manager, sample_run(tmp_path))  # at the end of a run it lets go of its files
        assert manager.get_hookcallers(live), "no method is marked with @listens"

    def test_it_hears_a_run_from_start_to_end(self, listener: Listener, tmp_path: Path) -> None:
        _tell(_attached(listener, tmp_path), sample_run(tmp_path))

    def test_it_hears_a_run_that_fails(self, listener: Listener, tmp_path: Path) -> None:
        _tell(_attached(listener, tmp_path), sample_run(tmp_path, fails=True))

    def test_it_opens_again_in_the_folder_of_a_resumed_run(
        self, listener: Listener, tmp_path: Path
    ) -> None:
        _tell(_attached(listener, tmp_path), sample_run(tmp_path, fails=True))
        _tell(_attached(listener, tmp_path), sample_run(tmp_path))


def _attached(listener: Listener, folder: Path) -> pluggy.PluginManager:
    """A live listener at the hooks, without the guard that catches its errors in a run."""
    manager = pluggy.PluginManager("lorafw")
    manager.add_hookspecs(Events)
    manager.register(listener.open(folder))
    manager.check_pending()
    return manager


def _tell(manager: pluggy.PluginManager, told: Told) -> None:
    for event, payload in told:
        getattr(manager.hook, event)(**payload)
