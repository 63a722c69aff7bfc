"""CSV files and the lines their rows begin on."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.rows.sources.csv_table import scan_csv
from lorafw.data.rows.sources.scanned import Record
from lorafw.errors import DataError

cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv")


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "rows.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@given(
    rows=st.lists(st.tuples(cells, cells), max_size=5),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_whatever_is_written_is_read_back(
    folder: Path, rows: list[tuple[str, str]], mark: bytes, end: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b"), *rows])
    path = written(folder, mark + text.getvalue().encode())
    assert [each.row for each in scan_csv(path) if isinstance(each, Record)] == [
        {"a": first, "b": second} for first, second in rows
    ]


def test_a_row_stands_where_it_begins(tmp_path: Path) -> None:
    path = written(tmp_path, 'a,b\n1,"x\ny"\n\n2,z\n')
    assert list(scan_csv(path)) == [
        Record(f"{path}:2", {"a": "1", "b": "x\ny"}),
        Record(f"{path}:5", {"a": "2", "b": "z"}),
    ]


def test_a_value_of_ten_megabytes_is_read(tmp_path: Path) -> None:
    text = "ten megabytes " * 750_000
    (found,) = scan_csv(written(tmp_path, f"text\n{text}\n"))
    assert isinstance(found, Record)
    assert found.row == {"text": text}


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        ("a,a\n1,2\n", {1: "must name every column, each once"}),
        ("a,\n1,2\n", {1: "must name every column, each once"}),
        ("a,b\n1\n1,2\n1,2,3\n", {2: "has 1 values for 2", 4: "has 3 values for 2"}),
        (b"a,b\n1,\xff\n1,2\n", {2: "not valid UTF-8"}),
        (b"a,b\n1,2\n1,\xe6", {3: "not valid UTF-8"}),
        ('a,b\n1,"x"y\n1,2\n', {2: "not valid CSV"}),
        ('a,b\n1,2\n1,"x\ny\n', {3: "not valid CSV: unexpected end of data"}),
        (b"\xff\n1\n", {1: "not valid UTF-8"}),
        ("", {}),
    ],
)
def test_every_wrong_row_is_named(
    tmp_path: Path, content: str | bytes, faults: dict[int, str]
) -> None:
    path = written(tmp_path, content)
    found = [each for each in scan_csv(path) if isinstance(each, DataError)]
    assert [each.where for each in found] == [f"{path}:{line}" for line in faults]
    assert all(fault in each.what for each, fault in zip(found, faults.values(), strict=True))
