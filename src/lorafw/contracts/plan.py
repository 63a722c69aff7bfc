"""TrainPlan: how long, how fast and in which portions a run trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from lorafw.contracts.component import Options


def _steps_or_epoch(value: object) -> object:
    counts = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if counts or value == "epoch":
        return value
    raise ValueError("must be a number of steps, at least 1, or epoch")


StepsOrEpoch = Annotated[
    Annotated[int, Field(ge=1)] | Literal["epoch"], BeforeValidator(_steps_or_epoch)
]
"""How often something is done: every so many steps, or at the end of each epoch."""

Activations: TypeAlias = Literal["auto", "keep", "recompute-mlp", "checkpoint"]
"""What a forward pass leaves for the backward pass; what it does not is computed again.

keep: all of it; recompute-mlp: not that of the layers' MLPs; checkpoint: only what enters each
layer. auto stands for one of them, chosen before a run begins, and for keep where nobody chooses.
"""

MICRO_BATCH_TOKENS = 4096
"""The budget where nobody has chosen another: in reach of the fastest, on all that was measured."""


def _tokens_or_wish(value: object) -> object:
    counts = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if counts or value in ("auto", "calibrate"):
        return value
    raise ValueError("must be a number of tokens, at least 1, or auto, or calibrate")


TokensOrWish = Annotated[
    Annotated[int, Field(ge=1)] | Literal["auto", "calibrate"], BeforeValidator(_tokens_or_wish)
]
"""Most tokens in a forward pass, or how that number is to be found before a run begins."""


class TrainPlan(Options):
    """What the loop needs to know, whichever trainer runs it."""

    epochs: int = Field(1, ge=1, description="Passes over the training rows.")
    max_steps: int | None = Field(None, ge=1, description="Stop after this many optimizer steps.")
    global_batch_size: int = Field(
        8, ge=1, description="Rows per optimizer step, over all ranks and micro-batches."
    )
    micro_batch_tokens: TokensOrWish = Field(
        "auto",
        description="Most tokens in one forward pass; a longer row goes alone. auto: 4096, or 2048 "
        "where memory is short; calibrate: what a trial before the first step finds fastest.",
    )
    composition: Literal["shuffled", "fixed"] = Field(
        "shuffled",
        description="Rows meet others in every epoch; or (fixed) the batches of the first one come "
        "again, in another order.",
    )
    layout: Literal["auto", "segments", "padded"] = Field(
        "auto", description="Rows laid end to end, or padded; auto takes segments where it can."
    )
    learning_rate: float = Field(2e-4, gt=0, description="Peak learning rate.")
    schedule: Literal["cosine", "linear", "constant", "wsd", "inverse-sqrt", "minimind"] = Field(
        "cosine",
        description="How the learning rate falls after warmup.",
    )
    warmup_ratio: float | None = Field(
        0.03, ge=0, le=1, description="Share of steps that warm up; null if warmup_steps says it."
    )
    warmup_steps: int | None = Field(
        None, ge=0, description="Steps that warm up, instead of a share of them."
    )
    min_learning_rate_ratio: float = Field(
        0.0, ge=0, le=1, description="Share of the peak that the schedule falls to."
    )
    decay_ratio: float = Field(
        0.1, gt=0, le=1, description="wsd: share of all steps over which it falls, at the end."
    )
    decay_shape: Literal["linear", "1-sqrt"] = Field(
        "1-sqrt", description="wsd: how it falls there."
    )
    optimizer: str = Field(
        "adamw",
        description="adamw, lion, sgd, adafactor, adamw-8bit, paged-adamw, paged-adamw-8bit or an "
        "import path.",
    )
    optimizer_options: dict[str, Any] = Field(
        {}, description="Further arguments of the optimizer's class, by name."
    )
    weight_decay: float = Field(
        0.0,
        ge=0,
        description="Weight decay of matrices; biases, norms and other vectors have none.",
    )
    betas: tuple[float, float] = Field((0.9, 0.999), description="AdamW's moment decay rates.")
    eps: float = Field(1e-8, gt=0, description="AdamW's epsilon.")
    max_grad_norm: float | None = Field(
        1.0, gt=0, description="Clip the global gradient norm to this; null for no clipping."
    )
    activations: Activations = Field(
        "auto",
        description="What is kept for the backward pass: keep all of it, recompute-mlp all but "
        "that of MLPs, checkpoint what enters each layer; auto the first of them that fits memory.",
    )
    allocator: Literal["lean", "fast", "system"] = Field(
        "fast",
        description="What happens to freed memory (glibc): fast keeps it for the next tensor, lean "
        "gives it back, system leaves all as it is.",
    )
    non_finite: Literal["stop", "skip"] = Field(
        "stop", description="What to do with a step whose loss is not a finite number."
    )
    neftune_alpha: float | None = Field(
        None, gt=0, description="Noise on embeddings in training (NEFTune, arXiv:2310.05914)."
    )
    evaluate_every: StepsOrEpoch | None = Field(
        None, description="Steps between evaluations, or epoch; always one before and one after."
    )
    metric_for_best: str = Field(
        "loss", description="Held-out figure by which one step is better than another."
    )
    export_best: bool = Field(
        False, description="End with the weights of the best evaluation instead of the last step's."
    )
    early_stopping_patience: int | None = Field(
        None, ge=1, description="Stop after this many evaluations in a row without progress."
    )
    early_stopping_threshold: float = Field(
        0.0, ge=0, description="Progress is more than this beyond the figure that last was some."
    )
    checkpoint_every: StepsOrEpoch = Field(
        "epoch", description="Steps between checkpoints, or epoch for one after each."
    )
    keep_checkpoints: int = Field(
        2, ge=1, description="Newest checkpoints that are kept; the best one stays as well."
    )

    @property
    def token_budget(self) -> int:
        """Most tokens in one forward pass, as far as that is known before it is settled."""
        given = self.micro_batch_tokens
        return given if isinstance(given, int) else MICRO_BATCH_TOKENS

    @property
    def decides_by_evaluation(self) -> str:
        """The option by which held-out figures change what a run leaves; empty if none does."""
        if self.early_stopping_patience is not None:
            return "early_stopping_patience"
        return "export_best" if self.export_best else ""

    @model_validator(mode="before")
    @classmethod
    def _former_spelling(cls, options: Any) -> Any:
        """`gradient_checkpointing` of earlier versions: true for checkpoint, false for keep."""
        if not isinstance(options, Mapping) or "gradient_checkpointing" not in options:
            return options
        rest = {name: value for name, value in options.items() if name != "gradient_checkpointing"}
        former = options["gradient_checkpointing"]
        if former not in (True, False):
            raise ValueError("gradient_checkpointing must be true or false; better say activations")
        meant = "checkpoint" if former else "keep"
        said = rest.get("activations", meant)
        if said != meant and (former or said == "checkpoint"):
            raise ValueError(
                f"gradient_checkpointing: {str(former).lower()} is an older word for activations: "
                f"{meant}, and activations is {said}; leave gradient_checkpointing out"
            )
        return {**rest, "activations": said}

    @model_validator(mode="before")
    @classmethod
    def _no_unwritten_warmup(cls, options: Any) -> Any:
        """The default share of steps warms up only where nothing else is said."""
        if not isinstance(options, Mapping) or "warmup_ratio" in options:
            return options
        if options.get("warmup_steps") is not None or options.get("schedule") == "minimind":
            return {**options, "warmup_ratio": None}
        return options

    @field_validator("warmup_steps")
    @classmethod
    def _one_warmup(cls, steps: int | None, info: ValidationInfo) -> int | None:
        if steps is not None and info.data.get("warmup_ratio") is not None:
            raise ValueError("warmup_ratio is set as well; make one of the two null")
        if steps and info.data.get("schedule") == "minimind":
            raise ValueError("the schedule minimind has no warmup")
        return steps

    @field_validator("warmup_ratio", "min_learning_rate_ratio")
    @classmethod
    def _minimind_is_as_it_was(cls, share: float | None, info: ValidationInfo) -> float | None:
        if share and info.data.get("schedule") == "minimind":
            raise ValueError("the schedule minimind has no warmup and a floor of its own; write 0")
        return share
