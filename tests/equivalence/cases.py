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
_RECOMPUTED = (("custom", "padded", 60), ("peft", "segments", 60))
"""What is tried with gradient checkpointing."""


@dataclass(frozen=True)
class Case:
    """One engine with one way of cutting.

    Attributes:
        sabotage: names a fault built in on purpose.
        recomputed: whether layers are computed again in the backward pass.
    """

    engine: str
    injector: str
    layout: str
    budget: int
    sabotage: str = ""
    recomputed: bool = False

    @property
    def name(self) -> str:
        """How the case is called in test ids and file names."""
        cut = (self.engine, self.injector, self.layout, str(self.budget))
        parts = (*cut, self.sabotage, "recomputed" if self.recomputed else "")
        return "-".join(part for part in parts if part)


SABOTAGE = [Case("ddp", "custom", "segments", 60, fault) for fault in ("mean", "unscaled")]
CASES = [
    *(Case(engine, *cut) for engine in ENGINES for cut in _CUTS),
    *(Case(engine, *cut, recomputed=True) for engine in ENGINES for cut in _RECOMPUTED),
]
