"""A config with every default written out: what `run.yaml` holds."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorafw.adapters.files.safe_files import replace_text
from lorafw.assembly.yaml_source import dump_yaml
from lorafw.contracts.component import Options

if TYPE_CHECKING:
    from lorafw.assembly.compose import Parts
    from lorafw.assembly.config import RunConfig
    from lorafw.assembly.task_parts import TaskParts

LIBRARIES = ("torch", "transformers", "peft", "accelerate", "deepspeed")
HEADER = """\
# The config of this run with every default written out. It is itself a config:
#   lorafw run --config {name}
# `versions` tells what the run was made with; it is ignored when read.
"""


def resolved(config: RunConfig, parts: Parts) -> dict[str, Any]:
    """Plain JSON values that, read as a config, give the same run."""
    names = parts.names
    return {
        "run": _plain(config.run),
        **_rows(parts),
        "model": _part(names["model"], parts.model),
        "injector": _part(names["injector"], parts.injector),
        "trainer": _part(names["trainer"], parts.trainer),
        "encoder": _part(names["encoder"], parts.encoder),
        "objective": _part(names["objective"], parts.objective),
        "scenario": _part(names["scenario"], parts.scenario),
        "plan": _plain(config.plan),
        "exporters": [
            _part(*pair) for pair in zip(names["exporters"], parts.exporters, strict=True)
        ],
        "listeners": [
            _part(*pair) for pair in zip(names["listeners"], parts.listeners, strict=True)
        ],
        "versions": _versions(parts.versions),
    }


def write_resolved(values: Mapping[str, Any], path: Path) -> None:
    """Write what `resolved` gave as a commented YAML file."""
    replace_text(path, HEADER.format(name=path) + dump_yaml(values))


def _rows(parts: Parts) -> dict[str, Any]:
    """Where rows come from: the dataset, or every task with all that it takes from the run."""
    if not parts.tasks:
        return {"dataset": _part(parts.names["dataset"], parts.dataset)}
    return {"tasks": [_task(task) for task in parts.tasks]}


def _task(task: TaskParts) -> dict[str, Any]:
    return {
        "name": task.name,
        "dataset": _part(task.names["dataset"], task.dataset),
        "epochs": task.epochs,
        "encoder": _part(task.names["encoder"], task.encoder),
        "metrics": [_part(*pair) for pair in task.metrics.items()],
        "max_new_tokens": task.max_new_tokens,
    }


def _part(name: Any, options: Options) -> dict[str, Any]:
    return {"use": name, **_plain(options)}


def _plain(options: Options) -> dict[str, Any]:
    return options.model_dump(mode="json")


def _versions(plugins: Mapping[str, str]) -> dict[str, str]:
    found = {"python": platform.python_version(), **plugins}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found
