"""The material of ``lorafw demo``: a small base model, the text it learnt and a set to tune on."""

from __future__ import annotations

from pathlib import Path

__all__ = ["BASE", "base_path"]

BASE = Path(__file__).parent / "base"


def base_path() -> Path:
    """Return the folder of the embedded base model."""
    return BASE
