"""What the contestants built on transformers' Trainer share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, TrainerCallback

from benchmarks.job import Job, Outcome
from benchmarks.measure import StepClock
from benchmarks.rows import ROWS_PER_STEP, Row


def adapted_model(job: Job) -> Any:
    """The bf16 base with the starting adapter, which PEFT keeps in fp32."""
    base = AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.bfloat16)
    return PeftModel.from_pretrained(base, job.adapter, is_trainable=True)


def same_training(job: Job) -> dict[str, Any]:
    """Training arguments that make the update the same as lorafw's."""
    return {
        "output_dir": job.workdir,
        "per_device_train_batch_size": ROWS_PER_STEP,
        "num_train_epochs": 1,
        "learning_rate": job.learning_rate,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "train_sampling_strategy": "sequential",
        "use_cpu": True,
        "seed": 0,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def timed(trainer: Any, rows: Sequence[Row], *, warmup: int) -> Outcome:
    """Train, with the clock read at the end of every step."""
    clock = StepClock()
    trainer.add_callback(_Marks(clock))
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return clock.outcome(rows, [float(loss) for loss in losses], warmup=warmup)


class _Marks(TrainerCallback):  # type: ignore[misc]
    def __init__(self, clock: StepClock) -> None:
        self._clock = clock

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._clock.mark()
