"""`lorafw data preview`: rows as the model will see them, before anything is trained."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from lorafw.assembly.compose import DataParts, compose_data
from lorafw.assembly.registry import Registry
from lorafw.cli.flags import ConfigFlags, config_flags
from lorafw.cli.ticker import ticking
from lorafw.errors import UsageError
from lorafw.types import Example, Split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.data.inspection.duplicates import Duplicates
    from lorafw.data.inspection.row_view import RowView
    from lorafw.data.inspection.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Preview:
    """What there is to tell of one row and of the split it is from.

    Attributes:
        number: the row's, counted from one.
        total: rows of the split.
        labels: names of the classes, for classification.
        statistics, duplicates: None when none were asked for.
    """

    split: Split
    number: int
    total: int
    row: RowView
    labels: tuple[str, ...]
    statistics: Statistics | None = None
    duplicates: Duplicates | None = None


@click.command()
@config_flags
@click.option(
    "--row", "number", type=click.IntRange(min=1), default=1, show_default=True, help="Which row."
)
@click.option(
    "--split",
    type=click.Choice([split.value for split in Split]),
    default=Split.TRAIN.value,
    show_default=True,
    help="Which rows: those to train on, or those held out.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help="Rows to gather statistics from; all by default, 0 for none.",
)
@click.option("--plain", is_flag=True, help="Brackets instead of colours.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def preview(
    flags: ConfigFlags, *, number: int, split: str, limit: int | None, plain: bool, as_json: bool
) -> None:
    """Show a row as the model will see it, and what becomes of the split it is from.

    Needs a dataset and a model, of which only the tokenizer is loaded.
    """
    registry = Registry()
    config = flags.read(registry, needs=("dataset", "model"))
    parts = compose_data(config, registry)
    found = _look(parts, Split(split), number, limit)
    for notice in (*config.notices, *parts.dataset.notices()):
        click.echo(f"Notice: {notice}", err=True)
    if as_json:
        click.echo(json.dumps(_record(found), ensure_ascii=False, indent=2))
        return
    from lorafw.cli.preview_text import preview_text

    click.echo(preview_text(found, coloured=not plain and _shows_colour()))


def _look(parts: DataParts, split: Split, number: int, limit: int | None) -> Preview:
    from lorafw.data.inspection.duplicates import duplicates
    from lorafw.data.inspection.outcomes import outcomes
    from lorafw.data.inspection.row_view import row_view
    from lorafw.data.inspection.statistics import statistics
    from lorafw.data.rendering.context import within_context

    splits = {each: parts.dataset.load(each) for each in Split}
    example = _chosen(splits[split], split, number)
    tokenizer = parts.model.tokenizer()
    encoder = within_context(parts.encoder, tokenizer)
    view = row_view(example, encoder, tokenizer)
    found = Preview(split, number, len(splits[split]), view, parts.dataset.labels)
    if limit == 0:
        return found
    wanted = splits[split][:limit]
    rows = ticking(outcomes(wanted, encoder, tokenizer), len(wanted), "Encoding")
    return replace(
        found,
        statistics=statistics(wanted, rows, encoder.max_length),
        duplicates=duplicates(*(splits[each][:limit] for each in Split)),
    )


def _chosen(examples: Sequence[Example], split: Split, number: int) -> Example:
    if number > len(examples):
        count = "1 row" if len(examples) == 1 else f"{len(examples)} rows"
        raise UsageError(f"there is no row {number}: split '{split}' has {count}.", where="--row")
    return examples[number - 1]


def _record(found: Preview) -> dict[str, Any]:
    record = asdict(found)
    record["row"]["trained_tokens"] = found.row.trained_tokens
    return record


def _shows_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
