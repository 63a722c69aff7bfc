"""Listener `console`: the progress of a run, for the person who started it."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import Field

from lorafw.contracts.listener import Listener


class Console(Listener):
    """Shows progress on stderr: a live bar on a terminal, occasional plain lines elsewhere."""

    seconds: float = Field(
        10.0, gt=0, description="Least time between two plain lines about training."
    )

    def open(self, folder: Path) -> object:  # noqa: ARG002 - it only talks
        """The bar or the plain lines, whichever suits stderr."""
        from lorafw.builtin import _progress

        if sys.stderr.isatty():
            return _progress.Live()
        return _progress.Plain(sys.stderr, self.seconds)
