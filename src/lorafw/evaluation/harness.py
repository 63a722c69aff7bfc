"""Tasks of lm-evaluation-harness, where it is installed, on a loaded model and its base."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorafw.errors import LorafwError, UsageError, did_you_mean
from lorafw.types import Task

if TYPE_CHECKING:
    from lorafw.inference.loaded import LoadedModel


@dataclass(frozen=True, slots=True)
class HarnessReport:
    """What the harness found.

    Attributes:
        results: by the name of each model what the harness returned, without the samples.
    """

    results: Mapping[str, Mapping[str, Any]]

    def figures(self) -> list[tuple[str, str, dict[str, tuple[float, float | None]]]]:
        """Task, figure, and by the name of each model its value and standard error."""
        first = next(iter(self.results.values()))["results"]
        named = [(task, name) for task, found in first.items() for name in found]
        return [
            (task, name, {who: _figure(did, task, name) for who, did in self.results.items()})
            for task, name in named
            if "," in name and "_stderr" not in name
        ]

    def as_json(self) -> dict[str, Any]:
        """What the harness returned, as JSON values."""
        text = json.dumps(self.results, default=str)
        values: dict[str, Any] = json.loads(text)
        return values


def need_harness() -> None:
    """See that lm-evaluation-harness is installed.

    Raises:
        LorafwError: it is not.
    """
    if find_spec("lm_eval") is None:
        mend = "Run: pip install lm-eval"
        raise LorafwError("lm_eval is not installed, which --harness needs.", mend=mend)


def run_harness(
    model: LoadedModel, tasks: Sequence[str], *, base: bool = True, limit: int | None = None
) -> HarnessReport:
    """Measure tasks on a model, and on its base where that can be asked.

    Args:
        model: a causal language model.
        tasks: names the harness knows, or YAML files of tasks.
        base: ask the base too.
        limit: most rows of each task.

    Raises:
        LorafwError: the harness is not installed.
        UsageError: it knows no such task, or the model is a classifier.
    """
    need_harness()
    if model.bundle.task is not Task.CAUSAL_LM:
        raise UsageError("the harness asks language models; this one puts texts into classes.")
    from lm_eval.evaluator import simple_evaluate

    from lorafw.evaluation._harness_model import HarnessModel

    manager, names = _tasks(tasks)
    tuned = "adapter" if model.adapted is not None else "model"
    voices = {"base": False} if base and model.has_base else {}
    return HarnessReport(
        {
            who: _without_samples(
                simple_evaluate(
                    HarnessModel(model, adapter=adapter),
                    tasks=names,
                    limit=limit,
                    task_manager=manager,
                    log_samples=False,
                )
            )
            for who, adapter in {**voices, tuned: True}.items()
        }
    )


def _tasks(tasks: Sequence[str]) -> tuple[Any, list[str]]:
    """The harness's own tasks and those of YAML files, and what each of `tasks` is called."""
    from lm_eval.tasks import TaskManager

    files = [Path(task) for task in tasks if task.endswith((".yaml", ".yml"))]
    if gone := [file for file in files if not file.is_file()]:
        raise UsageError("there is no such file.", where=str(gone[0]))
    manager = TaskManager(include_path=[str(file.parent) for file in files] or None)
    names = [Path(task).stem if task.endswith((".yaml", ".yml")) else task for task in tasks]
    for name in names:
        if not manager.match_tasks([name]):
            mend = did_you_mean(name, manager.all_tasks) or "A file's task is called as the file."
            raise UsageError(f"the harness knows no task '{name}'.", where="--harness", mend=mend)
    return manager, names


def _without_samples(found: Any) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key in {"results", "configs", "n-shot"}}


def _figure(found: Mapping[str, Any], task: str, name: str) -> tuple[float, float | None]:
    of_task = found["results"][task]
    figure, _, rest = name.partition(",")
    error = of_task.get(f"{figure}_stderr,{rest}")
    return float(of_task[name]), error if isinstance(error, float) else None
