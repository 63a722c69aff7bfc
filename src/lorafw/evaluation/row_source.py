"""Which rows a model is measured on: a file's, or those of a run's own config."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lorafw.assembly.config import read_config
from lorafw.assembly.registry import Registry
from lorafw.contracts.dataset import DatasetAdapter
from lorafw.errors import ConfigError, UsageError
from lorafw.types import Example, Split

RUN_CONFIG = "run.yaml"
USUAL_DATASET = "files"


@dataclass(frozen=True, slots=True)
class RowSource:
    """Where rows come from.

    Attributes:
        data: a file, or what else the dataset calls its path; None for the config's own.
        dataset: name of the dataset; empty for the config's, or for files of any kind.
        config: a run's config; None for that of the run the model is of.
        split: which rows of a config's.
        overrides: `dataset.option=value`.
    """

    data: str | None = None
    dataset: str = ""
    config: Path | None = None
    split: Split = Split.EVAL
    overrides: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as they were read.

    Attributes:
        examples: all of one kind.
        name: what to call them in messages and reports.
        labels: names of the classes of labelled rows.
        notices: what the user should know of how they were read.
    """

    examples: Sequence[Example]
    name: str
    labels: tuple[str, ...] = ()
    notices: Sequence[str] = ()

    @property
    def kind(self) -> type[Example]:
        """The kind of every row."""
        return type(self.examples[0])


def read_rows(source: RowSource, model: str | Path, limit: int | None = None) -> Rows:
    """The rows to measure on.

    Args:
        source: where they come from.
        model: path of the model, in whose run a config is looked for.
        limit: most rows, the first of them; None for all.

    Raises:
        ConfigError: the config or an option is wrong.
        DataError: a row is malformed; the message names file and line.
        UsageError: nothing says which rows, or there are none.
    """
    dataset, name = _of_file(source) if source.data else _of_config(source, Path(model))
    _look(dataset, source)
    split = source.split
    examples = dataset.load(split)
    if source.data and not examples and split is Split.EVAL:
        examples = dataset.load(Split.TRAIN)
    if not examples:
        mend = "Name a file with --data, or take the rows of training: --split train."
        raise UsageError("there are no rows.", where=name, mend=mend)
    return Rows(examples[:limit], name, dataset.labels, dataset.notices())


def _look(dataset: DatasetAdapter, source: RowSource) -> None:
    """See that the rows are there; a run's own config may have been written elsewhere."""
    try:
        dataset.preflight()
    except ConfigError as error:
        if source.data or error.mend:
            raise
        mend = "Its paths count from where the run was started: go there, or use --data."
        raise ConfigError(error.what, where=error.where, mend=mend) from None


def _of_file(source: RowSource) -> tuple[DatasetAdapter, str]:
    """All rows of a file; of a dataset that holds rows out by itself, those."""
    assert source.data is not None
    name = source.dataset or USUAL_DATASET
    known = Registry().load("dataset", name).model_fields
    options: dict[str, Any] = {"path": source.data, "eval_fraction": 0}
    given = [f"dataset.{key}={json.dumps(v)}" for key, v in options.items() if key in known]
    return _dataset({"dataset": name}, None, [*given, *source.overrides]), source.data


def _of_config(source: RowSource, model: Path) -> tuple[DatasetAdapter, str]:
    config = source.config or _config_of_run(model)
    choices = {"dataset": source.dataset} if source.dataset else {}
    return _dataset(choices, config, source.overrides), f"{config} ({_words(source.split)})"


def _config_of_run(model: Path) -> Path:
    """The config in a run's folder, or in that which an exported model lies in."""
    found = [folder / RUN_CONFIG for folder in (model, model.resolve().parent)]
    for path in found:
        if path.is_file():
            return path
    raise UsageError(
        f"nothing says which rows to take: there is no {RUN_CONFIG} in {model}.",
        mend="Name a file with --data, or a run's config with --config.",
    )


def _dataset(
    choices: Mapping[str, str], config: Path | None, overrides: Sequence[str]
) -> DatasetAdapter:
    registry = Registry()
    found = read_config(
        registry, path=config, choices=choices, overrides=overrides, needs=("dataset",)
    )
    choice = found.dataset
    with found.origins.blame(choice.key):
        part = registry.load("dataset", choice.name)
        return cast("DatasetAdapter", part.from_mapping(choice.options, where=choice.key))


def _words(split: Split) -> str:
    return "held out" if split is Split.EVAL else "to train on"
