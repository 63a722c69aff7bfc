"""`python -m benchmarks.newcomer`: a newcomer's whole command, from the shell and back to it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from statistics import median

import click
from rich.console import Console

from benchmarks.commands import COMMANDS, REFERENCE, Files
from benchmarks.environment import environment
from benchmarks.process import Usage, run_process
from benchmarks.shared_files import GSM8K, STORIES, place
from benchmarks.table import Column, comparison

COLUMNS = (
    Column[Usage]("seconds", lambda row: row.seconds, ".1f"),
    Column[Usage]("CPU seconds", lambda row: row.cpu_seconds, ".1f"),
    Column[Usage]("peak GB", lambda row: row.peak_bytes / 1e9, ".2f"),
)


@click.command()
@click.option("--rows", type=click.Path(path_type=Path), help="GSM8K's train.jsonl.")
@click.option("--model", type=click.Path(path_type=Path), help="Folder of the stories260K Llama.")
@click.option("--count", default=400, show_default=True, help="Rows taken from the file.")
@click.option("--rounds", default=3, show_default=True, help="Runs of each, taken in turn.")
@click.option("--threads", default=os.cpu_count(), show_default=True, help="Threads of a process.")
@click.option(
    "--command",
    "names",
    multiple=True,
    type=click.Choice(list(COMMANDS)),
    help="What to run; repeatable; all by default.",
)
@click.option("--json", "report", type=click.Path(path_type=Path), help="Also write it here.")
def main(
    rows: Path | None,
    model: Path | None,
    count: int,
    rounds: int,
    threads: int,
    names: tuple[str, ...],
    report: Path | None,
) -> None:
    """Time whole commands: rank 8 on all linear layers, one epoch, 8 rows per step.

    Paths that are not given are looked for in the folder that LORAFW_SHARED names.
    """
    rows = place(rows, GSM8K, "--rows")
    model = place(model, STORIES, "--model").resolve()
    names = names or tuple(COMMANDS)
    with tempfile.TemporaryDirectory(prefix="lorafw-benchmark-") as scratch:
        folder = Path(scratch)
        files = Files(model, folder / "questions.jsonl", folder / "rows" / "train.jsonl")
        _write_rows(rows, files, count)
        usages = _play(files, names, rounds, threads, folder)
    medians = {name: _median(each) for name, each in usages.items()}
    labelled = {COMMANDS[name].label: row for name, row in medians.items()}
    title = f"{count} rows, one epoch, {threads} threads, {rounds} rounds"
    table = comparison(title, labelled, COLUMNS, reference=medians.get(REFERENCE))
    Console(width=max(Console().width, 132)).print(table)
    if report is not None:
        told = {name: [asdict(usage) for usage in each] for name, each in usages.items()}
        report.write_text(json.dumps({"conditions": title, "commands": told}, indent=2) + "\n")


def _write_rows(source: Path, files: Files, count: int) -> None:
    """The same rows for both: as they are published, and as prompt and completion."""
    with source.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, count)]
    pairs = [{"prompt": f"{row['question']}\n", "completion": row["answer"]} for row in rows]
    files.completions.parent.mkdir()
    for path, each in ((files.questions, rows), (files.completions, pairs)):
        path.write_text("".join(_lines(each)), encoding="utf-8")


def _lines(rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _play(
    files: Files, names: Sequence[str], rounds: int, threads: int, folder: Path
) -> Mapping[str, Sequence[Usage]]:
    """Every round runs every command once, so that a busy hour hits all of them."""
    usages: dict[str, list[Usage]] = {name: [] for name in names}
    surroundings = environment(folder, threads=threads)
    for number in range(rounds):
        for name in names:
            words = COMMANDS[name].words(files, folder / f"{number}-{name}")
            program = Path(sys.executable).parent / words[0]
            usage = run_process([str(program), *words[1:]], folder, surroundings)
            usages[name].append(usage)
            click.echo(f"round {number + 1}: {name}: {usage.seconds:.1f} s", err=True)
    return usages


def _median(usages: Sequence[Usage]) -> Usage:
    return Usage(
        median(usage.seconds for usage in usages),
        median(usage.cpu_seconds for usage in usages),
        round(median(usage.peak_bytes for usage in usages)),
    )


if __name__ == "__main__":
    main()
