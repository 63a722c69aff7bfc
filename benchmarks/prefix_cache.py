"""`python -m benchmarks.prefix_cache`: what a kept prefix spares where top layers are adapted."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.fit_clock import FitClock
from benchmarks.model import ALPHA, RANK, SEED, build_model
from benchmarks.rows import ROWS_PER_STEP, draw_rows, write_texts
from benchmarks.run_apart import run_apart
from benchmarks.shapes import SHAPES, USUAL

ALL, TOP, CACHED = "all layers", "top quarter", "top quarter, prefix kept"
FLOORS = {TOP: 1.4, ALL: 2.2}
"""How many times the CPU time of the kept one the others must take at least."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What one run took from its first step to its last, and the digest of what it left."""

    wall: float
    cpu: float
    adapter: str


@click.command()
@click.option("--layers", default=SHAPES[USUAL].layers, show_default=True, help="Of the model.")
@click.option("--rows", default=3 * ROWS_PER_STEP, show_default=True, help="Of an epoch.")
@click.option("--epochs", default=5, show_default=True, help="Of every run.")
@click.option("--rounds", default=3, show_default=True, help="Runs of each, taken in turn.")
@click.option("--threads", default=1, show_default=True, help="Threads of a process.")
@click.option("--injector", default="custom", show_default=True, help="Which injector.")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Also write it here.")
def main(
    layers: int,
    rows: int,
    epochs: int,
    rounds: int,
    threads: int,
    injector: str,
    report: Path | None,
) -> None:
    """Train the same rows in three ways, and see that keeping pays and changes no bit."""
    with tempfile.TemporaryDirectory(prefix="lorafw-prefix-") as place:
        folder = Path(place)
        build_model(folder / "model", layers=layers)
        write_texts(draw_rows(rows, SEED), folder / "rows.jsonl")
        configs = _configs(folder, layers, epochs, injector)
        fits: dict[str, list[Fit]] = {name: [] for name in configs}
        for number in range(rounds):
            for name, config in configs.items():
                fits[name].append(_fit(folder, f"{number} {name}", config, threads))
                click.echo(f"round {number + 1}: {name}: {fits[name][-1].cpu:.1f} s", err=True)
    conditions = f"{layers} layers, {rows} rows, {epochs} epochs, {rounds} rounds, {injector}"
    _show(fits, conditions)
    if report is not None:
        told = {name: [asdict(fit) for fit in each] for name, each in fits.items()}
        report.write_text(json.dumps({"conditions": conditions, **told}, indent=2) + "\n")
    sys.exit(0 if _is_exact(fits) and _is_fast(fits) else 1)


def _configs(folder: Path, layers: int, epochs: int, injector: str) -> dict[str, dict[str, Any]]:
    quarter = {"top_layers": -(-layers // 4)}
    ways: dict[str, dict[str, Any]] = {ALL: {}, TOP: quarter, CACHED: quarter}
    return {
        name: {
            "run": {"seed": SEED, "cache": False},
            "dataset": {
                "use": "jsonl",
                "path": str(folder / "rows.jsonl"),
                "eval_fraction": 0,
            },
            "model": {"use": "llama", "path": str(folder / "model")},
            "injector": {
                "use": injector,
                "r": RANK,
                "alpha": ALPHA,
                "prefix_cache": name == CACHED,
                **chosen,
            },
            "trainer": {"use": "ddp"},
            "plan": {
                "epochs": epochs,
                "global_batch_size": ROWS_PER_STEP,
                "composition": "fixed",
                "activations": "keep",
                "checkpoint_every": 10**6,
            },
        }
        for name, chosen in ways.items()
    }


def _fit(folder: Path, name: str, config: Mapping[str, Any], threads: int) -> Fit:
    """One run, in a process of its own."""
    run, seconds = folder / name, folder / f"{name}.seconds"
    clock = {"use": f"{FitClock.__module__}:{FitClock.__name__}", "seconds": str(seconds)}
    own = {**config["run"], "output": str(run)}
    run_apart(folder, name, {**config, "run": own, "listeners": [clock]}, threads)
    adapter = (run / "adapter" / "adapter_model.safetensors").read_bytes()
    digest = hashlib.sha256(adapter).hexdigest()
    return Fit(**json.loads(seconds.read_text(encoding="utf-8")), adapter=digest)


def _show(fits: Mapping[str, Sequence[Fit]], conditions: str) -> None:
    table = Table("adapted", "CPU s", "wall s", "CPU, times the kept", title=conditions)
    for name, each in fits.items():
        wall = median(fit.wall for fit in each)
        table.add_row(name, f"{_cpu(each):.1f}", f"{wall:.1f}", f"{_ratio(fits, name):.2f}")
    Console().print(table)


def _cpu(fits: Sequence[Fit]) -> float:
    return median(fit.cpu for fit in fits)


def _ratio(fits: Mapping[str, Sequence[Fit]], name: str) -> float:
    return _cpu(fits[name]) / _cpu(fits[CACHED])


def _is_exact(fits: Mapping[str, Sequence[Fit]]) -> bool:
    exact = len({fit.adapter for name in (TOP, CACHED) for fit in fits[name]}) == 1
    click.echo(f"The adapters of the top quarter are {'equal to the bit' if exact else 'UNEQUAL'}.")
    return exact


def _is_fast(fits: Mapping[str, Sequence[Fit]]) -> bool:
    found = {name: _ratio(fits, name) for name in FLOORS}
    for name, ratio in found.items():
        verdict = "ok" if ratio >= FLOORS[name] else "MISSED"
        click.echo(f"{name}: {ratio:.2f}x, at least {FLOORS[name]}x: {verdict}")
    return all(ratio >= FLOORS[name] for name, ratio in found.items())


if __name__ == "__main__":
    main()
