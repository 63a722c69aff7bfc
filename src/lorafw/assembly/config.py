"""The config of a run: which parts, with which options; errors name file and line.

Relative paths in a config are relative to the current directory, wherever the file lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from lorafw.assembly.choice import Choice
from lorafw.assembly.draft import DEFAULTS, REQUIRED, SEVERAL, SINGLE, Draft
from lorafw.assembly.origins import Origins
from lorafw.assembly.registry import Registry
from lorafw.assembly.resolved import resolved, write_resolved
from lorafw.assembly.schema import json_schema
from lorafw.assembly.task_choices import (
    TaskChoice,
    mixed,
    needs_run_dataset,
    read_tasks,
    unused,
)
from lorafw.assembly.task_epochs import split_epochs
from lorafw.assembly.task_items import TASKS
from lorafw.assembly.unset import require_values
from lorafw.assembly.yaml_source import Source, parse_yaml, read_yaml
from lorafw.contracts.component import Options
from lorafw.contracts.plan import TrainPlan
from lorafw.errors import ConfigError
from lorafw.presets.catalog import preset_name, preset_text

__all__ = [
    "AnyConfig",
    "Choice",
    "RunConfig",
    "RunOptions",
    "TaskChoice",
    "as_config",
    "json_schema",
    "read_config",
    "resolved",
    "write_resolved",
]


class RunOptions(Options):
    """What belongs to the run as a whole."""

    name: str = Field("run", min_length=1, description="Name of the run.")
    output: Path | None = Field(None, description="Folder of the run; null for runs/<name>.")
    seed: int = Field(0, ge=0, description="All randomness of the run follows from it.")
    cache: bool = Field(
        True, description="Keep encoded rows on disk, and use those that are there."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """A complete config: every section is there, options of parts are checked by `compose`.

    Attributes:
        dataset: of a run with tasks, the mix of theirs.
        tasks: what is trained one after another; none for a run of one dataset.
        encoder: None, or a choice without a name, to take the one that suits the model.
        objective: the same, to take the one that suits the rows.
        origins: where each value was written.
        notices: what the user should be told, such as options that were dropped.
    """

    run: RunOptions
    dataset: Choice
    model: Choice
    injector: Choice
    trainer: Choice
    scenario: Choice
    plan: TrainPlan
    exporters: tuple[Choice, ...]
    listeners: tuple[Choice, ...]
    tasks: tuple[TaskChoice, ...] = ()
    encoder: Choice | None = None
    objective: Choice | None = None
    origins: Origins = field(default_factory=Origins, compare=False)
    notices: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], registry: Registry | None = None) -> RunConfig:
        """Build from plain values, laid out as in a config file.

        Raises:
            ConfigError: a section is unknown, has a wrong form, or is missing.
        """
        registry = registry or Registry()
        draft = Draft(registry)
        draft.add_file(Source("", values, {}))
        return _complete(draft, registry)


AnyConfig = RunConfig | Mapping[str, Any] | str | Path
"""A config, plain values laid out as in a config file, or the path of such a file."""


def read_config(
    registry: Registry,
    *,
    path: Path | None = None,
    choices: Mapping[str, str] | None = None,
    lists: Mapping[str, Sequence[str]] | None = None,
    output: Path | None = None,
    overrides: Sequence[str] = (),
    needs: Sequence[str] = REQUIRED,
) -> RunConfig:
    """The config that a file, flags and `-o` assignments make, later ones winning.

    Args:
        registry: the installed parts.
        path: YAML file, `preset:NAME` for one that comes with lorafw, or None.
        choices: name of the part to take, by kind (`--trainer ddp`).
        lists: names that replace a list, by section (`--exporter merged`).
        output: the run's folder (`--output`).
        overrides: `section.key=value`, the value in YAML (`-o`).
        needs: kinds of parts without which the config is of no use; others of those that a run
            requires may be missing, and are then choices without a name.

    Raises:
        ConfigError: a section, key or value is wrong or missing.
        PluginError: a part that replaces another cannot be loaded.
    """
    draft = Draft(registry)
    if path is not None:
        draft.add_file(_source(path))
    for kind, name in (choices or {}).items():
        draft.choose(kind, name)
    for section, names in (lists or {}).items():
        draft.choose_several(section, names)
    if output is not None:
        draft.set_option("run.output", str(output))
    draft.override(overrides)
    return _complete(draft, registry, needs)


def as_config(config: AnyConfig, registry: Registry) -> RunConfig:
    """The config that was given, read or laid out as it may be.

    Raises:
        ConfigError: as `read_config` and `RunConfig.from_mapping`.
    """
    if isinstance(config, RunConfig):
        return config
    if isinstance(config, Mapping):
        return RunConfig.from_mapping(config, registry)
    return read_config(registry, path=Path(config))


def _source(path: Path) -> Source:
    name = preset_name(path)
    return read_yaml(path) if name is None else parse_yaml(preset_text(name), str(path))


def _complete(draft: Draft, registry: Registry, needs: Sequence[str] = REQUIRED) -> RunConfig:
    _require(draft, registry, needs)
    left_out = [kind for kind in REQUIRED if kind not in needs]
    require_values(draft.sections, draft.origins, left_out)
    sections, origins = {**DEFAULTS, **draft.sections}, draft.origins
    with origins.blame("run"):
        run = RunOptions.from_mapping(sections.get("run", {}), where="run")
    with origins.blame("plan"):
        count = len(sections.get(TASKS, ()))
        planned, epochs = split_epochs(sections.get("plan", {}), count)
        plan = TrainPlan.from_mapping(planned, where="plan")
    parts: dict[str, Any] = {kind: Choice(kind, "", {}, kind) for kind in left_out} | {
        kind: Choice.read(kind, kind, {**DEFAULTS.get(kind, {}), **sections[kind]}, origins)
        for kind in SINGLE
        if kind in sections and not (kind == "dataset" and TASKS in sections)
    }
    if TASKS in sections and "dataset" not in left_out:
        parts["tasks"] = read_tasks(sections, epochs, origins)
        parts["dataset"] = mixed(parts["tasks"])
    for section, kind in SEVERAL.items():
        items = enumerate(sections[section])
        parts[section] = tuple(
            Choice.read(kind, f"{section}.{i}", item, origins) for i, item in items
        )
    notices = (*draft.notices, *unused(sections, origins))
    return RunConfig(run=run, plan=plan, origins=origins, notices=notices, **parts)


def _require(draft: Draft, registry: Registry, needs: Sequence[str]) -> None:
    missing = [kind for kind in needs if "use" not in draft.sections.get(kind, {})]
    tasks = draft.sections.get(TASKS)
    if tasks and "dataset" in missing and not any(map(needs_run_dataset, tasks)):
        missing.remove("dataset")
    if not missing:
        return
    *most, last = missing
    kinds = f"{', '.join(most)} and {last}" if most else last
    flags = ", ".join(f"--{kind} NAME ({_known(registry, kind)})" for kind in missing)
    raise ConfigError(
        f"nothing says which {kinds} to use:",
        mend=f"pass {flags}, or write a config with `lorafw init`.",
    )


def _known(registry: Registry, kind: str) -> str:
    return ", ".join(registry.names(kind)) or "none is installed"
