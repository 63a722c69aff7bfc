"""The rounds of a run over several tasks, as its folder keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import yaml

from lorafw.errors import LorafwError
from lorafw.training.checkpoints.stages import finished_stages

CONFIG, ADAPTERS, SCORES = "run.yaml", "adapters", "scores"


@dataclass(frozen=True, slots=True)
class Round:
    """What was trained on one task: one fit, or several in a row.

    Attributes:
        task: its name.
        stage: the first fit's name, which the scores after it go by.
        values: folder of the values that the last fit left.
        adapter: the adapter that the scenario itself saved of it; None if it saved none.
    """

    task: str
    stage: str
    values: Path
    adapter: Path | None


def rounds_of(run: Path) -> list[Round]:
    """In the order in which they were trained.

    Raises:
        LorafwError: what is told of a fit cannot be read.
    """
    return [
        _round(run, task, [(fit.name, fit.place) for fit in fits])
        for task, fits in groupby(finished_stages(run), key=lambda fit: fit.task)
    ]


def _round(run: Path, task: str, fits: list[tuple[str, Path]]) -> Round:
    saved = run / ADAPTERS / task
    return Round(task, fits[0][0], fits[-1][1], saved if saved.is_dir() else None)


def task_names(run: Path | None) -> list[str]:
    """The names of a run's tasks as its config lists them; none, if it has no list.

    Raises:
        LorafwError: the config cannot be read.
    """
    if run is None:
        return []
    try:
        config = yaml.safe_load((run / CONFIG).read_text(encoding="utf-8"))
        return [str(task["name"]) for task in config.get("tasks") or ()]
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise LorafwError(f"cannot be read: {error}.", where=str(run / CONFIG)) from error
