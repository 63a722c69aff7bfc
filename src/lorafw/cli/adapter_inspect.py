"""`lorafw adapter inspect`: modules, ranks, norms and spectra of an adapter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lorafw.cli.adapter_output import percent
from lorafw.cli.tables import columns

if TYPE_CHECKING:
    from lorafw.adapters.algebra.base_norms import BaseNorms
    from lorafw.adapters.algebra.inspection import AdapterReport, ModuleReport
    from lorafw.adapters.layout.adapter_folder import AdapterFolder

HEAD = ("MODULE", "RANK", "SCALING", "OUT x IN", "|ΔW|", "/ |W|", "EFF.", "STABLE", "LARGEST")
SHOWN = 4
"""Singular values in the table; JSON has all of them."""


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--base", metavar="PATH", help="Its base model, if it is not where it was.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--plots",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write plots there too: heat map, norm per layer, spectra.",
)
def inspect(path: Path, base: str | None, plots: Path | None, *, as_json: bool) -> None:
    """Show what is in the adapter at PATH: modules, ranks, norms and spectra of B·A.

    PATH is the folder of an adapter or of a run. The base is only read for the norms of its
    weights, and left out if it is gone.
    """
    from lorafw.adapters.algebra.inspection import inspect_adapter
    from lorafw.adapters.layout.adapter_folder import open_adapter

    adapter = open_adapter(path)
    report = inspect_adapter(adapter.state, _base(adapter, base))
    click.echo(json.dumps(asdict(report), indent=2) if as_json else "\n".join(_lines(report)))
    if plots is not None:
        _plot(report, plots)


def _base(adapter: AdapterFolder, path: str | None) -> BaseNorms | None:
    from lorafw.adapters.algebra.base_norms import given_base, noted_base

    return noted_base(adapter) if path is None else given_base(adapter, path)


def _plot(report: AdapterReport, folder: Path) -> None:
    from lorafw.adapters.algebra.plots import write_plots

    for file in write_plots(report, folder):
        click.echo(f"Wrote {file}.", err=True)


def _lines(report: AdapterReport) -> Iterator[str]:
    yield from columns([(name, value) for name, value in _facts(report) if value])
    if report.modules:
        yield from ("", *columns([HEAD, *map(_module, report.modules)]))
    if report.others:
        rows = [(each.name, _shape(each.shape), f"{each.norm:.4g}") for each in report.others]
        yield from ("", *columns([("OTHER TENSOR", "SHAPE", "NORM"), *rows]))


def _facts(report: AdapterReport) -> tuple[tuple[str, str], ...]:
    lora = bool(report.modules)
    return (
        ("method", report.method),
        ("modules", f"{len(report.modules)}" if lora else ""),
        ("rank", _spread(report, "rank") if lora else ""),
        ("alpha", _spread(report, "alpha") if lora else ""),
        ("dropout", f"{report.dropout:g}" if lora else ""),
        ("options", ", ".join(f"{k} {v}" for k, v in report.options.items() if v is not None)),
        ("parameters", _parameters(report)),
        ("|ΔW|", f"{report.norm:.4g} over all modules" if lora else ""),
    )


def _spread(report: AdapterReport, name: str) -> str:
    """One value, or the range of values and that of most modules."""
    values = sorted({getattr(module, name) for module in report.modules})
    if len(values) == 1:
        return f"{values[0]:g}"
    return f"{values[0]:g} to {values[-1]:g}, mostly {getattr(report, name):g}"


def _parameters(report: AdapterReport) -> str:
    own, base = report.parameters, report.base_parameters
    return f"{own:,}" + (f", {own / base:.2%} of the base's {base:,}" if base else "")


def _module(module: ModuleReport) -> tuple[str, ...]:
    shown = " ".join(f"{value:.3g}" for value in module.singular_values[:SHOWN])
    return (
        module.name,
        str(module.rank),
        f"{module.scaling:g}",
        _shape((module.outputs, module.inputs)),
        f"{module.norm:.4g}",
        percent(module.relative_norm),
        f"{module.effective_rank:.2f}",
        f"{module.stable_rank:.2f}",
        shown,
    )


def _shape(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))
