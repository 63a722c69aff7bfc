"""`lorafw data cache`: encoded rows that are kept for later runs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from lorafw.cli.tables import columns
from lorafw.errors import LorafwError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.data.cache.catalogue import Kept

HEAD = ("LAST USED", "ROWS", "TOKENS", "SIZE", "SPLIT", "DATASET", "ENCODER", "TOKENIZER")


@click.group()
def cache() -> None:
    """List and clear the encoded rows that are kept."""


@cache.command("list")
def list_rows() -> None:
    """List the rows that are kept, the last used first."""
    from lorafw.data.cache.catalogue import kept
    from lorafw.data.cache.place import cache_folder

    found = kept(cache_folder())
    if found:
        click.echo("\n".join(columns([HEAD, *map(_row, found)])))
    click.echo(f"{_counted(found)} in {cache_folder()}")


@cache.command()
@click.option(
    "--older-than",
    metavar="DAYS",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Spare what was used in so many last days.",
)
def clear(older_than: float) -> None:
    """Take the rows away that are kept; they are encoded again when a run needs them."""
    from lorafw.data.cache.catalogue import clear as take_away
    from lorafw.data.cache.place import cache_folder

    try:
        taken = take_away(cache_folder(), older_than=older_than)
    except OSError as error:
        where = str(error.filename or cache_folder())
        raise LorafwError(f"cannot be taken away: {error.strerror}.", where=where) from None
    click.echo(f"Freed {_counted(taken)} in {cache_folder()}")


def _row(kept: Kept) -> tuple[str, ...]:
    used = datetime.fromtimestamp(kept.used).astimezone().strftime("%Y-%m-%d %H:%M")
    if kept.about is None:
        return (used, "-", "-", _size(kept.bytes), "-", "unfinished or damaged", "-", "-")
    report, told = kept.about.report, kept.about.told
    return (
        used,
        f"{report.rows:,}",
        f"{report.tokens:,}",
        _size(kept.bytes),
        report.split.value,
        *(told.get(name, "-") for name in ("dataset", "encoder", "tokenizer")),
    )


def _counted(found: Sequence[Kept]) -> str:
    rows = sum(each.about.report.rows for each in found if each.about)
    splits = "1 split" if len(found) == 1 else f"{len(found)} splits"
    return f"{_size(sum(each.bytes for each in found))}: {splits}, {rows:,} rows"


def _size(count: int) -> str:
    """A number of bytes in words, such as 12.3 MB."""
    if count < 1000:
        return f"{count} B"
    value, unit = count / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}"
