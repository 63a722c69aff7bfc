"""Where encoded rows are kept."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "LORAFW_CACHE"


def cache_folder() -> Path:
    """`$LORAFW_CACHE`, or else `lorafw/rows` in the user's cache folder (`$XDG_CACHE_HOME`)."""
    if place := os.environ.get(VARIABLE):
        return Path(place).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "lorafw" / "rows"
