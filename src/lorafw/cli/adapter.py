"""`lorafw adapter`: what is in an adapter, and new adapters out of trained ones."""

from __future__ import annotations

import click

from lorafw.cli.verbs import LazyGroup

VERBS = {
    "inspect": ("lorafw.cli.adapter_inspect:inspect", "Show modules, ranks, norms and spectra."),
    "compare": ("lorafw.cli.adapter_compare:compare", "Tell how two adapters differ."),
    "merge": ("lorafw.cli.adapter_merge:merge", "Write an adapter and its base as one model."),
    "combine": ("lorafw.cli.adapter_combine:combine", "Make one adapter out of several."),
    "resize": ("lorafw.cli.adapter_resize:resize", "Cut an adapter down to a lower rank."),
    "convert": ("lorafw.cli.adapter_convert:convert", "Write an adapter in another tool's format."),
}
"""Import path and help line of every verb."""


@click.group(cls=LazyGroup, verbs=VERBS)
def adapter() -> None:
    """Look into adapters, and make new ones out of them."""
