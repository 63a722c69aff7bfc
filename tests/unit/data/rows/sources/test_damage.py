"""Whatever the bytes of a file are: rows and faults, nothing else, and an end."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from lorafw.data.rows.sources.formats import SCANS, scan_by_suffix
from lorafw.data.rows.sources.scanned import Record
from lorafw.errors import DataError

ROWS = [{"text": f"row {at} ü", "turns": [{"role": "user", "content": "x"}]} for at in range(40)]


def whole_files() -> Iterator[tuple[str, bytes]]:
    table = pa.Table.from_pylist(ROWS)
    yield ".jsonl", "\n".join(map(json.dumps, ROWS)).encode()
    yield ".json", json.dumps(ROWS, ensure_ascii=False, indent=1).encode()
    yield ".csv", "\n".join(["text,more", *(f'"row, {at}",ü' for at in range(40))]).encode()
    packed = io.BytesIO()
    parquet.write_table(table, packed)
    yield ".parquet", packed.getvalue()
    for make in (pa.ipc.new_file, pa.ipc.new_stream):
        plain = io.BytesIO()
        with make(plain, table.schema) as writer:
            writer.write_table(table, max_chunksize=15)
        yield ".arrow", plain.getvalue()


WHOLE = list(whole_files())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage")


def scanned(folder: Path, suffix: str, raw: bytes) -> None:
    path = folder / f"rows{suffix}"
    path.write_bytes(raw)
    for found in scan_by_suffix(path):
        assert isinstance(found, Record | DataError)
        if isinstance(found, DataError):
            assert found.where.startswith(str(path))
            assert "\n" not in str(found)


@given(suffix=st.sampled_from(sorted(SCANS)), raw=st.binary(max_size=200))
def test_any_bytes_are_rows_or_faults(folder: Path, suffix: str, raw: bytes) -> None:
    scanned(folder, suffix, raw)


@given(
    whole=st.sampled_from(WHOLE),
    at=st.floats(0, 1, exclude_max=True),
    change=st.binary(max_size=3),
    cut=st.booleans(),
)
def test_a_damaged_file_is_rows_and_faults(
    folder: Path, whole: tuple[str, bytes], at: float, change: bytes, cut: bool
) -> None:
    suffix, raw = whole
    place = int(at * len(raw))
    rest = b"" if cut else raw[place + len(change) :]
    scanned(folder, suffix, raw[:place] + change + rest)
