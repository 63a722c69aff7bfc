"""TrainPlan: how long, how fast and in which portions a run trains."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lorafw.contracts.component import Options


class TrainPlan(Options):
    """What the loop needs to know, whichever trainer runs it."""

    epochs: int = Field(1, ge=1, description="Passes over the training rows.")
    max_steps: int | None = Field(None, ge=1, description="Stop after this many optimizer steps.")
    global_batch_size: int = Field(
        8, ge=1, description="Rows per optimizer step, over all ranks and micro-batches."
    )
    micro_batch_tokens: int = Field(
        2048, ge=1, description="Most tokens in one forward pass; a longer row goes alone."
    )
    layout: Literal["auto", "segments", "padded"] = Field(
        "auto", description="Rows laid end to end, or padded; auto takes segments where it can."
    )
    learning_rate: float = Field(2e-4, gt=0, description="Peak learning rate.")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="How the learning rate falls after warmup."
    )
    warmup_ratio: float = Field(0.03, ge=0, le=1, description="Share of steps that warm up.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's decoupled weight decay.")
    betas: tuple[float, float] = Field((0.9, 0.999), description="AdamW's moment decay rates.")
    eps: float = Field(1e-8, gt=0, description="AdamW's epsilon.")
    max_grad_norm: float | None = Field(
        1.0, gt=0, description="Clip the global gradient norm to this; null for no clipping."
    )
    evaluate_every: int | None = Field(
        None, ge=1, description="Steps between evaluations; always one before and one after."
    )
    checkpoint_every: int | None = Field(
        None, ge=1, description="Steps between checkpoints; null for one after each epoch."
    )
    keep_checkpoints: int = Field(2, ge=1, description="Newest checkpoints that are kept.")
