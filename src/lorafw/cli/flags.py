"""The flags that say what a run is made of, shared by every verb that takes a config."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from lorafw.assembly.config import RunConfig, read_config
from lorafw.assembly.draft import REQUIRED, SEVERAL, SINGLE
from lorafw.assembly.registry import Registry
from lorafw.errors import UsageError

CONFIG_FILE = Path("lorafw.yaml")
"""Read when it is there and no other config is named."""

WHAT = {
    "dataset": "Where the rows come from.",
    "model": "Which family of base models.",
    "injector": "What puts the adapter in.",
    "trainer": "What the training runs on.",
    "encoder": "How rows become token ids; by default the model's own way.",
    "objective": "What is minimised.",
    "scenario": "The order in which things are trained.",
    "exporter": "What is written at the end; repeatable.",
    "listener": "Who is told of events; repeatable.",
}


@dataclass(frozen=True, slots=True)
class ConfigFlags:
    """What the user said of a run on the command line."""

    choices: Mapping[str, str]
    lists: Mapping[str, tuple[str, ...]]
    config: Path | None
    override: tuple[str, ...]
    output: Path | None

    @property
    def file(self) -> Path | None:
        """The config file to read, if any."""
        return self.config or (CONFIG_FILE if CONFIG_FILE.is_file() else None)

    def read(self, registry: Registry, needs: Sequence[str] = REQUIRED) -> RunConfig:
        """The config that the file and the flags make; `needs` as in `read_config`."""
        return read_config(
            registry,
            path=self.file,
            choices=self.choices,
            lists=self.lists,
            output=self.output,
            overrides=self.override,
            needs=needs,
        )


def config_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags of a run; it receives them as one `flags: ConfigFlags`.

    The config may be named without its flag, too: `lorafw run CONFIG`.
    """

    @wraps(command)
    def with_flags(file: Path | None, **given: Any) -> None:
        own = {name: given.pop(name) for name in _plain_names()}
        own["config"] = _one_of(file, own["config"])
        single = {kind: given.pop(kind) for kind in SINGLE}
        several = {section: given.pop(kind) for section, kind in SEVERAL.items()}
        choices = {kind: name for kind, name in single.items() if name}
        lists = {section: names for section, names in several.items() if names}
        command(flags=ConfigFlags(choices, lists, **own), **given)

    path = click.Path(path_type=Path)
    named = click.argument("file", metavar="[CONFIG]", required=False, type=path)
    for option in reversed([named, *_part_options(), *_plain_options()]):
        option(with_flags)
    return with_flags


def _one_of(file: Path | None, config: Path | None) -> Path | None:
    """The config that is named, as the command's argument or by its flag."""
    if file is not None and config is not None:
        raise UsageError(f"which config is meant, {file} or {config}?", mend="Name one.")
    return file or config


def _plain_names() -> list[str]:
    return [field.name for field in fields(ConfigFlags) if field.name not in ("choices", "lists")]


def _part_options() -> list[Callable[[Any], Any]]:
    one = [click.option(f"--{kind}", metavar="NAME", help=WHAT[kind]) for kind in SINGLE]
    several = [
        click.option(f"--{kind}", metavar="NAME", multiple=True, help=WHAT[kind])
        for kind in SEVERAL.values()
    ]
    return [*one, *several]


def _plain_options() -> list[Callable[[Any], Any]]:
    path = click.Path(path_type=Path)
    return [
        click.option(
            "--config",
            metavar="FILE",
            type=path,
            help=f"Config to read, or preset:NAME; by default {CONFIG_FILE}, if it is there.",
        ),
        click.option(
            "-o",
            "override",
            metavar="KEY=VALUE",
            multiple=True,
            help="Set one option, such as injector.r=16; repeatable.",
        ),
        click.option("--output", metavar="DIR", type=path, help="Folder of the run."),
    ]
