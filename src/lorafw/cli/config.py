"""`lorafw config`: show, validate and describe configs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lorafw.assembly.compose import compose
from lorafw.assembly.config import json_schema, read_config, resolved
from lorafw.assembly.registry import Registry
from lorafw.assembly.yaml_source import dump_yaml
from lorafw.cli.flags import ConfigFlags, config_flags


@click.group()
def config() -> None:
    """Show, validate and describe configs."""


@config.command()
@config_flags
def show(flags: ConfigFlags) -> None:
    """Print the config of the run these flags would start, with every default."""
    registry = Registry()
    chosen = flags.read(registry)
    click.echo(dump_yaml(resolved(chosen, compose(chosen, registry))), nl=False)
    for notice in chosen.notices:
        click.echo(f"Notice: {notice}", err=True)


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
def validate(file: Path) -> None:
    """Check that FILE is a config that could run here."""
    registry = Registry()
    compose(read_config(registry, path=file), registry)
    click.echo(f"{file}: ok")


@config.command()
def schema() -> None:
    """Print the JSON Schema of a config with the installed plugins, for editors."""
    click.echo(json.dumps(json_schema(Registry()), indent=2))
