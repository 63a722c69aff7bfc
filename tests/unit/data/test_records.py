"""JSON objects of a file and the lines they begin on; faults are in builtin/test_jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.records import read_records
from lorafw.errors import DataError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
objects = st.lists(st.dictionaries(st.text(), values, max_size=3), max_size=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


@given(rows=objects, ascii_only=st.booleans(), gap=st.sampled_from(["", "\n", " \n\n"]))
def test_lines_are_read_back(
    folder: Path, rows: list[dict[str, Any]], ascii_only: bool, gap: str
) -> None:
    path = folder / "rows.jsonl"
    lines = [gap + json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    path.write_bytes("\n".join(lines).encode())
    found = list(read_records(path))
    assert [row for _, row in found] == rows
    step = gap.count("\n") + 1
    assert [line for line, _ in found] == [step * at for at in range(1, len(rows) + 1)]


@given(rows=objects, ascii_only=st.booleans(), indent=st.sampled_from([None, 0, 2]))
def test_a_list_is_read_back(
    folder: Path, rows: list[dict[str, Any]], ascii_only: bool, indent: int | None
) -> None:
    path = folder / "rows.json"
    text = json.dumps(rows, ensure_ascii=ascii_only, indent=indent)
    path.write_bytes(text.encode())
    found = list(read_records(path))
    assert [row for _, row in found] == rows
    for line, row in found:
        rest = "\n".join(text.split("\n")[line - 1 :])
        assert json.dumps(row, ensure_ascii=ascii_only, indent=indent)[:1] in rest.split("\n")[0]


def test_a_row_that_ends_too_early_is_blamed_itself(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a"}\n{"prompt": "a"\n{"prompt": "a"}\n', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        list(read_records(path))
    assert caught.value.where == f"{path}:2"
