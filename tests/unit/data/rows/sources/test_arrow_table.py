"""Arrow and Parquet files, whole and damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from lorafw.data.rows.sources import arrow_table
from lorafw.data.rows.sources.formats import scan_by_suffix
from lorafw.data.rows.sources.scanned import Record
from lorafw.errors import DataError

ROWS = [
    {"text": f"row {at} ü", "turns": [{"role": "user", "content": str(at)}], "label": at % 3}
    for at in range(2500)
]


def write_parquet(path: Path, table: pa.Table) -> None:
    parquet.write_table(table, path, row_group_size=700)


def write_file(path: Path, table: pa.Table) -> None:
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=1800)


def write_stream(path: Path, table: pa.Table) -> None:
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=1800)


Write = Callable[[Path, pa.Table], None]
FORMS = pytest.mark.parametrize(
    ("write", "suffix"),
    [(write_parquet, ".parquet"), (write_file, ".arrow"), (write_stream, ".arrow")],
    ids=["parquet", "arrow file", "arrow stream"],
)


@FORMS
def test_rows_are_read_back_with_their_numbers(tmp_path: Path, write: Write, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    write(path, pa.Table.from_pylist(ROWS))
    found = list(scan_by_suffix(path))
    assert found == [Record(f"{path}, row {at}", row) for at, row in enumerate(ROWS, 1)]


@FORMS
def test_a_table_without_rows_has_none(tmp_path: Path, write: Write, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    write(path, pa.Table.from_pylist(ROWS).slice(0, 0))
    assert list(scan_by_suffix(path)) == []


@FORMS
@pytest.mark.parametrize("share", [0.0005, 0.4, 0.999])
def test_a_file_cut_short_is_an_error(
    tmp_path: Path, write: Write, suffix: str, share: float
) -> None:
    path = tmp_path / f"rows{suffix}"
    write(path, pa.Table.from_pylist(ROWS))
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    *rows, fault = scan_by_suffix(path)
    assert isinstance(fault, DataError)
    assert str(fault).startswith(str(path))
    assert "is not a whole" in str(fault)
    assert all(isinstance(row, Record) for row in rows)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
@pytest.mark.parametrize("content", [b"hello", b'{"text": "x"}\n' * 50, b"ARROW1", b"\0" * 64])
def test_another_file_by_that_name_is_an_error(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(content)
    (fault,) = scan_by_suffix(path)
    assert isinstance(fault, DataError)
    assert fault.where == str(path)


WRONG = pa.table({"text": pa.array([b"good", b"\xff", b"better"], pa.binary()).view(pa.string())})


@pytest.mark.parametrize("write", [write_file, write_stream])
def test_wrong_text_in_an_arrow_file_is_an_error(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "rows.arrow"
    write(path, WRONG)
    (fault,) = scan_by_suffix(path)
    assert isinstance(fault, DataError)
    assert "Invalid UTF8 sequence" in fault.what


def test_only_the_row_with_wrong_text_of_a_parquet_file_is_at_fault(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_parquet(path, WRONG)
    first, second, third = scan_by_suffix(path)
    assert (first, third) == (
        Record(f"{path}, row 1", {"text": "good"}),
        Record(f"{path}, row 3", {"text": "better"}),
    )
    assert isinstance(second, DataError)
    assert second.where == f"{path}, row 2"


@FORMS
def test_the_first_row_is_read_with_its_neighbours_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write, suffix: str
) -> None:
    path = tmp_path / f"rows{suffix}"
    write(path, pa.Table.from_pylist(ROWS))
    read: list[Any] = []
    whole = arrow_table._rows

    def counting(batch: Any) -> Any:
        read.append(batch.num_rows)
        return whole(batch)

    monkeypatch.setattr(arrow_table, "_rows", counting)
    assert isinstance(next(iter(scan_by_suffix(path))), Record)
    assert sum(read) <= 1024
