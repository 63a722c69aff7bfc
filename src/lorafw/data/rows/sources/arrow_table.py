"""Rows of Arrow and Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorafw.data.rows.sources.scanned import Record, Scanned
from lorafw.errors import DataError

if TYPE_CHECKING:
    from pyarrow import RecordBatch

_ROWS_AT_ONCE = 1024


def scan_parquet(path: Path) -> Iterator[Scanned]:
    """The rows of a Parquet file, a few at a time."""
    return _scan(path, _parquet_batches, "Parquet")


def scan_arrow(path: Path) -> Iterator[Scanned]:
    """The rows of an Arrow file or stream (what `datasets` saves), a few at a time."""
    return _scan(path, _arrow_batches, "Arrow")


def _scan(
    path: Path, batches: Callable[[Path], Iterator[RecordBatch]], form: str
) -> Iterator[Scanned]:
    import pyarrow as pa

    number = 0
    try:
        for batch in batches(path):
            for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
                for row in _rows(batch.slice(start, _ROWS_AT_ONCE)):
                    number += 1
                    yield _record(row, f"{path}, row {number}")
    except (pa.ArrowException, OSError, EOFError, ValueError, KeyError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # missing, forbidden and the like: the file itself is not at fault
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        yield DataError(
            f"is not a whole {form} file: {reason}.",
            where=f"{path}, row {number + 1}" if number else str(path),
            mend="Was it copied or downloaded to its end?",
        )


def _rows(batch: RecordBatch) -> list[dict[str, Any] | UnicodeDecodeError]:
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError as error:
        if batch.num_rows == 1:
            return [error]
    return [row for at in range(batch.num_rows) for row in _rows(batch.slice(at, 1))]


def _record(row: dict[str, Any] | UnicodeDecodeError, where: str) -> Scanned:
    if isinstance(row, UnicodeDecodeError):
        return DataError("holds text that is not valid UTF-8.", where=where)
    return Record(where, row)


def _parquet_batches(path: Path) -> Iterator[RecordBatch]:
    from pyarrow import parquet

    if path.stat().st_size:
        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(_ROWS_AT_ONCE)


def _arrow_batches(path: Path) -> Iterator[RecordBatch]:
    import pyarrow as pa

    if not path.stat().st_size:
        return
    with pa.memory_map(str(path)) as source:
        if source.read(6) == b"ARROW1":
            file = pa.ipc.open_file(source)
            batches = (file.get_batch(at) for at in range(file.num_record_batches))
        else:
            source.seek(0)
            batches = iter(pa.ipc.open_stream(source))
        for batch in batches:
            batch.validate(full=True)  # a damaged one may point outside of the file
            yield batch
