"""What is compared: every engine, every way of cutting a global batch, pairwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ENGINES: dict[str, tuple[str, dict[str, Any]]] = {
    "ddp": ("ddp", {}),
    "accelerate": ("accelerate", {}),
    "accelerate-fsdp": ("accelerate", {"fsdp": True}),
    **{
        f"deepspeed-{stage}": ("deepspeed", {"zero_stage": stage, "persistence_threshold": 0})
        for stage in range(4)
    },
}
_CUTS = (
    ("custom", "segments", 1),
    ("peft", "padded", 1),
    ("custom", "padded", 60),
    ("peft", "segments", 60),
    ("custom", "segments", 10_000),
    ("peft", "padded", 10_000),
)
"""Every injector with every layout, and every budget (tokens) with both, at least once."""
_RECOMPUTED = (
    ("custom", "padded", 60, "checkpoint"),
    ("peft", "segments", 60, "checkpoint"),
    ("peft", "padded", 60, "recompute-mlp"),
)
"""What is tried with layers, or MLPs, that are computed again."""


@dataclass(frozen=True)
class Case:
    """One engine with one way of cutting.

    Attributes:
        sabotage: names a fault built in on purpose.
        activations: what is kept for the backward pass.
    """

    engine: str
    injector: str
    layout: str
    budget: int
    sabotage: str = ""
    activations: str = "keep"

    @property
    def name(self) -> str:
        """How the case is called in test ids and file names."""
        cut = (self.engine, self.injector, self.layout, str(self.budget))
        parts = (*cut, self.sabotage, self.activations.removeprefix("keep"))
        return "-".join(part for part in parts if part)


SABOTAGE = [Case("ddp", "custom", "segments", 60, fault) for fault in ("mean", "unscaled")]
CASES = [
    *(Case(engine, *cut) for engine in ENGINES for cut in _CUTS),
    *(Case(engine, *cut, activations=way) for engine in ENGINES for *cut, way in _RECOMPUTED),
]
