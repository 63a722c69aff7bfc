"""Text files of an export, read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.adapters.files.safe_files import write_bytes
from lorafw.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path


def write_text(path: Path, text: str) -> Path:
    """Write a text file, and read it back.

    Raises:
        ExportError: what was read is not what was written.
    """
    write_bytes(path, text.encode())
    if path.read_text(encoding="utf-8") != text:
        raise ExportError("what was read back is not what was written.", where=path.name)
    return path
