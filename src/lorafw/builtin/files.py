"""The dataset of files in any known format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from lorafw.data.rows.row_dataset import ClassNames, FieldNames, Fraction, Limit, RowDataset
from lorafw.data.rows.row_set import RowSet
from lorafw.data.rows.sources.formats import SCANS, scan_by_suffix, scan_files
from lorafw.data.rows.sources.paths import Paths, check_files, check_suffixes, files_of, name_of
from lorafw.data.rows.sources.scanned import Scanned, Source


class Files(RowDataset):
    """Rows of .jsonl, .json, .csv, .parquet and .arrow files, one, several or a pattern of them.

    What a row is, the names of its fields tell; all rows of a run are of one kind. Rows that are
    also in `eval_path` are left out of training.
    """

    path: Paths = Field(description="File with the rows to train on, a pattern, or a list of them.")
    eval_path: Paths | None = Field(
        None, description="File with held-out rows; without it some of `path` are held out."
    )
    fields: FieldNames = None
    classes: ClassNames = None
    eval_fraction: Fraction = Field(
        0.05, description="Share of `path` held out, by content; 0 for none."
    )
    eval_limit: Limit = 1000

    def preflight(self) -> None:
        """Check that the files are there, and of a known format.

        Raises:
            ConfigError: a path is not a file, or a suffix is not known.
        """
        for key, paths in (("path", self.path), ("eval_path", self.eval_path)):
            if paths is not None:
                check_files(f"dataset.{key}", paths)
                self._check_formats(f"dataset.{key}", files_of(paths))

    @property
    def rows(self) -> RowSet:
        """The rows of the files, in the order of `path`."""
        return RowSet(
            self._source(self.path),
            self._source(self.eval_path) if self.eval_path is not None else None,
            self.fields,
            self.classes,
            self.eval_fraction,
            self.eval_limit,
        )

    def origins(self) -> Sequence[Path]:
        """The files, those of `path` first."""
        held_out = () if self.eval_path is None else files_of(self.eval_path)
        return (*files_of(self.path), *held_out)

    def _source(self, paths: Path | tuple[Path, ...]) -> Source:
        return Source(name_of(paths), lambda: scan_files(files_of(paths), self._scan))

    def _scan(self, path: Path) -> Iterator[Scanned]:
        return scan_by_suffix(path)

    def _check_formats(self, key: str, files: Sequence[Path]) -> None:
        check_suffixes(key, files, SCANS)
