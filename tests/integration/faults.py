"""An objective that fails on purpose, in one rank, at one step, once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from lorafw.builtin.causal_lm import CausalLM
from lorafw.errors import TrainingError
from lorafw.types import Batch

_calls = 0


class Faulty(CausalLM):
    """Counts its batches; at the one named, the rank named does what is named.

    Attributes:
        marker: written by the fault; where it is, there is no fault any more.
    """

    fault: Literal["refuse", "crash", "kill", "hang", "slow"]
    rank: int = 1
    batch: int = 6
    marker: Path

    def counts(self, batch: Batch) -> Mapping[str, int]:
        """The place where every step passes, on every rank."""
        global _calls  # noqa: PLW0603
        _calls += 1
        mine = os.environ.get("RANK", "0") == str(self.rank)
        if self.fault == "slow":
            time.sleep(0.05)
        elif mine and _calls >= self.batch and not self.marker.exists():
            self.marker.touch()
            self._fail()
        return super().counts(batch)

    def _fail(self) -> None:
        if self.fault == "refuse":
            raise TrainingError("these rows are refused.", mend="Take others.")
        if self.fault == "crash":
            raise ZeroDivisionError("a bug\nin two lines")
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "hang":
            time.sleep(1000)
