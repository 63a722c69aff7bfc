"""`python -m benchmarks.forgetting`: what each scenario forgets of four tasks, by seed."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.four_tasks import write_tasks
from benchmarks.shared_files import STORIES, place
from lorafw_continual.finished_runs import FinishedRun, read_runs
from lorafw_continual.statistics import mean, paired_test
from lorafw_continual.summarize import measures_of

SEQUENTIAL, JOINT = "sequential", "joint"
MUST_FORGET_LESS = ("replay", "adapter-per-task")
SIGNIFICANT = 0.05
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "ewc": {"fisher_rows": 48},
    "gem": {"memory_per_task": 8},
    "a-gem": {"memory_per_task": 16, "reference_rows": 8},
    "ogd": {"memories": 48},
    "mbpa++": {"neighbours": 4, "local_steps": 3, "score": "seen"},
}
"""What takes the place of the papers' sizes, which are for thousands of rows."""
SCENARIOS = (
    *(SEQUENTIAL, JOINT, "replay", "adapter-per-task", "ewc", "gem", "a-gem", "ogd"),
    *("lwf", "lfpt5", "o-lora", "mbpa++"),
)
PROMPTS = ", prompts"
"""What follows the name of a scenario that learns prompts in place of an adapter."""
WITH_PROMPTS = tuple(f"{name}{PROMPTS}" for name in (SEQUENTIAL, "progressive-prompts", "l2p"))
LORA: Mapping[str, Any] = {"use": "custom", "r": 8, "alpha": 16}
TOKENS: Mapping[str, Any] = {
    "use": "peft",
    "method": "prompt_tuning",
    "method_options": {"num_virtual_tokens": 60},
}
"""As many as a pool of 10 prompts of 5 has, with their keys."""
RATES: Mapping[bool, float] = {False: 3e-3, True: 0.3}
"""Learning rates: of LoRA, and of prompts, those of Lester et al. 2021 (arXiv:2104.08691)."""


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Folder of multitask and gsm8k.")
@click.option("--model", type=click.Path(path_type=Path), help="Folder of a small Llama.")
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    help=f"One of them, such as ewc or 'l2p{PROMPTS}'; all by default.",
)
@click.option("--seeds", default=8, show_default=True, type=click.IntRange(min=2))
@click.option("--rows", default=96, show_default=True, help="Rows of each task.")
@click.option("--epochs", default=2, show_default=True, help="Passes over each task.")
@click.option("--workers", default=os.cpu_count(), show_default=True, help="Runs at a time.")
@click.option("--keep", type=click.Path(path_type=Path), help="Leave the runs' folders here.")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Also write it here.")
def main(
    data: Path | None,
    model: Path | None,
    scenarios: Sequence[str],
    seeds: int,
    rows: int,
    epochs: int,
    workers: int,
    keep: Path | None,
    report: Path | None,
) -> None:
    """Train four tasks in a row with every scenario, and compare what was forgotten.

    Every run has one thread. The exit code is 1 unless `sequential` forgets, and `replay` and
    `adapter-per-task` forget less, at p < 0.05, paired by seed.
    """
    model = place(model, STORIES, "--model").resolve()
    with tempfile.TemporaryDirectory(prefix="lorafw-benchmark-") as scratch:
        folder = (keep or Path(scratch)).resolve()
        tasks = write_tasks(place(data, "data", "--data"), folder / "data", rows=rows)
        chosen = scenarios or (*SCENARIOS, *WITH_PROMPTS)
        configs = [
            _config(folder, model, tasks, scenario, seed, epochs)
            for seed in range(seeds)
            for scenario in chosen
        ]
        _run_all(configs, workers)
        found = {
            scenario: read_runs([_place(folder, scenario, seed) for seed in range(seeds)], "loss")
            for scenario in chosen
        }
    lines = [_line(name, runs, found.get(_plain(name), ())) for name, runs in found.items()]
    Console(width=max(Console().width, 110)).print(_table(lines, seeds, rows, epochs))
    if report is not None:
        report.write_text(json.dumps(lines, indent=2) + "\n")
    sys.exit(0 if _holds(lines) else 1)


def _plain(name: str) -> str:
    """The contender without anything against forgetting that learns the same."""
    return f"{SEQUENTIAL}{PROMPTS}" if name.endswith(PROMPTS) else SEQUENTIAL


def _place(folder: Path, name: str, seed: int) -> Path:
    return folder / f"{name.replace(PROMPTS, '-prompts')}-{seed}"


def _config(
    folder: Path, model: Path, tasks: Sequence[Any], name: str, seed: int, epochs: int
) -> dict[str, Any]:
    scenario, prompts = name.removesuffix(PROMPTS), name.endswith(PROMPTS)
    return {
        "run": {"output": str(_place(folder, name, seed)), "seed": seed, "cache": False},
        "model": {"use": "llama", "path": str(model)},
        "injector": TOKENS if prompts else LORA,
        "trainer": {"use": "ddp"},
        "scenario": {"use": scenario, **OPTIONS.get(scenario, {})},
        "plan": {"epochs": epochs, "global_batch_size": 8, "learning_rate": RATES[prompts]},
        "tasks": list(tasks),
        "listeners": [],
        "exporters": [],
    }


def _run_all(configs: Sequence[Mapping[str, Any]], workers: int) -> None:
    context = multiprocessing.get_context("spawn")
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", HF_HUB_OFFLINE="1")
    with Progress() as progress, ProcessPoolExecutor(workers, context) as pool:
        counted = progress.add_task("Runs", total=len(configs))
        for done in as_completed([pool.submit(_run, config) for config in configs]):
            done.result()
            progress.advance(counted)


def _run(config: Mapping[str, Any]) -> None:
    import lorafw

    if not (Path(config["run"]["output"]) / "run.json").exists():
        lorafw.run(config)


def _line(name: str, runs: Sequence[FinishedRun], plain: Sequence[FinishedRun]) -> dict[str, Any]:
    """Means over seeds, and the differences to sequential training, paired by seed."""
    final = [_final_loss(run) for run in runs]
    line: dict[str, Any] = {"scenario": name, "final loss": _said(final)}
    if runs[0].has_stage_for_each_task:
        lost = [measures_of(run)["forgetting"] for run in runs]
        line["forgetting"] = _said(lost)
        if plain and name != _plain(name):
            pairs = zip(lost, [measures_of(run)["forgetting"] for run in plain], strict=True)
            line["less forgotten"] = _tested([theirs - own for own, theirs in pairs])
    if plain and name != _plain(name):
        pairs = zip(final, [_final_loss(run) for run in plain], strict=True)
        line["lower loss"] = _tested([theirs - own for own, theirs in pairs])
    return line


def _final_loss(run: FinishedRun) -> float:
    """Mean over tasks, after the last stage."""
    return float(run.matrix()[-1].mean())


def _said(values: Sequence[float]) -> dict[str, Any]:
    found = mean(values)
    return {"mean": found.value, "half": found.half, "values": list(found.values)}


def _tested(differences: Sequence[float]) -> dict[str, Any]:
    test = paired_test(differences)
    assert test is not None
    return {**_said(differences), "p": test.p, "test": test.name}


def _table(lines: Sequence[Mapping[str, Any]], seeds: int, rows: int, epochs: int) -> Table:
    about = f"Four tasks of {rows} rows, {epochs} epochs each, {seeds} seeds; nats, 95 % intervals"
    heads = ("scenario", "final loss", "forgetting", "less forgotten", "p", "lower loss", "p")
    table = Table(*heads, title=about)
    for line in lines:
        cells = [_cell(line.get(key)) for key in ("final loss", "forgetting")]
        for key in ("less forgotten", "lower loss"):
            cells += [_cell(line.get(key)), f"{line[key]['p']:.3f}" if key in line else ""]
        table.add_row(line["scenario"], *cells)
    return table


def _cell(said: Mapping[str, Any] | None) -> str:
    return f"{said['mean']:.3f} ± {said['half']:.3f}" if said else ""


def _holds(lines: Sequence[Mapping[str, Any]]) -> bool:
    by_name = {line["scenario"]: line for line in lines}
    plain = by_name.get(SEQUENTIAL)
    forgets = plain is None or plain["forgetting"]["mean"] - plain["forgetting"]["half"] > 0
    less = [by_name[name].get("less forgotten") for name in MUST_FORGET_LESS if name in by_name]
    return forgets and all(each and each["mean"] > 0 and each["p"] < SIGNIFICANT for each in less)


if __name__ == "__main__":
    main()
