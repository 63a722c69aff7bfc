"""Record batches of rows in an Arrow IPC file: written in a stream, read by mapping it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from lorafw.data.cache.faults import DamagedError, as_unwritable
from lorafw.data.encoded.packed import SCHEMA, PackedRows


class Writer:
    """Adds record batches to a file."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __call__(self, batch: Any) -> None:
        """Add one; raises UnwritableError when the place takes no more."""
        with as_unwritable():
            self._writer.write_batch(batch)


@contextmanager
def written(path: Path) -> Iterator[Writer]:
    """A new file to add record batches to; whole once this is left.

    Raises:
        UnwritableError: it cannot be written.
    """
    with as_unwritable():
        file = pa.OSFile(str(path), "wb")
    with file:
        writer = pa.ipc.new_file(file, SCHEMA)
        yield Writer(writer)
        with as_unwritable():
            writer.close()


def mapped(path: Path) -> PackedRows:
    """The rows of a file, which stay there until they are asked for.

    Raises:
        DamagedError: it is no Arrow file of rows.
    """
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        if reader.schema != SCHEMA:
            raise DamagedError
        return PackedRows(reader.get_batch(index) for index in range(reader.num_record_batches))
    except (pa.ArrowInvalid, OSError):
        raise DamagedError from None
