"""`lorafw adapter compare`: how two adapters differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lorafw.cli.adapter_output import percent
from lorafw.cli.tables import columns

if TYPE_CHECKING:
    from lorafw.adapters.algebra.agreement import Agreement
    from lorafw.adapters.algebra.comparison import Comparison, ModuleComparison, TensorComparison

HEAD = ("MODULE", "COSINE", "NORMS B/A", "|A-B|/|A|", "DIRECTIONS", "IN", "OUT")
NAMED = 5
"""Most names that are written out."""


@click.command()
@click.argument("first", metavar="A", type=click.Path(path_type=Path))
@click.argument("second", metavar="B", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(first: Path, second: Path, *, as_json: bool) -> None:
    """Tell how the adapters A and B differ: angles and sizes of their updates, and settings."""
    from lorafw.adapters.algebra.comparison import compare as compare_states
    from lorafw.adapters.layout.adapter_folder import open_adapter, same_base

    one, other = open_adapter(first), open_adapter(second)
    found, same = compare_states(one.state, other.state), same_base(one, other)
    if as_json:
        click.echo(json.dumps({"same_base": same, **asdict(found)}, indent=2))
    else:
        click.echo("\n".join(_lines(found, same)))


def _lines(found: Comparison, same_base: bool | None) -> Iterator[str]:
    yield from columns([(name, value) for name, value in _facts(found, same_base) if value])
    if found.settings:
        rows = [(name, _short(one), _short(two)) for name, (one, two) in found.settings.items()]
        yield from ("", *columns([("SETTING", "A", "B"), *rows]))
    if found.modules:
        yield from ("", *columns([HEAD, *map(_module, found.modules)]))
    if found.others:
        yield from ("", *columns([("OTHER TENSOR", "|A-B|/|A|"), *map(_tensor, found.others)]))


def _facts(found: Comparison, same_base: bool | None) -> tuple[tuple[str, str], ...]:
    same = sum(module.identical for module in found.modules)
    count = len(found.modules)
    return (
        (
            "base",
            {True: "the same", False: "different", None: "not known to be the same"}[same_base],
        ),
        ("modules", f"{count} in both, {same} of them identical bit for bit" if count else ""),
        ("only in A", _names(found.only_first)),
        ("only in B", _names(found.only_second)),
        ("overall", _overall(found)),
    )


def _overall(found: Comparison) -> str:
    if found.identical:
        return "identical bit for bit"
    if found.overall.difference is None:
        return ""
    cosine, ratio, difference = _agreement(found.overall)
    return f"cosine {cosine}, norms B/A {ratio}, |A-B|/|A| {difference}"


def _module(module: ModuleComparison) -> tuple[str, ...]:
    if module.identical:
        return (module.name, "identical", *[""] * (len(HEAD) - 2))
    overlaps = (module.input_overlap, module.output_overlap)
    return (
        module.name,
        *_agreement(module.agreement),
        str(module.directions),
        *(_number(overlap) for overlap in overlaps),
    )


def _tensor(tensor: TensorComparison) -> tuple[str, str]:
    return tensor.name, "identical" if tensor.identical else percent(tensor.difference)


def _agreement(agreement: Agreement) -> tuple[str, str, str]:
    cosine, ratio = _number(agreement.cosine), _number(agreement.norm_ratio)
    return cosine, ratio, percent(agreement.difference)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _short(value: Any) -> str:
    """A setting in few words: of a pattern only how many modules it names."""
    if isinstance(value, dict):
        return f"for {len(value)}" if value else "none"
    return str(value)
