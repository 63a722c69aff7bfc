"""`python -m benchmarks.gsm8k_curve`: the loss over 200 steps, on the fast path and off it."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice, product
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.contestants import has_fast_path
from benchmarks.contestants.lorafw_run import visiting_order
from benchmarks.curves import Comparison, Curve, compare
from benchmarks.metered_run import metered
from benchmarks.questions import Pair, read_pairs
from benchmarks.rows import ROWS_PER_STEP
from benchmarks.shared_files import GSM8K, STORIES, place

DTYPES = ("bf16", "fp32")
WAYS = ("on", "off")
KERNELS = ("compiled", "eager")
RANK, ALPHA = 8, 16

Curves = Mapping[str, Mapping[str, dict[int, Curve]]]
"""By dtype, way and seed."""


@click.command()
@click.option("--rows", type=click.Path(path_type=Path), help="GSM8K's train.jsonl.")
@click.option("--model", type=click.Path(path_type=Path), help="Folder of the stories260K Llama.")
@click.option("--steps", default=200, show_default=True, help="Of every run.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=2))
@click.option("--learning-rate", default=1e-3, show_default=True, help="Its peak.")
@click.option("--kernels", type=click.Choice(KERNELS), default=KERNELS[0], show_default=True)
@click.option("--threads", default=1, show_default=True, help="Threads of a run.")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Also write it here.")
def main(
    rows: Path | None,
    model: Path | None,
    steps: int,
    seeds: int,
    learning_rate: float,
    kernels: str,
    threads: int,
    report: Path | None,
) -> None:
    """Compare the two ways with each other, and with what another start of the adapter changes.

    Every run trains the same rows in the same order. Paths that are not given are looked for in
    the folder that LORAFW_SHARED names.
    """
    if not has_fast_path():
        raise click.UsageError("injector custom has no option 'fast' in this installation.")
    model = place(model, STORIES, "--model").resolve()
    pairs = _fitting(read_pairs(place(rows, GSM8K, "--rows")), model, steps * ROWS_PER_STEP)
    with tempfile.TemporaryDirectory(prefix="lorafw-benchmark-") as scratch:
        plan = {
            "max_steps": steps,
            "learning_rate": learning_rate,
            "global_batch_size": ROWS_PER_STEP,
        }
        injector = {"use": "custom", "r": RANK, "alpha": ALPHA, "kernels": kernels}
        base = {"model": {"use": "llama", "path": str(model)}, "injector": injector, "plan": plan}
        curves = _play(Path(scratch), pairs, base, seeds, threads)
    exact = curves["fp32"]["off"]
    found = {dtype: compare(ways["on"], ways["off"], exact) for dtype, ways in curves.items()}
    Console(width=max(Console().width, 120)).print(
        _table(found, f"Loss over {steps} steps of GSM8K, {seeds} seeds")
    )
    if report is not None:
        told = {dtype: asdict(comparison) for dtype, comparison in found.items()}
        report.write_text(json.dumps({"found": told, "curves": curves}, indent=2) + "\n")
    sys.exit(0 if all(comparison.within_noise for comparison in found.values()) else 1)


def _fitting(pairs: list[Pair], model: Path, count: int) -> list[Pair]:
    """The first so many that fit the model's context: a row that is left out moves others."""
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    context = AutoConfig.from_pretrained(model).max_position_embeddings
    room = context - 8  # for what stands around and between the two

    def tokens(pair: Pair) -> int:
        return sum(len(tokenizer(text, verbose=False).input_ids) for text in pair)

    found = list(islice((pair for pair in pairs if tokens(pair) < room), count))
    if len(found) < count:
        raise click.UsageError(f"--steps: only {len(found)} rows fit the model, {count} wanted.")
    return found


def _play(
    folder: Path, pairs: list[Pair], base: Mapping[str, Any], seeds: int, threads: int
) -> Curves:
    """The seeds, dtypes and ways in turn, each run in a process of its own."""
    curves: dict[str, dict[str, dict[int, Curve]]] = {d: {w: {} for w in WAYS} for d in DTYPES}
    for seed, dtype, way in product(range(seeds), DTYPES, WAYS):
        rows = folder / f"{seed}.jsonl"
        _write(rows, pairs, seed)
        config = {
            "run": {"seed": seed},
            "dataset": {"use": "jsonl", "path": str(rows), "eval_fraction": 0},
            "model": {**base["model"], "dtype": dtype},
            "injector": {**base["injector"], "fast": way},
            "trainer": {"use": "ddp"},
            "plan": base["plan"],
        }
        name = f"{seed}-{dtype}-{way}"
        curve = metered(config, folder / name, folder, threads=threads).losses
        curves[dtype][way][seed] = curve
        click.echo(f"seed {seed}, {dtype}, fast {way}: {curve[0]:.4f} -> {curve[-1]:.4f}", err=True)
    return curves


def _write(path: Path, pairs: list[Pair], seed: int) -> None:
    """Lines in such an order that a run with this seed visits the pairs as they stand here."""
    lines = [""] * len(pairs)
    for line, (question, answer) in zip(visiting_order(len(pairs), seed), pairs, strict=True):
        lines[line] = json.dumps({"question": question, "answer": answer}) + "\n"
    path.write_text("".join(lines), encoding="utf-8")


def _table(found: Mapping[str, Comparison], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("base")
    for heading in ("on and off", "two seeds", "on and fp32", "off and fp32", "within noise"):
        table.add_column(heading, justify="right")
    for dtype, each in found.items():
        figures = (
            each.between_ways,
            each.between_starts,
            each.fast_from_exact,
            each.ordinary_from_exact,
        )
        told = "yes" if each.within_noise else "NO"
        table.add_row(dtype, *(f"{figure:.6f}" for figure in figures), told)
    return table


if __name__ == "__main__":
    main()
