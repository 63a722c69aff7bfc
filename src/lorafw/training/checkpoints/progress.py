"""How far a run has got: what a checkpoint knows beside tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lorafw.training.best import Best
from lorafw.training.loss_scaling import Scale


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint knows beside tensors.

    Rows and random numbers are functions of (seed, step), so the step is the whole cursor.

    Attributes:
        evaluation_before: held-out figures from before the first step.
        evaluation: those of the last evaluation.
        evaluated: the step after which that was; None before any.
        best: what evaluations after a step have shown so far.
        accepted: what was changed on the way and accepted by the user, a sentence for each.
        scale: of the loss, where fp16 calls for one.
        skipped_steps: those that updated nothing.
    """

    step: int = 0
    first_loss: float | None = None
    last_loss: float | None = None
    evaluation_before: Mapping[str, float] = field(default_factory=dict)
    evaluation: Mapping[str, float] = field(default_factory=dict)
    evaluated: int | None = None
    best: Best = field(default_factory=Best)
    accepted: tuple[str, ...] = ()
    scale: Scale | None = None
    skipped_steps: int = 0

    @classmethod
    def from_mapping(cls, progress: Mapping[str, Any]) -> Checkpoint:
        """The inverse of `asdict`, by way of JSON."""
        best, accepted = progress.get("best", {}), progress.get("accepted", ())
        found = {**progress, "best": Best(**best), "accepted": tuple(accepted)}
        if scale := progress.get("scale"):
            found["scale"] = Scale(**scale)
        return cls(**found)
