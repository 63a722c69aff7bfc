"""The commands a newcomer would type, for the same adapter on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

RANK, ALPHA, ROWS_PER_STEP, CONTEXT = 8, 16, 8, 512


@dataclass(frozen=True, slots=True)
class Files:
    """What the commands read.

    Attributes:
        model: folder of the base model.
        questions: rows with `question` and `answer`.
        completions: the same rows with `prompt` and `completion`.
    """

    model: Path
    questions: Path
    completions: Path


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the table: its label, and the words to type, given files and an output folder."""

    label: str
    words: Callable[[Files, Path], list[str]]


def _lorafw(files: Files, output: Path, *, injector: str) -> list[str]:
    options = {
        "dataset.path": files.questions,
        "dataset.eval_fraction": 0,
        "model.path": files.model,
        "injector.r": RANK,
        "injector.alpha": ALPHA,
        "plan.global_batch_size": ROWS_PER_STEP,
    }
    parts = {"dataset": "jsonl", "model": "llama", "injector": injector, "trainer": "ddp"}
    chosen = [word for kind, name in parts.items() for word in (f"--{kind}", name)]
    assigned = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return ["lorafw", "run", *chosen, *assigned, "--output", str(output)]


def _trl(files: Files, output: Path, *, tuned: bool) -> list[str]:
    options = {
        "model_name_or_path": files.model,
        "dataset_name": files.completions.parent,  # a folder of data files is a data set
        "output_dir": output,
        "use_peft": True,
        "lora_r": RANK,
        "lora_alpha": ALPHA,
        "lora_dropout": 0.0,
        "lora_target_modules": "all-linear",
        "num_train_epochs": 1,
        "per_device_train_batch_size": ROWS_PER_STEP,
        "learning_rate": 2e-4,
        "max_length": CONTEXT,
        "report_to": "none",
        "use_cpu": True,  # it refuses to start without, where there is no GPU
    }
    faster = {"gradient_checkpointing": False, "bf16": False} if tuned else {}
    flags = {**options, **faster}
    return [
        "trl",
        "sft",
        *(word for key, value in flags.items() for word in (f"--{key}", str(value))),
    ]


COMMANDS = {
    "lorafw-custom": Command("lorafw run (custom)", partial(_lorafw, injector="custom")),
    "lorafw-peft": Command("lorafw run (peft)", partial(_lorafw, injector="peft")),
    "trl": Command("trl sft", partial(_trl, tuned=False)),
    "trl-tuned": Command("trl sft, fp32, no gradient checkpointing", partial(_trl, tuned=True)),
}
REFERENCE = "lorafw-custom"
