"""What is compared: every engine, every way of cutting a global batch, pairwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ENGINES: dict[str, tuple[str, dict[str, Any]]] = {
    "ddp": ("ddp", {}),
    "accelerate": ("accelerate", {}),
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


@dataclass(frozen=True)
class Case:
    """One engine with one way of cutting; `sabotage` names a fault built in on purpose."""

    engine: str
    injector: str
    layout: str
    budget: int
    sabotage: str = ""

    @property
    def name(self) -> str:
        """How the case is called in test ids and file names."""
        parts = (self.engine, self.injector, self.layout, str(self.budget), self.sabotage)
        return "-".join(part for part in parts if part)


SABOTAGE = [Case("ddp", "custom", "segments", 60, fault) for fault in ("mean", "unscaled")]
CASES = [Case(engine, *cut) for engine in ENGINES for cut in _CUTS]
