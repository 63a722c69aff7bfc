"""Pictures of an adapter: where its updates are large, and how their spectra fall."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from lorafw.adapters.algebra.layer_sizes import layer_sizes, place_of, sizes_are_relative
from lorafw.errors import LorafwError

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.adapters.algebra.inspection import AdapterReport

HEAT_MAP, NORMS, SPECTRA = "heat-map.png", "norm-per-layer.png", "spectra.png"
"""Files that `write_plots` makes."""


def write_plots(report: AdapterReport, folder: Path) -> list[Path]:
    """Draw norms by kind and layer as a heat map and as lines, and spectra by kind.

    Norms are relative to the base's weights where all of these are known.

    Args:
        report: an adapter with modules.
        folder: made if it is not there; files of the same names are replaced.

    Returns:
        The files.

    Raises:
        LorafwError: matplotlib is missing, no module has factors, or the folder cannot be written.
    """
    _need_matplotlib()
    if not report.modules:
        fault = "there is nothing to plot: the adapter has no factors A and B."
        raise LorafwError(fault)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in {HEAT_MAP: heat_map, NORMS: norms, SPECTRA: spectra}.items():
            draw(report).savefig(folder / name, dpi=150)
    except OSError as error:
        raise LorafwError(f"cannot be written: {error.strerror}.", where=str(folder)) from None
    return [folder / name for name in (HEAT_MAP, NORMS, SPECTRA)]


def heat_map(report: AdapterReport) -> Any:
    """A figure with a row for each kind of module and a column for each layer."""
    import numpy as np

    found = layer_sizes(report)
    layers = sorted({n for row in found.values() for n in row}, key=lambda n: (n is None, n or 0))
    cells = [[row.get(layer, np.nan) for layer in layers] for row in found.values()]
    figure, axes = _figure(3 + 0.25 * len(layers), max(3, 1.2 + 0.3 * len(found)))
    image = axes.imshow(np.array(cells), aspect="auto", vmin=0.0)
    axes.set_xticks(range(len(layers)), ["-" if layer is None else layer for layer in layers])
    axes.set_yticks(range(len(found)), list(found))
    axes.set_xlabel("layer")
    figure.colorbar(image, label=_size_label(report))
    return figure


def norms(report: AdapterReport) -> Any:
    """A figure with a line over the layers for each kind of module."""
    figure, axes = _figure(8, 4.5)
    for kind, row in layer_sizes(report).items():
        points = sorted((layer, size) for layer, size in row.items() if layer is not None)
        if points:
            axes.plot(*zip(*points, strict=True), marker=".", label=kind)
    axes.set_xlabel("layer")
    axes.set_ylabel(_size_label(report))
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", integer=True)
    _legend(figure, axes)
    return figure


def spectra(report: AdapterReport) -> Any:
    """A figure with the singular values of each module over the largest, one colour a kind."""
    figure, axes = _figure(8, 4.5)
    for index, (kind, rows) in enumerate(_spectra_by_kind(report).items()):
        for nth, values in enumerate(rows):
            label = {"label": kind} if nth == 0 else {}
            numbers = range(1, len(values) + 1)
            axes.plot(numbers, values, color=f"C{index % 10}", alpha=0.5, marker=".", **label)
    axes.set_xlabel("singular value")
    axes.set_ylabel("share of the largest")
    axes.set_yscale("log")
    axes.locator_params(axis="x", integer=True)
    _legend(figure, axes)
    return figure


def _spectra_by_kind(report: AdapterReport) -> dict[str, list[list[float]]]:
    """Values above fp32's rounding, over the largest; modules without an update left out."""
    found: dict[str, list[list[float]]] = defaultdict(list)
    for module in report.modules:
        first, *_ = module.singular_values
        if first:
            shares = (value / first for value in module.singular_values)
            found[place_of(module.name).kind].append([s for s in shares if s > 1e-7])
    return found


def _size_label(report: AdapterReport) -> str:
    return "norm of the update" + (" over the weight's" * sizes_are_relative(report))


def _need_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401, ICN001 - only whether it is there
    except ImportError:
        mend = "Run: pip install 'lorafw[plots]'"
        raise LorafwError("plots need matplotlib, which is not installed.", mend=mend) from None


def _figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure apart from pyplot, which needs no display, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _legend(figure: Any, axes: Any) -> None:
    if axes.lines:
        figure.legend(loc="outside right upper", fontsize="small")
