"""`python -m benchmarks.many_tasks`: whether a task costs more the more tasks came before it."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.process_memory import FILE
from benchmarks.run_apart import run_apart
from lorafw.demo import base_path

RANK, TOKENS = 72, 72
"""Both are multiples of 24, the number of tasks, of which some scenarios give each its share."""
SCENARIOS: Mapping[str, Mapping[str, Any]] = {
    "sequential": {},
    "ewc": {"fisher_rows": 8},
    "a-gem": {"memory_per_task": 4, "reference_rows": 4},
    "lwf": {},
    "o-lora": {},
    "l2p": {"pool_size": 12, "prompt_length": 5},
    "adapter-per-task": {},
    "progressive-prompts": {},
    "gem": {"memory_per_task": 2},
    "ogd": {"memories": 48},
    "replay": {"ratio": 0.25},
    "lfpt5": {"pseudo_rows": 1},
    "mbpa++": {"local_steps": 0},
}
PROMPTED = {"l2p", "progressive-prompts"}
FLAT_TIME = {"sequential", "ewc", "a-gem", "lwf", "o-lora", "l2p", "adapter-per-task"}
"""Whose definition has nothing that takes longer with every task."""
FLAT_MEMORY = {"sequential", "ewc", "a-gem", "gem", "lwf", "o-lora", "replay", "lfpt5", "mbpa++"}
"""Whose definition keeps nothing of a task, or rows alone; prompts are too small to be seen."""
ROOM = 0.25
"""How much longer the last tasks may take: machines are noisy."""


@click.command()
@click.option("--tasks", default=24, show_default=True, type=click.IntRange(min=8))
@click.option("--rows", default=16, show_default=True, help="Rows of each task.")
@click.option(
    "--scenario", "scenarios", multiple=True, help="One of those it knows; all by default."
)
@click.option("--threads", default=1, show_default=True, help="Threads of a process.")
def main(tasks: int, rows: int, scenarios: Sequence[str], threads: int) -> None:
    """Train many small tasks in a row, each scenario in a process of its own, and compare.

    The exit code is 1 if a task takes longer, or leaves more behind, than its scenario says.
    """
    table = Table("scenario", "seconds, early", "late", "ratio", "adapters kept per task")
    fine = True
    with tempfile.TemporaryDirectory(prefix="lorafw-many-tasks-") as place:
        folder = Path(place)
        adapter = _build_model(folder / "model")
        listed = [_task(folder, number, rows) for number in range(tasks)]
        for name in scenarios or SCENARIOS:
            run_apart(folder, name, _config(folder, name, listed), threads)
            early, late, grown = _read(folder / name, tasks)
            ratio, kept = late / early, grown / adapter
            table.add_row(name, f"{early:.2f}", f"{late:.2f}", f"{ratio:.2f}", f"{kept:.2f}")
            fine &= _as_it_says(name, ratio, kept)
    Console().print(table)
    sys.exit(0 if fine else 1)


def _build_model(folder: Path) -> int:
    """Write a model whose adapter is seen in the process's memory; the adapter's bytes."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    words: Any = AutoTokenizer.from_pretrained(base_path())
    torch.manual_seed(0)
    width, inner, layers = 512, 1024, 4
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=8,
        tie_word_embeddings=True,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    words.save_pretrained(folder)
    return 4 * RANK * layers * (4 * 2 * width + 3 * (width + inner))


def _task(folder: Path, number: int, rows: int) -> dict[str, Any]:
    file = folder / f"{number}.jsonl"
    pairs = [
        {"prompt": f"Say {at} of {number}.", "response": f"The camel lives in desert {number} {at}"}
        for at in range(rows)
    ]
    file.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    dataset = {"use": "jsonl", "path": str(file), "eval_fraction": 0}
    return {"name": f"task-{number}", "dataset": dataset}


def _config(folder: Path, scenario: str, tasks: Sequence[Any]) -> dict[str, Any]:
    return {
        "run": {"output": str(folder / scenario), "cache": False},
        "model": {"use": "llama", "path": str(folder / "model")},
        "injector": _injector(scenario),
        "trainer": {"use": "ddp"},
        "scenario": {"use": scenario, "score": "none", **SCENARIOS[scenario]},
        "plan": {"global_batch_size": 4, "learning_rate": 1e-4},
        "tasks": list(tasks),
        "listeners": ["benchmarks.process_memory:Held"],
        "exporters": [],
    }


def _injector(scenario: str) -> dict[str, Any]:
    if scenario not in PROMPTED:
        return {"use": "custom", "r": RANK}
    options = {"num_virtual_tokens": TOKENS}
    return {"use": "peft", "method": "prompt_tuning", "method_options": options}


def _read(run: Path, tasks: int) -> tuple[float, float, float]:
    """Seconds of a task of the second and of the last quarter; bytes that each leaves behind."""
    lines = (run / FILE).read_text(encoding="utf-8").splitlines()
    told = [line for line in map(json.loads, lines) if line["stage"] not in ("data", "model")]
    marks = told[: tasks + 1]  # the last is that of the export
    seconds = [after["seconds"] - mark["seconds"] for mark, after in pairwise(marks)]
    quarter = tasks // 4
    early, late = seconds[quarter : 2 * quarter], seconds[-quarter:]
    grown = (marks[-1]["bytes"] - marks[quarter]["bytes"]) / (tasks - quarter)
    return median(early), median(late), grown


def _as_it_says(scenario: str, ratio: float, kept: float) -> bool:
    slower = scenario in FLAT_TIME and ratio > 1 + ROOM
    fuller = scenario in FLAT_MEMORY and kept > ROOM
    return not (slower or fuller)


if __name__ == "__main__":
    main()
