"""The dataset of JSON Lines files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lorafw.builtin.files import Files
from lorafw.data.rows.sources.formats import scan_json
from lorafw.data.rows.sources.scanned import Scanned


class Jsonl(Files):
    """Rows of .jsonl files, or of a list in a .json file, whatever the files are called.

    What a row is, the names of its fields tell; all rows of a run are of one kind. Rows that are
    also in `eval_path` are left out of training.
    """

    def _scan(self, path: Path) -> Iterator[Scanned]:
        return scan_json(path)

    def _check_formats(self, key: str, files: Sequence[Path]) -> None:
        """A file is taken for JSON by any name."""
