"""How the figures of a run are called, wherever they are kept."""

from __future__ import annotations

from collections.abc import Mapping

FIRST_STAGE = "train"
"""The stage of a run that has told of none."""


def step_figures(
    epoch: float, loss: float, grad_norm: float, learning_rate: float, tokens: int, seconds: float
) -> dict[str, float]:
    """What a step showed; tokens per second only where it took measurable time."""
    speed = {"tokens_per_second": tokens / seconds} if seconds > 0 else {}
    return {
        "epoch": epoch,
        "loss": loss,
        "learning_rate": learning_rate,
        "grad_norm": grad_norm,
        **speed,
    }


def of_stage(stage: str, figures: Mapping[str, float]) -> dict[str, float]:
    """A step's figures by full name: `train/loss`."""
    return {f"{stage}/{name}": value for name, value in figures.items()}


def of_evaluation(stage: str, figures: Mapping[str, float]) -> dict[str, float]:
    """Held-out figures by full name: `eval/loss`, in another stage `eval/STAGE/loss`."""
    place = "eval" if stage == FIRST_STAGE else f"eval/{stage}"
    return {f"{place}/{name}": value for name, value in figures.items()}
