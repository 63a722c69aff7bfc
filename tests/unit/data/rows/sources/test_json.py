"""JSON objects of a file and the lines they begin on; faults are in builtin/test_jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.rows.sources import json_list
from lorafw.data.rows.sources.formats import scan_json
from lorafw.data.rows.sources.scanned import Record
from lorafw.errors import DataError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
objects = st.lists(st.dictionaries(st.text(), values, max_size=3), max_size=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json")


@pytest.fixture(params=[1, 7, 1 << 18])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many bytes are read at once; nothing may depend on it."""
    monkeypatch.setattr(json_list, "_CHUNK", request.param)
    return int(request.param)


def lines_and_rows(path: Path) -> list[tuple[int, Any]]:
    found = [each for each in scan_json(path) if isinstance(each, Record)]
    return [(int(each.where.removeprefix(f"{path}:")), each.row) for each in found]


def faults(path: Path) -> list[DataError]:
    return [each for each in scan_json(path) if isinstance(each, DataError)]


@given(rows=objects, ascii_only=st.booleans(), gap=st.sampled_from(["", "\n", " \n\n"]))
def test_lines_are_read_back(
    folder: Path, rows: list[dict[str, Any]], ascii_only: bool, gap: str
) -> None:
    path = folder / "rows.jsonl"
    lines = [gap + json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    path.write_bytes("\n".join(lines).encode())
    step = gap.count("\n") + 1
    assert lines_and_rows(path) == [(step * at, row) for at, row in enumerate(rows, 1)]


@given(
    rows=objects,
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 0, 2]),
    size=st.sampled_from([1, 2, 5, 64]),
)
def test_a_list_is_read_back(
    folder: Path, rows: list[dict[str, Any]], ascii_only: bool, indent: int | None, size: int
) -> None:
    path = folder / "rows.json"
    text = json.dumps(rows, ensure_ascii=ascii_only, indent=indent)
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_list, "_CHUNK", size)
        found = lines_and_rows(path)
    assert [row for _, row in found] == rows
    for line, row in found:
        rest = "\n".join(text.split("\n")[line - 1 :])
        assert json.dumps(row, ensure_ascii=ascii_only, indent=indent)[:1] in rest.split("\n")[0]


def test_a_row_that_ends_too_early_is_blamed_itself(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a"}\n{"prompt": "a"\n{"prompt": "a"}\n', encoding="utf-8")
    assert [fault.where for fault in faults(path)] == [f"{path}:2"]


def test_lines_behind_a_fault_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n{oops\n[2]\n{"a": "\xff"}\n{"a": 5}\n7')
    assert lines_and_rows(path) == [(1, {"a": 1}), (5, {"a": 5})]
    assert [fault.where for fault in faults(path)] == [f"{path}:{line}" for line in (2, 3, 4, 6)]


@pytest.mark.usefixtures("chunk")
def test_items_behind_one_of_a_wrong_type_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"a": 1},\n 12345,\n {"a": 3}]', encoding="utf-8")
    assert lines_and_rows(path) == [(1, {"a": 1}), (3, {"a": 3})]
    (fault,) = faults(path)
    assert str(fault).startswith(f"{path}:2: holds 12345, not an object.")


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize(
    ("content", "line", "fault"),
    [
        (b'[{"a": 1},\n {"a": 2}', 2, "',' or ']' expected at column 10"),
        (b'[{"a": 1}\n {"a": 2}]', 2, "',' or ']' expected at column 2"),
        (b'[{"a": 1},\n]', 2, "Expecting value at column 1"),
        (b'[{"a": 1}]\n\n{"a": 2}', 3, "more behind the list at column 1"),
        (b'[{"a": 1},\n {"a": "\xff"}]', 2, "not valid UTF-8 (byte 0xff)"),
        (b'[{"a": 1},\n {"a": "\xe6', 2, "not valid UTF-8 (byte 0xe6)"),
        (b'[{"a": 1},\n' + b"[" * 100_000, 2, "not JSON that can be read"),
        (b'[{"a": 1},\n {"a": ' + b"1" * 5000 + b"}]", 2, "not JSON that can be read"),
    ],
)
def test_a_list_is_read_up_to_its_fault(
    tmp_path: Path, content: bytes, line: int, fault: str
) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    assert lines_and_rows(path)[:1] == [(1, {"a": 1})]
    (found,) = faults(path)
    assert found.where == f"{path}:{line}"
    assert fault in found.what


def test_the_first_row_of_a_long_list_is_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    row = '{"text": "' + "x" * 1000 + '"}'
    path.write_text("[" + ",".join([row] * 1000) + ", oops", encoding="utf-8")
    assert isinstance(next(scan_json(path)), Record)


def test_a_row_of_ten_megabytes_is_read(tmp_path: Path) -> None:
    text = "ten megabytes " * 750_000
    for name, content in (("a.jsonl", {"text": text}), ("a.json", [{"text": text}])):
        path = tmp_path / name
        path.write_text(json.dumps(content), encoding="utf-8")
        assert lines_and_rows(path) == [(1, {"text": text})]
