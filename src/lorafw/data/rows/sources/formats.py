"""Which reader a file's suffix asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from lorafw.data.rows.sources.arrow_table import scan_arrow, scan_parquet
from lorafw.data.rows.sources.csv_table import scan_csv
from lorafw.data.rows.sources.json_lines import scan_lines
from lorafw.data.rows.sources.json_list import holds_list, scan_list
from lorafw.data.rows.sources.scanned import Scanned, never_empty
from lorafw.errors import DataError

Scan = Callable[[Path], Iterator[Scanned]]


def scan_json(path: Path) -> Iterator[Scanned]:
    """The objects of a file that has one per line or, called `.json`, may hold a list of them."""
    listed = path.suffix.lower() == ".json" and holds_list(path)
    yield from scan_list(path) if listed else scan_lines(path)


SCANS: Mapping[str, Scan] = {
    ".jsonl": scan_json,
    ".json": scan_json,
    ".csv": scan_csv,
    ".parquet": scan_parquet,
    ".arrow": scan_arrow,
}
"""The reader for every known suffix."""


def scan_by_suffix(path: Path) -> Iterator[Scanned]:
    """The rows of a file whose suffix tells its format."""
    scan = SCANS.get(path.suffix.lower())
    if scan is None:
        fault = f"a file called '*{path.suffix}' is not read."
        yield DataError(fault, where=str(path), mend=f"Known: {', '.join(SCANS)}.")
    else:
        yield from scan(path)


def scan_files(paths: Iterable[Path], scan: Scan) -> Iterator[Scanned]:
    """The rows of several files, one after another; a file that has none is a fault."""
    for path in paths:
        try:
            yield from never_empty(scan(path), str(path))
        except OSError as error:
            fault = f"cannot be read: {error.strerror or error}."
            yield DataError(fault, where=str(path))
