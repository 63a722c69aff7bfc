"""`lorafw continual`: what finished runs over several tasks come to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from lorafw.errors import UsageError

_PATH = click.Path(path_type=Path)
_RUNS = click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=_PATH)
_FIGURE = click.option(
    "--figure", metavar="NAME", help="Judge every task by it, such as loss; by its own by default."
)
_RECORD = click.option("--json", "record", metavar="FILE", type=_PATH, help="Write JSON too.")


class _TakesSeveral(click.Command):
    """A command whose option `--with` takes all words up to the next option, as RUN... does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option in front of every word."""
        return super().parse_args(ctx, _repeated("--with", args))


def _repeated(option: str, words: Sequence[str]) -> list[str]:
    found, taking = [], False
    for word in words:
        if word.startswith("-"):
            taking = word == option
            found += [] if taking else [word]
        else:
            found += [option, word] if taking else [word]
    return found


@click.group()
def continual() -> None:
    """What finished runs over several tasks come to."""


@continual.command()
@_RUNS
@click.option(
    "--alone",
    metavar="RUN",
    type=_PATH,
    help="A run of adapter-per-task: tells the gain over training each task alone.",
)
@_FIGURE
@_RECORD
def summarize(
    runs: tuple[Path, ...], alone: Path | None, figure: str | None, record: Path | None
) -> None:
    """Print the mean matrix of finished runs, and its measures.

    A RUN is the folder of a run of one scenario; runs may differ in seed and in the order of the
    tasks. With several, everything has its 95% interval.
    """
    from lorafw_continual.finished_runs import read_runs
    from lorafw_continual.summarize import summarize as summarized
    from lorafw_continual.tables import show_summary, summary_json

    _check_place(record)
    found = read_runs([*runs, *([] if alone is None else [alone])], figure)
    summary = summarized(found[: len(runs)], None if alone is None else found[-1])
    show_summary(summary)
    _write(record, summary_json(summary))


@continual.command(cls=_TakesSeveral)
@_RUNS
@click.option(
    "--with",
    "others",
    metavar="RUN...",
    multiple=True,
    required=True,
    type=_PATH,
    help="The runs to compare with, of the same seeds.",
)
@_FIGURE
@_RECORD
def compare(
    runs: tuple[Path, ...], others: tuple[Path, ...], figure: str | None, record: Path | None
) -> None:
    """Compare finished runs with others, seed by seed.

    All are over the same tasks. Differences are of the runs less those behind --with.
    """
    from lorafw_continual.finished_runs import read_runs
    from lorafw_continual.summarize import compare as compared
    from lorafw_continual.tables import comparison_json, show_comparison

    _check_place(record)
    found = read_runs([*runs, *others], figure)
    first, second = found[: len(runs)], found[len(runs) :]
    differences = compared(first, second)
    show_comparison(differences, first, second)
    _write(record, comparison_json(differences, first, second))


def _check_place(file: Path | None) -> None:
    """Refuse a place that cannot be written, before anything takes time."""
    if file is not None and (file.is_dir() or not file.parent.is_dir()):
        fault = "is a folder." if file.is_dir() else f"there is no folder {file.parent}."
        raise UsageError(fault, where=str(file))


def _write(file: Path | None, values: Mapping[str, Any]) -> None:
    from lorafw.adapters.files.safe_files import replace_text

    if file is not None:
        replace_text(file, json.dumps(values, indent=2, ensure_ascii=False) + "\n")
        click.echo(f"Written: {file}", err=True)
