"""`python -m benchmarks.memory`: the memory that a plan foretells beside what the run takes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.model import ALPHA, RANK, SEED, build_model
from benchmarks.rows import ROWS_PER_STEP, draw_rows, write_texts
from benchmarks.run_apart import run_apart
from lorafw.planning.settling import LADDER


@click.command()
@click.option("--layers", default=6, show_default=True, help="Layers of the model.")
@click.option("--steps", default=6, show_default=True, help="Steps of every run.")
@click.option("--threads", default=1, show_default=True, help="Threads of a process.")
def main(layers: int, steps: int, threads: int) -> None:
    """Run every shape in a process of its own, and compare."""
    table = Table("shape", "foretold MB", "measured MB", "ratio")
    with tempfile.TemporaryDirectory(prefix="lorafw-memory-") as place:
        folder = Path(place)
        build_model(folder / "model", layers=layers)
        write_texts(draw_rows(steps * ROWS_PER_STEP, SEED), folder / "rows.jsonl")
        for name, config in _shapes(folder, steps):
            told = _run(folder, name, config, threads)
            predicted, measured = (
                told[side]["peak_bytes"] / 1e6 for side in ("predicted", "measured")
            )
            table.add_row(
                name, f"{predicted:.0f}", f"{measured:.0f}", f"{predicted / measured:.2f}"
            )
    Console().print(table)


def _shapes(folder: Path, steps: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every injector with every layout and dtype, under every policy of activations."""
    axes = (("custom", "peft"), ("segments", "padded"), ("bf16", "fp32"), LADDER)
    for injector, layout, dtype, activations in product(*axes):
        name = f"{injector}-{layout}-{dtype}-{activations}"
        yield (
            name,
            {
                "run": {"output": str(folder / name), "seed": SEED, "cache": False},
                "dataset": {
                    "use": "jsonl",
                    "path": str(folder / "rows.jsonl"),
                    "eval_fraction": 0,
                },
                "model": {"use": "llama", "path": str(folder / "model"), "dtype": dtype},
                "injector": {"use": injector, "r": RANK, "alpha": ALPHA},
                "trainer": {"use": "ddp"},
                "plan": {
                    "global_batch_size": ROWS_PER_STEP,
                    "max_steps": steps,
                    "layout": layout,
                    "activations": activations,
                },
            },
        )


def _run(folder: Path, name: str, config: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """What a run's record says of its plan."""
    run_apart(folder, name, config, threads)
    record = json.loads((folder / name / "run.json").read_text(encoding="utf-8"))
    told: dict[str, Any] = record["plan"]
    return told


if __name__ == "__main__":
    main()
