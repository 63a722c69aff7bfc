"""Files that an option names, or that lie below the folder LORAFW_SHARED names."""

from __future__ import annotations

import os
from pathlib import Path

import click

GSM8K = "data/gsm8k/train.jsonl"
STORIES = "models/stories260k-llama"


def place(given: Path | None, below: str, option: str) -> Path:
    """The path that was given, or else the one in the shared folder.

    Raises:
        click.UsageError: there is none, or nothing is there.
    """
    shared = os.environ.get("LORAFW_SHARED")
    found = given or (Path(shared) / below if shared else None)
    if found is None:
        raise click.UsageError(f"Which file? Give {option}, or set LORAFW_SHARED.")
    if not found.exists():
        raise click.UsageError(f"{found} is not there. Give {option}, or set LORAFW_SHARED.")
    return found
