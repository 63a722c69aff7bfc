"""The smallest real run, for tests that start many and end them early."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from lorafw.testing.toys import WORDS, toy_folder

ROOT = Path(__file__).parents[2]
ABSOLUTE = 5e-6
TRAINERS: dict[str, list[str]] = {
    "ddp": ["--trainer", "ddp"],
    "accelerate": ["--trainer", "accelerate"],
    "deepspeed": ["--trainer", "deepspeed", "-o", "trainer.zero_stage=2"],
}


def make_inputs(folder: Path) -> None:
    """A toy model and thirty rows."""
    toy_folder(folder / "base")
    chance = random.Random(3)
    lines = [
        {
            "prompt": " ".join(chance.choices(WORDS, k=4)),
            "response": " ".join(chance.choices(WORDS, k=chance.randint(2, 9))),
        }
        for _ in range(30)
    ]
    text = "\n".join(json.dumps(line) for line in lines)
    (folder / "rows.jsonl").write_text(text, encoding="utf-8")


def command(inputs: Path, output: Path, *more: str, **fault: Any) -> list[str]:
    """`lorafw run` on them; keywords are options of the objective in `faults.py`."""
    options = {
        "dataset.path": inputs / "rows.jsonl",
        "model.path": inputs / "base",
        "plan.max_steps": 8,
        "plan.epochs": 2000,
        "plan.global_batch_size": 5,
        "plan.micro_batch_tokens": 40,
        "plan.checkpoint_every": 1,
        # What rounding there is between ways to cut a step, AdamW's eps keeps small.
        "plan.learning_rate": 1e-3,
        "plan.eps": 1e-6,
        **({"objective.marker": output.with_name("marker")} if fault else {}),
        **{f"objective.{name}": value for name, value in fault.items()},
    }
    pairs = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    parts = ["--dataset", "jsonl", "--model", "llama", "--injector", "custom", "--trainer", "ddp"]
    if fault:
        parts += ["--objective", "tests.integration.faults:Faulty"]
    place = ["--output", str(output)]
    return [sys.executable, "-m", "lorafw", "run", *parts, *pairs, *place, *more]


def environment() -> Mapping[str, str]:
    """One thread, and these tests' own parts importable."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def adapter(output: Path) -> dict[str, torch.Tensor]:
    """What a run exported."""
    tensors: dict[str, torch.Tensor] = load_file(output / "adapter" / "adapter_model.safetensors")
    return tensors


def difference(one: Path, other: Path) -> float:
    """Largest difference between the adapters of two runs."""
    ours, theirs = adapter(one), adapter(other)
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in theirs)


def steps_done(output: Path) -> int:
    """Steps that a run has told of."""
    events = output / "events.jsonl"
    return events.read_text(encoding="utf-8").count('"step_end"') if events.exists() else 0


def wait_until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    """Look again and again, but not for ever."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def alive(processes: list[int]) -> list[int]:
    """Those that still live; a zombie does not."""
    return [number for number in processes if _state(number) not in {"", "Z"}]


def _state(number: int) -> str:
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text.rpartition(")")[2].split()[0]
