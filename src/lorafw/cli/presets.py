"""`lorafw presets`: the configs that come with lorafw."""

from __future__ import annotations

import click

from lorafw.cli.tables import columns
from lorafw.presets.catalog import preset_names, preset_purpose, preset_text


@click.group(invoke_without_command=True)
@click.pass_context
def presets(context: click.Context) -> None:
    """List and show the configs that come with lorafw.

    Use one with --config preset:NAME, or start from it: lorafw init --preset NAME
    """
    if context.invoked_subcommand is None:
        rows = [(name, preset_purpose(name)) for name in preset_names()]
        click.echo("\n".join(columns([("NAME", "WHAT FOR"), *rows])))


@presets.command()
@click.argument("name")
def show(name: str) -> None:
    """Print preset NAME with its comments."""
    click.echo(preset_text(name), nl=False)
