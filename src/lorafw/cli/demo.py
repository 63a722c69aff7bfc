"""`lorafw demo`: fine-tune the embedded model and compare its answers before and after."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lorafw.demo import corpus

if TYPE_CHECKING:
    from lorafw.pipeline import RunResult

PLAN = {
    "epochs": 5,
    "global_batch_size": 8,
    "learning_rate": 5e-3,
    "schedule": "linear",
    "warmup_ratio": 0.02,
}


@click.command()
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of the run; the next free runs/demo by default.",
)
def demo(output: Path | None) -> None:
    """Fine-tune the embedded model and compare its answers before and after.

    Needs no network: a small language model, its training text and the rows it is fine-tuned on
    come with lorafw. The questions are about things that occur in none of those rows.
    """
    from lorafw import pipeline, run_folder

    folder = run_folder.choose(output, "demo", resume=False)
    run_folder.prepare(folder)
    result = pipeline.run(_config(folder.path))
    _show(result)


def _config(folder: Path) -> dict[str, Any]:
    return {
        "run": {"name": "demo", "output": str(folder)},
        "dataset": {
            "use": "jsonl",
            "path": str(_write(folder / "train.jsonl", corpus.fine_tuning_rows())),
            "eval_path": str(_write(folder / "eval.jsonl", corpus.held_out_rows())),
        },
        "model": {"use": "llama", "path": "lorafw:demo"},
        "injector": {"use": "custom", "r": 8, "alpha": 16},
        "trainer": {"use": "ddp"},
        "plan": PLAN,
    }


def _write(path: Path, rows: Iterable[Mapping[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _show(result: RunResult) -> None:
    from rich.console import Console
    from rich.table import Table

    import lorafw

    model = lorafw.load(result.folder)
    table = Table(title="Asked about things that are in no training row", show_lines=True)
    for heading in ("Question", "Before", "After"):
        table.add_column(heading, overflow="fold")
    for question in corpus.questions():
        answers = (model.generate(question, max_new_tokens=60, adapter=on) for on in (False, True))
        table.add_row(question, *answers)
    console = Console()
    console.print(table)
    before, after = result.evaluation_before["loss"], result.evaluation["loss"]
    console.print(f"Held-out loss: {before:.3f} before, {after:.3f} after.")
    console.print(f'Ask it yourself: lorafw generate {result.folder} --prompt "…"', soft_wrap=True)
