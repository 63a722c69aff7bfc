"""`lorafw data validate`: whole files, row by row."""

from __future__ import annotations

from typing import cast

import click

from lorafw.assembly.config import RunConfig
from lorafw.assembly.registry import Registry
from lorafw.cli.flags import ConfigFlags, config_flags
from lorafw.cli.printable import printable
from lorafw.contracts.dataset import DatasetAdapter
from lorafw.errors import DataError
from lorafw.types import Split


@click.command()
@config_flags
def validate(flags: ConfigFlags) -> None:
    """List every bad row by file and line.

    Reads the whole data set and nothing else; exits with 1 when there is a bad row.
    """
    registry = Registry()
    config = flags.read(registry, needs=("dataset",))
    dataset = _dataset(config, registry)
    found = 0
    for fault in dataset.faults():
        found += 1
        click.echo(printable(" ".join(str(fault).split("\n"))))
    if found:
        raise DataError(f"{found} {'fault was' if found == 1 else 'faults were'} found.")
    # Loaded as a run would: kinds, classes and splits can be at fault where every row is good.
    _ = dataset.produces, dataset.labels
    train, held_out = (len(dataset.load(split)) for split in (Split.TRAIN, Split.EVAL))
    click.echo(f"ok: {train} rows to train on, {held_out} held out")


def _dataset(config: RunConfig, registry: Registry) -> DatasetAdapter:
    choice = config.dataset
    with config.origins.blame(choice.key):
        part = registry.load(choice.kind, choice.name)
        dataset = cast("DatasetAdapter", part.from_mapping(choice.options, where=choice.key))
        dataset.preflight()
    return dataset
