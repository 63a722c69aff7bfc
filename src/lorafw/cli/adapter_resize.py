"""`lorafw adapter resize`: an adapter of a lower rank."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lorafw.cli.adapter_output import check_output, overwrite_option, percent
from lorafw.cli.tables import columns
from lorafw.errors import UsageError

if TYPE_CHECKING:
    from lorafw.adapters.algebra.resizing import Resized
    from lorafw.types import AdapterState


@click.command()
@click.argument("path", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--rank", type=click.IntRange(min=1), metavar="R", help="Highest rank of a module.")
@click.option(
    "--energy",
    type=click.FloatRange(min=0, max=1, min_open=True),
    metavar="SHARE",
    help="Share of each update's squared norm to keep, such as 0.99; chooses a rank per module.",
)
@overwrite_option
def resize(
    path: Path, out: Path, rank: int | None, energy: float | None, *, overwrite: bool
) -> None:
    """Write the adapter IN with lower ranks to OUT, each update the nearest that its rank allows.

    Prints the relative error of every module. Scalings stay; ranks never grow.
    """
    from lorafw.adapters.layout.adapter_folder import open_adapter, write_derived

    check_output(out, overwrite=overwrite)
    source = open_adapter(path)
    resized = _resized(source.state, rank, energy)
    limit = {"rank": rank} if energy is None else {"energy": energy}
    write_derived(out, resized.state, (source,), {"verb": "resize", **limit})
    click.echo("\n".join(_lines(resized)))
    click.echo(f"Wrote {out}.")


def _resized(state: AdapterState, rank: int | None, energy: float | None) -> Resized:
    from lorafw.adapters.algebra.resizing import resize_to_energy, resize_to_rank

    if rank is not None and energy is None:
        return resize_to_rank(state, rank)
    if energy is not None and rank is None:
        return resize_to_energy(state, energy)
    raise UsageError("one of --rank and --energy is needed, and not both.")


def _lines(resized: Resized) -> Iterator[str]:
    rows = [
        (each.name, str(each.before), str(each.after), percent(each.error))
        for each in resized.modules
    ]
    yield from columns([("MODULE", "RANK", "NOW", "ERROR"), *rows])
