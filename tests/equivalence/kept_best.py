"""A run that stops early and keeps its best step, and every state of its folder on the way.

Usage: python -m tests.equivalence.kept_best FOLDER ENGINE…
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import save_file
from tests.equivalence.cases import ENGINES
from torch import Tensor

from lorafw.assembly.registry import Registry
from lorafw.contracts import RunningTrainer, Trainer
from lorafw.testing.toy_training import Trained, started, train, training_plan
from lorafw.testing.toys import toy_rows

PLAN = {
    "epochs": 5,
    "max_steps": 14,
    "learning_rate": 0.01,
    "neftune_alpha": 0.1,
    "evaluate_every": 2,
    "checkpoint_every": 5,
    "keep_checkpoints": 1,
    "export_best": True,
    "early_stopping_patience": 2,
}
"""The held-out loss falls until step 8, so patience runs out at step 12 of 14."""
BEST, LAST = 8, 12
FOLDER = "checkpoints"
TRIED = {"ddp": slice(1, None, 2), "deepspeed-3": slice(5, 6)}
"""The kills that are tried on several ranks; on one, all are."""


class Witness:
    """Copies a run's checkpoints whenever they changed: what a kill at that moment leaves."""

    def __init__(self, watched: Path, place: Path) -> None:
        self._watched, self._place = watched, place
        self._seen: list[list[str]] = []

    def look(self) -> None:
        """Copy the folder, unless it is as it was."""
        names = sorted(found.name for found in self._watched.glob("step-*"))
        if names and names not in self._seen:
            self._seen.append(names)
            shutil.copytree(self._watched, self._place / f"kill-{len(self._seen)}" / FOLDER)


@dataclass(frozen=True)
class Ending:
    """What a run decided, and the adapter it left."""

    decision: dict[str, Any]
    values: dict[str, Tensor]


def trainer(engine: str) -> Trainer:
    """A trainer by the name that other tests have for it."""
    name, options = ENGINES[engine]
    made = Registry().load("trainer", name).from_mapping(options, where="trainer")
    assert isinstance(made, Trainer)
    return made


def run(
    running: RunningTrainer, folder: Path | None, *, resume: bool = False, **plan: Any
) -> Ending:
    """Train, or go on with what lies in the folder."""
    done = train(
        running,
        plan=training_plan(**PLAN | plan),
        eval_rows=toy_rows(5, seed=9),
        checkpoints=folder and folder / FOLDER,
        resume=resume,
    )
    return Ending(_decision(done), dict(done.values))


def _decision(done: Trained) -> dict[str, Any]:
    measured = {"tokens", "seconds"}
    told = {name: value for name, value in asdict(done.result).items() if name not in measured}
    plain: dict[str, Any] = json.loads(json.dumps(told))  # as ranks leave it in a file
    return plain


def run_watched(running: RunningTrainer, folder: Path) -> Ending:
    """Train, and keep every state that the folder of checkpoints was in."""
    place = folder / "whole"
    witness, real = Witness(place / FOLDER, folder), shutil.rmtree

    def remove(path: Path, **options: Any) -> None:
        """Checkpoints are removed when others have come, and temporary folders after each."""
        witness.look()
        real(path, **options)
        witness.look()

    with patch("shutil.rmtree", remove):
        return run(running, place)


def kills(folder: Path) -> list[Path]:
    """The folders that kills would have left, in order."""
    return sorted(folder.glob("kill-*"), key=lambda place: int(place.name.partition("-")[2]))


def main(folder: Path, engines: list[str]) -> None:
    """Every engine: the whole run, and some of its kills resumed, into a file per rank."""
    torch.set_num_threads(1)
    for engine in engines:
        with started(trainer(engine)) as running:
            place = folder / engine
            endings = {"whole": run_watched(running, place)}
            for kill in running.share(kills(place)[TRIED[engine]]):
                endings[kill.name] = run(running, kill, resume=True)
            rank = running.world.rank
        _save(endings, folder / f"{engine}-{rank}")


def _save(endings: dict[str, Ending], stem: Path) -> None:
    values = {f"{name}/{key}": t for name, e in endings.items() for key, t in e.values.items()}
    save_file(values, stem.with_suffix(".safetensors"))
    decisions = {name: ending.decision for name, ending in endings.items()}
    stem.with_suffix(".json").write_text(json.dumps(decisions), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
