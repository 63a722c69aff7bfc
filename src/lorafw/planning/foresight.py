"""What was foretold of a run, beside what came."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lorafw.contracts.trainer import FitResult
from lorafw.planning.forecast import Forecast
from lorafw.planning.process_memory import peak_memory, resident_memory

WORTH = 10**10
"""Arithmetic operations below which a run is over sooner than its memory is foretold."""


@dataclass(frozen=True, slots=True)
class Foresight:
    """A forecast, the size of this process when it was made, and the largest it had been.

    Made when rows are encoded and all is imported, before weights are read, so that what the
    process grows by from then on is what was foretold. Where it was larger earlier and has not
    been as large since, what it grew by is not known.
    """

    forecast: Forecast
    start: int
    earlier: int

    @classmethod
    def of(cls, forecast: Forecast) -> Foresight:
        """From this moment on."""
        return cls(forecast, resident_memory(), peak_memory())

    def after_trial(self, forecast: Forecast) -> Foresight:
        """With another forecast, after something that may have been larger than what it tells."""
        return replace(self, forecast=forecast, earlier=peak_memory())

    def record(self, result: FitResult | None) -> dict[str, Any]:
        """What `run.json` holds of it."""
        return {"predicted": self.forecast.record(), "measured": self._measured(result)}

    def _measured(self, result: FitResult | None) -> dict[str, Any]:
        highest = peak_memory()
        peak = {"peak_bytes": highest - self.start if highest > self.earlier else None}
        if result is None or not result.tokens:
            return {**peak, "seconds_per_step": None, "tokens_per_second": None}
        cut = self.forecast.portions
        rate = result.tokens / result.seconds
        return {
            **peak,
            "seconds_per_step": cut.tokens / cut.steps / rate,
            "tokens_per_second": rate,
        }
