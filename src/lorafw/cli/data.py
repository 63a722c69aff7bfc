"""`lorafw data`: what becomes of rows before anything is trained."""

from __future__ import annotations

import click

from lorafw.cli.verbs import LazyGroup

VERBS = {
    "preview": ("lorafw.cli.data_preview:preview", "Show a row as the model will see it."),
    "validate": ("lorafw.cli.data_validate:validate", "List every bad row by file and line."),
    "cache": ("lorafw.cli.data_cache:cache", "List and clear the encoded rows that are kept."),
}
"""Import path and help line of every verb."""


@click.group(cls=LazyGroup, verbs=VERBS)
def data() -> None:
    """Look at rows as the model sees them, and find bad ones."""
