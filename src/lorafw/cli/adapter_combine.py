"""`lorafw adapter combine`: one adapter out of several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lorafw.cli.adapter_output import check_output, overwrite_option, percent
from lorafw.cli.tables import columns
from lorafw.errors import UsageError

if TYPE_CHECKING:
    from lorafw.adapters.algebra.combination import Combined
    from lorafw.adapters.layout.adapter_folder import AdapterFolder

METHODS = ("linear", "svd", "ties", "dare-linear", "dare-ties")


@click.command()
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.argument(
    "paths", metavar="ADAPTER...", type=click.Path(path_type=Path), nargs=-1, required=True
)
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="linear",
    show_default=True,
    help="How updates become one.",
)
@click.option("--weights", metavar="W1,W2,…", help="A factor for each update; 1 by default.")
@click.option(
    "--rank",
    type=click.IntRange(min=1),
    metavar="R",
    help="Rank of the result; by default the sum of the ranks (linear), or the highest.",
)
@click.option(
    "--density",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=0.5,
    show_default=True,
    help="Share of each update's numbers that TIES and DARE keep.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the numbers that DARE drops.",
)
@overwrite_option
def combine(
    out: Path, paths: tuple[Path, ...], weights: str | None, *, overwrite: bool, **way: Any
) -> None:
    """Write one adapter to OUT that is made of several ADAPTERs of one base.

    `linear` is the weighted sum of their updates, exactly. Where the rank must be cut, the
    relative error of every module is printed.
    """
    from lorafw.adapters.layout.adapter_folder import open_adapter, refuse_unlike, write_derived

    check_output(out, overwrite=overwrite)
    factors = _weights(weights, len(paths))
    sources = [open_adapter(path) for path in paths]
    refuse_unlike(sources)
    combined = _combined(sources, factors, way)
    _tell_unknown_bases(sources)
    write_derived(out, combined.state, sources, {"verb": "combine", "weights": factors, **way})
    click.echo("\n".join(_lines(combined)))
    click.echo(f"Wrote {out}.")


def _combined(
    sources: Sequence[AdapterFolder], factors: Sequence[float], way: Mapping[str, Any]
) -> Combined:
    from lorafw.adapters.algebra.combinable import Part
    from lorafw.adapters.algebra.combination import Method, Way, combine

    pairs = zip(sources, factors, strict=True)
    parts = [Part(str(source.path), source.state, factor) for source, factor in pairs]
    return combine(parts, Way(**{**way, "method": Method(way["method"])}))


def _tell_unknown_bases(sources: Sequence[AdapterFolder]) -> None:
    from lorafw.adapters.layout.adapter_folder import same_base

    first, *others = sources
    for other in others:
        if same_base(first, other) is None:
            told = f"{other.path} does not say whether its base is that of {first.path}."
            click.echo(f"Note: {told}", err=True)


def _weights(text: str | None, count: int) -> list[float]:
    try:
        found = [1.0] * count if text is None else [float(each) for each in text.split(",")]
    except ValueError:
        raise UsageError(f"'{text}' is no list of numbers.", where="--weights") from None
    if len(found) != count:
        raise UsageError(f"{len(found)} weights for {count} adapters.", where="--weights")
    return found


def _lines(combined: Combined) -> Iterator[str]:
    rows = [(each.name, str(each.rank), percent(each.error)) for each in combined.modules]
    yield from columns([("MODULE", "RANK", "ERROR"), *rows])
