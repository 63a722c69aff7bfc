"""How far apart two right runs may be: what the dtype allows, and what was measured here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FLOORS = {"adapter": 5e-6, "gradient": 1e-5, "loss": 1e-5, "figures": 1e-5}
"""What fp32 alone allows: absolute for the adapter, relative for the rest."""
MARGIN = 4.0
"""How many times as far as the probes a right run may be."""
_SHARE = 0.02
"""What the adapter's difference may be of the way it went, should that be less than the floor."""
FP32 = "fp32"


@dataclass(frozen=True, slots=True)
class Limit:
    """The largest difference that holds.

    Attributes:
        value: that difference; None if this is shown and not judged.
        source: where it comes from, for the reader.
    """

    value: float | None
    source: str

    def holds(self, difference: float | None) -> bool:
        """Whether a difference is within it; what was not measured is not held against anyone."""
        return self.value is None or difference is None or difference <= self.value


def limits(
    dtype: str, probes: Sequence[Mapping[str, float | None]], *, moved: float
) -> dict[str, Limit]:
    """The limit of everything that is compared.

    Args:
        dtype: of the base, as `base_dtype` names it.
        probes: differences between the reference and the same run with every layer's output
            rounded otherwise.
        moved: how far the number of the reference's adapter went that went farthest; 0 if that
            is not known.
    """
    adapter = min(FLOORS["adapter"], _SHARE * moved or math.inf)
    floors = {**FLOORS, "adapter": adapter}
    return {what: _limit(what, floor, dtype, probes) for what, floor in floors.items()}


def _limit(
    what: str, floor: float, dtype: str, probes: Sequence[Mapping[str, float | None]]
) -> Limit:
    if what == "adapter" and dtype != FP32:
        return Limit(None, f"not judged: a {dtype} base's rounding moves AdamW by whole steps")
    key = judged(what, dtype)
    measured = max((probe[key] or 0.0 for probe in probes), default=0.0)
    if MARGIN * measured > floor:
        return Limit(MARGIN * measured, f"{MARGIN:g} x {measured:.1e}, measured rounding")
    return Limit(floor, "what fp32 allows")


def judged(what: str, dtype: str) -> str:
    """The difference that is held against a limit.

    Of figures only the loss where the base is not fp32: a row's class flips at once.
    """
    return "held_out_loss" if what == "figures" and dtype != FP32 else what
